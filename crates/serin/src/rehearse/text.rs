//! A rehearsal for people: two small tables, and what they mean.

use std::io::{self, Write};

use serin_rollout::plan::{Plan, Strategy};
use serin_rollout::rehearse::{Report, Rule};

use super::Rehearsal;
use crate::terminal::Palette;

pub(super) fn write(it: &Rehearsal, palette: Palette, out: &mut dyn Write) -> io::Result<()> {
    let service = &it.service;
    writeln!(out, "{}", palette.strong(format!("Canary {}/{}", it.plan.namespace, it.plan.name)))?;
    writeln!(out, "  {}", steps(&it.plan))?;
    let sessions = if service.burst > 1 {
        format!(", in sessions of {}", service.burst)
    } else {
        String::new()
    };
    let runs = it.rows.first().map_or(0, |row| row.alike.runs);
    writeln!(
        out,
        "  {} requests/s{sessions}; {runs} releases by each rule, seed {}",
        service.rate, it.seed
    )?;

    let alike = format!(
        "A new version that is as good as the old ({} errors)",
        share(service.primary_errors)
    );
    table(&alike, it.rows.iter().map(|row| &row.alike), palette, out)?;
    let slower = if service.slower == 1.0 {
        String::new()
    } else {
        format!(", {} times as slow", service.slower)
    };
    let described =
        format!("The new version as described ({} errors{slower})", share(service.canary_errors));
    table(&described, it.rows.iter().map(|row| &row.described), palette, out)?;

    writeln!(out)?;
    for row in &it.rows {
        let name = name(row.alike.rule);
        let is_worse = service.canary_errors > service.primary_errors || service.slower > 1.0;
        let good = format!("{} of good versions rolled back", part(row.alike.aborted, &row.alike));
        let bad = format!("{} of bad ones promoted", part(row.described.promoted, &row.described));
        if is_worse {
            writeln!(out, "{name}: {good}, {bad}.")?;
        } else {
            writeln!(out, "{name}: {good}.")?;
        }
    }
    Ok(())
}

fn table<'r>(
    title: &str,
    rows: impl Iterator<Item = &'r Report>,
    palette: Palette,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out)?;
    writeln!(out, "{}", palette.strong(title))?;
    writeln!(
        out,
        "  {}",
        palette.faint(format!(
            "{:<10} {:>9} {:>12} {:>10} {:>16} {:>20} {:>16}",
            "",
            "promoted",
            "rolled back",
            "undecided",
            "seconds",
            "requests exposed",
            "errors exposed"
        ))
    )?;
    for report in rows {
        let spread = |it: &serin_rollout::rehearse::Spread| format!("{} ({})", it.median, it.p95);
        writeln!(
            out,
            "  {:<10} {:>9} {:>12} {:>10} {:>16} {:>20} {:>16}",
            name(report.rule),
            part(report.promoted, report),
            part(report.aborted, report),
            part(report.inconclusive, report),
            spread(&report.seconds),
            spread(&report.canary_requests),
            spread(&report.canary_errors)
        )?;
    }
    writeln!(
        out,
        "  {}",
        palette
            .faint("seconds, requests and errors: the median, and the 95th percentile in brackets")
    )
}

fn name(rule: Rule) -> &'static str {
    match rule {
        Rule::Sequential => "evidence",
        Rule::Flagger => "thresholds",
    }
}

/// What the plan does to the traffic.
fn steps(plan: &Plan) -> String {
    let every = format!("a step every {}", plan.interval);
    match plan.strategy {
        Strategy::AbTesting => format!("{} iterations with chosen users, {every}", plan.iterations),
        Strategy::BlueGreen => format!("{} iterations, then all traffic, {every}", plan.iterations),
        Strategy::Weighted { mirror_ticks } => {
            let mut weights = Vec::new();
            let mut weight = 0;
            while weight < plan.max_weight && weights.len() < 100 {
                weight = plan.next_weight(weight);
                weights.push(weight.to_string());
            }
            let shown = if weights.len() > 8 {
                format!("{}, … {weight}", weights[..4].join(", "))
            } else {
                weights.join(", ")
            };
            let mirror = if mirror_ticks > 0 {
                format!("mirror {mirror_ticks} times, then ")
            } else {
                String::new()
            };
            format!("{mirror}{shown} %, {every}")
        }
    }
}

fn part(count: u64, of: &Report) -> String {
    format!("{:.1} %", 100.0 * count as f64 / of.runs.max(1) as f64)
}

fn share(share: f64) -> String {
    format!("{} %", (share * 1_000_000.0).round() / 10_000.0)
}
