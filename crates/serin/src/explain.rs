//! `serin explain`: which way a request goes, and why.

mod answer;
mod reason;
mod request;
#[cfg(test)]
mod tests;
mod text;
mod told;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::ensure;
use serin_api::{FieldPath, Kind, ObjectRef, Severity};
use serin_routing::explain::RuleReport;
use serin_routing::simulate::{Call, simulate};
use serin_translate::{tell_left_out, translate};

use self::answer::Answer;
pub(crate) use self::request::{from_url, labels, with_headers};
pub(crate) use self::told::told;
use crate::cli::ExplainArgs;
use crate::terminal::{self, Palette};
use crate::world::World;

/// Asks the model of the manifests about each request. An error that a request gets is an answer like any other.
pub(crate) fn run(args: &ExplainArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let (mut files, request) = request::untangle(args);
    let question = request::from_args(args, &request)?;
    if files.is_empty() {
        files.push(PathBuf::from("."));
    }
    let world = World::read(&files, &args.world)?;
    tell_mistakes(&world, args)?;
    let named =
        args.world.namespace.as_deref().or_else(|| world.namespace_of(&question.proxy.labels));
    let proxy = question.proxy.proxy(named.unwrap_or(args.world.default_namespace()));
    // A cluster would not have taken the objects with mistakes.
    let objects = world.loaded.objects.iter().map(|loaded| loaded.object.clone());
    let snapshot = world.snapshot(objects);
    let translation = translate(&snapshot, &proxy);
    let model = &translation.model;
    let direction = question.proxy.direction();
    let answer = |call: &Call| {
        let mut way = simulate(model, direction, call);
        tell_left_out(&snapshot, &proxy, call.port, &mut way);
        let rules =
            way.rule.iter_mut().chain(way.rejected.iter_mut().map(|rejected| &mut rejected.rule));
        rules.for_each(|rule| place(rule, &world));
        let reason = reason::of(&way, model, call.direction.unwrap_or(direction), call);
        Answer { name: call.name.clone(), reason, way }
    };
    let answers: Vec<Answer> = question.calls.iter().map(answer).collect();
    let palette = Palette { colors: terminal::stdout_colors(args.view.color) };
    let text = |out: &mut dyn Write| {
        for (index, (call, answer)) in question.calls.iter().zip(&answers).enumerate() {
            if index > 0 {
                writeln!(out, "\n")?;
            }
            text::write(&proxy, call, answer, palette, out)?;
        }
        Ok(())
    };
    match (args.calls.is_some(), answers.first()) {
        (false, Some(answer)) => terminal::print(args.output, answer, out, text)?,
        _ => terminal::print(args.output, &answers, out, text)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Adds file and line to a rule, as far as the object came from a text.
fn place(rule: &mut RuleReport, world: &World) {
    let (group, list) = match rule.kind.as_str() {
        "VirtualService" => ("networking.istio.io", "http"),
        "HTTPRoute" | "GRPCRoute" => ("gateway.networking.k8s.io", "rules"),
        _ => return,
    };
    let object = ObjectRef {
        api_version: Kind::find(group, &rule.kind).map(Kind::api_version).unwrap_or_default(),
        kind: rule.kind.clone(),
        namespace: rule.namespace.clone(),
        name: rule.name.clone(),
    };
    let field = match rule.index {
        Some(index) => FieldPath::spec().key(list).index(index as usize),
        None => FieldPath::spec(),
    };
    if let Some(place) = world.loaded.place(&object, &field) {
        rule.file = Some(place.file.to_string());
        rule.line = Some(place.span.start.line);
    }
    if let Some(root) = &mut rule.root {
        place(root, world);
    }
}

/// An answer holds for the objects without mistakes: says on standard error if there are others.
fn tell_mistakes(world: &World, args: &ExplainArgs) -> anyhow::Result<()> {
    let mesh_errors: Vec<&str> =
        world.mesh.findings.iter().map(|finding| finding.message.as_str()).collect();
    ensure!(mesh_errors.is_empty(), "--mesh-config: {}", mesh_errors.join("; "));
    let errors = world.findings().filter(|finding| finding.severity == Severity::Error).count();
    if errors > 0 {
        let mark = terminal::stderr_palette(args.view.color).warning("warning:");
        let noun = if errors == 1 { "1 mistake" } else { &format!("{errors} mistakes") };
        writeln!(
            io::stderr(),
            "{mark} {noun} in the manifests; objects with mistakes are left out, `serin check` shows them"
        )?;
    }
    Ok(())
}
