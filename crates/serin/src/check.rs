//! `serin check`: everything that is wrong with manifests.

mod json;
pub(crate) mod report;
mod sarif;
#[cfg(test)]
mod tests;
pub(crate) mod text;

use std::io::Write;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use serin_api::Finding;
use serin_translate::analysis::{self, Input};
use serin_translate::{Snapshot, codes};

use self::report::Report;
use crate::cli::{CheckArgs, CheckOutput};
use crate::terminal::{self, Palette};
use crate::world::World;

/// So many steps of a release are judged beside the last.
const MAX_STEPS: usize = 20;

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
        CheckOutput::Json => terminal::json(&json::of(&report), out)?,
        CheckOutput::Yaml => terminal::yaml(&json::of(&report), out)?,
        CheckOutput::Sarif => sarif::write(&report, &codes::every(), out)?,
    }
    Ok(if report.reaches(args.fail_on.severity()) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// All that can be said about the manifests.
fn judge(world: World) -> Report {
    let mut read = Report::new(&world.loaded);
    read.add(world.findings().cloned(), &world.loaded);
    let mut report = read.clone();
    // Files may hold the steps of a release, each with another version of an object. The last step is what remains.
    let steps = world.loaded.steps();
    for step in (0..steps - 1).take(MAX_STEPS).chain([steps - 1]) {
        let loaded = world.loaded.step(step);
        let snapshot = world.snapshot(loaded.readable().cloned());
        let mut findings: Vec<Finding> = snapshot.findings().cloned().collect();
        findings.extend(analysis::analyze(input(&snapshot, &world)));
        report.add(read.without_consequences(findings), &loaded);
    }
    report.finish(world.texts)
}

fn input<'a>(snapshot: &'a Snapshot, world: &'a World) -> Input<'a> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok();
    Input {
        networks: world.mesh.networks.as_ref(),
        now: now.and_then(|since| i64::try_from(since.as_secs()).ok()),
        ..Input::new(snapshot)
    }
}
