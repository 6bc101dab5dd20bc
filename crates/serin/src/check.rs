//! `serin check`: everything that is wrong with manifests.

mod json;
mod report;
mod sarif;
#[cfg(test)]
mod tests;
mod text;

use std::io::Write;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use serin_api::CodeInfo;
use serin_translate::analysis::{self, Input};

use self::report::Report;
use crate::cli::{CheckArgs, CheckOutput};
use crate::terminal::{self, Palette};
use crate::world::World;

/// Reads, judges, prints. The exit code is 1 if a finding is at or above the threshold.
pub(crate) fn run(args: &CheckArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let world = World::read(&args.paths, &args.world)?;
    let report = judge(world);
    match args.output {
        CheckOutput::Text => {
            text::write(
                &report,
                Palette { colors: terminal::stdout_colors(args.view.color) },
                out,
            )?;
        }
        CheckOutput::Json => json::write(&report, out)?,
        CheckOutput::Sarif => sarif::write(&report, &rules(), out)?,
    }
    Ok(if report.reaches(args.fail_on.severity()) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// All that can be said about the manifests.
fn judge(world: World) -> Report {
    let snapshot = world.snapshot(true);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok();
    let input = Input {
        networks: world.mesh.networks.as_ref(),
        now: now.and_then(|since| i64::try_from(since.as_secs()).ok()),
        ..Input::new(&snapshot)
    };
    let mut findings: Vec<_> = world.findings().cloned().collect();
    findings.extend(snapshot.findings().cloned());
    findings.extend(analysis::analyze(input));
    let objects = world.loaded.readable().count();
    let World { texts, loaded, .. } = world;
    Report::new(findings, texts, objects, |object, field| loaded.place(object, field))
}

/// Every code that can be found, in order.
fn rules() -> Vec<CodeInfo> {
    let lists = [serin_api::codes::ALL, serin_translate::codes::ALL, analysis::codes::ALL];
    let mut rules = lists.concat();
    rules.sort_by_key(|info| info.code);
    rules
}
