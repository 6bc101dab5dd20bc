//! Releases for people.

use std::fmt::Write as _;
use std::io::Write;

use serin_rollout::Phase;
use serin_rollout::facts::{Arm, Decision, Facts};
use serin_rollout::statistics::sequences;

use crate::terminal::Palette;

/// The width of a bar.
const BAR: usize = 40;
/// So many decisions are shown beside the rest.
const LAST: usize = 8;

/// A table of releases.
pub(super) fn list(
    all: &[Facts],
    with_namespace: bool,
    palette: Palette,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let mut rows = vec![
        ["NAMESPACE", "NAME", "PHASE", "CANARY", "FAILED", "VERDICT", "NEXT"].map(str::to_owned),
    ];
    for it in all {
        let next = it.next.as_ref().filter(|_| it.is_running()).map(|next| next.what.clone());
        let next = if it.suspended {
            "nothing, it is suspended".to_owned()
        } else {
            it.waits_for.clone().or(next).unwrap_or_default()
        };
        rows.push([
            it.namespace.clone(),
            it.name.clone(),
            it.phase.to_string(),
            format!("{} %", it.weights.canary),
            format!("{}/{}", it.failed_checks, it.threshold),
            it.verdict.clone().unwrap_or_else(|| "-".to_owned()),
            next,
        ]);
    }
    if all.is_empty() {
        writeln!(out, "no releases here; `serin canary list -A` looks in all namespaces")?;
        return Ok(());
    }
    let first = usize::from(!with_namespace);
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..7).map(width).collect();
    for (index, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for column in first..7 {
            // Writing to a string does not fail.
            let _ = write!(line, "{:width$}   ", row[column], width = widths[column]);
        }
        let line = line.trim_end();
        if index == 0 {
            writeln!(out, "{}", palette.faint(line))?
        } else {
            writeln!(out, "{line}")?
        }
    }
    Ok(())
}

/// A release.
pub(super) fn show(
    facts: &Facts,
    now: i64,
    palette: Palette,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    heading(facts, palette, out)?;
    weights(facts, palette, out)?;
    versions(facts, palette, out)?;
    evidence(facts, palette, out)?;
    next(facts, now, palette, out)?;
    let skipped = facts.decisions.len().saturating_sub(LAST);
    if !facts.decisions.is_empty() {
        writeln!(out)?;
        decisions(&facts.decisions[skipped..], palette, out)?;
    }
    Ok(())
}

fn heading(facts: &Facts, palette: Palette, out: &mut dyn Write) -> anyhow::Result<()> {
    let name = format!("{}.{}", facts.name, facts.namespace);
    writeln!(
        out,
        "{}   {}   {}",
        palette.strong(&name),
        facts.target,
        palette.faint(&facts.api_version)
    )?;
    let phase = facts.phase.to_string();
    let phase = match facts.phase {
        Phase::Failed => palette.error(&phase),
        Phase::Succeeded | Phase::Initialized => palette.good(&phase),
        _ => palette.strong(&phase),
    };
    write!(out, "{phase}   step {}", facts.step)?;
    if facts.iterations > 0 {
        write!(out, "   iteration {}", facts.iterations)?;
    }
    write!(out, "   failed checks {} of {}", facts.failed_checks, facts.threshold)?;
    if facts.held {
        write!(out, "   {}", palette.warning("held"))?;
    }
    if facts.suspended {
        write!(out, "   {}", palette.warning("suspended"))?;
    }
    writeln!(out)?;
    Ok(())
}

fn weights(facts: &Facts, palette: Palette, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out)?;
    for (name, weight) in [("primary", facts.weights.primary), ("canary", facts.weights.canary)] {
        let filled = usize::try_from(weight).unwrap_or(0).min(100) * BAR / 100;
        let (full, empty) = ("█".repeat(filled), "░".repeat(BAR - filled));
        writeln!(out, "{name:8} {full}{} {weight:3} %", palette.faint(&empty))?;
    }
    if let Some(mirror) = facts.weights.mirror {
        writeln!(out, "{mirror} % of the requests are mirrored to the canary")?;
    }
    Ok(())
}

/// Rate, errors with their interval and latency of both versions.
fn versions(facts: &Facts, palette: Palette, out: &mut dyn Write) -> anyhow::Result<()> {
    let Some(lately) = &facts.lately else { return Ok(()) };
    let title = format!("the last {} s", lately.seconds);
    let head = format!(
        "{title:14} {:>10}  {:>30}  {:>9}  {:>9}",
        "requests/s", "errors, 95 % interval", "p50", "p99"
    );
    writeln!(out, "\n{}", palette.faint(&head))?;
    for (name, arm) in [("primary", &lately.primary), ("canary", &lately.canary)] {
        let time = |it: Option<f64>| it.map_or_else(|| "-".to_owned(), |it| format!("{it:.1} ms"));
        writeln!(
            out,
            "{name:14} {:>10.1}  {:>30}  {:>9}  {:>9}",
            arm.requests_per_second,
            errors(arm),
            time(arm.p50),
            time(arm.p99)
        )?;
    }
    Ok(())
}

fn errors(arm: &Arm) -> String {
    if arm.requests == 0 {
        return "-".to_owned();
    }
    let (low, high) = sequences::proportion(arm.failures, arm.requests, 0.05);
    let rate = arm.failures as f64 / arm.requests as f64;
    format!("{:.2} %  ({:.2} to {:.2} %)", rate * 100.0, low * 100.0, high * 100.0)
}

fn evidence(facts: &Facts, palette: Palette, out: &mut dyn Write) -> anyhow::Result<()> {
    let Some(evidence) = &facts.evidence else { return Ok(()) };
    let share = (evidence.peak_log_e / evidence.threshold).clamp(0.0, 1.0);
    let filled = (share * BAR as f64).round() as usize;
    let (full, empty) = ("█".repeat(filled), "░".repeat(BAR - filled));
    let verdict = format!("{:?}", evidence.verdict);
    let verdict = match verdict.as_str() {
        "Abort" => palette.error("abort"),
        "GoOn" => palette.good("go on"),
        _ => palette.warning("inconclusive"),
    };
    let sum = format!("{:.2} of {:.2}", evidence.peak_log_e, evidence.threshold);
    writeln!(
        out,
        "\nevidence {full}{} {sum} for an abort   verdict: {verdict}",
        palette.faint(&empty)
    )?;
    let canary = (evidence.canary.errors, evidence.canary.units);
    let primary = (evidence.primary.errors, evidence.primary.units);
    let units = facts.unit.as_ref().map_or_else(String::new, |unit| format!(" {unit}s"));
    writeln!(
        out,
        "  errors of this release: canary {} of {}{units}, primary {} of {}{units}",
        canary.0, canary.1, primary.0, primary.1
    )?;
    for test in &evidence.tests {
        let name = format!("{:?}", test.name).to_lowercase();
        writeln!(out, "  {name:16} {:+.2}", test.log_e)?;
    }
    if let Some(gate) = &evidence.gate {
        writeln!(
            out,
            "  gate             {:+.2} of {:.2} to rule out {} times the errors",
            gate.log_e, gate.threshold, gate.ratio
        )?;
    }
    for line in &evidence.outlook {
        writeln!(out, "  {}", palette.faint(line))?;
    }
    Ok(())
}

fn next(facts: &Facts, now: i64, palette: Palette, out: &mut dyn Write) -> anyhow::Result<()> {
    let next = facts.next.as_ref().filter(|_| facts.is_running());
    if next.is_some() || facts.waits_for.is_some() {
        writeln!(out)?;
    }
    if let Some(next) = next {
        let due = next.at.as_ref().and_then(|at| at.parse::<jiff::Timestamp>().ok());
        let when = match due.map(|it| it.as_millisecond() - now) {
            Some(due @ 1..) => format!(" in {} s", (due + 999) / 1000),
            Some(_) => " now".to_owned(),
            None => String::new(),
        };
        writeln!(out, "next{when}: {}", palette.strong(&next.what))?;
    }
    // Between releases, too: one that cannot begin says why.
    if let Some(waits) = &facts.waits_for {
        writeln!(out, "waits for: {}", palette.warning(waits))?;
    }
    Ok(())
}

/// Decisions with their reasons, oldest first.
pub(super) fn decisions(
    all: &[Decision],
    palette: Palette,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    for it in all {
        let time = it.time.get(11..19).unwrap_or(&it.time);
        write!(out, "{}  ", palette.faint(time))?;
        if it.warning {
            write!(out, "{}", palette.warning(&it.event))?
        } else {
            write!(out, "{}", it.event)?
        }
        if it.reason.is_empty() {
            writeln!(out)?
        } else {
            writeln!(out, "  {}", palette.faint(&it.reason))?
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use serde_json::json;
    use serin_rollout::facts::Next;

    use super::*;

    const PLAIN: Palette = Palette { colors: false };

    /// A release in the middle of its way.
    fn example() -> Facts {
        let object = json!({
            "apiVersion": "serin.dev/v1alpha1", "kind": "Canary",
            "metadata": {"name": "reviews", "namespace": "shop"},
            "spec": {"targetRef": {"kind": "Deployment", "name": "reviews"}, "analysis": {"threshold": 5}},
            "status": {
                "phase": "Progressing", "canaryWeight": 20, "failedChecks": 1, "iterations": 0,
                "lastTransitionTime": "2026-11-21T10:00:00Z",
                "release": {
                    "step": 2, "verdict": "inconclusive", "unit": "session", "waitsFor": null,
                    "next": {"what": "the new version gets 40 %", "at": "2026-11-21T10:02:30Z"},
                    "evidence": {
                        "verdict": "inconclusive", "logE": 0.42, "peakLogE": 0.9, "threshold": 4.605, "pValue": 0.4,
                        "tests": [{"name": "errors", "logE": 0.8, "weight": 0.5}, {"name": "latency", "logE": -0.2, "weight": 0.5}],
                        "gate": {"ratio": 2.0, "logE": 1.2, "threshold": 2.996},
                        "canary": {"units": 1204, "errors": 2, "low": 0.0002, "high": 0.0089},
                        "primary": {"units": 4816, "errors": 5, "low": 0.0003, "high": 0.0041},
                        "outlook": ["3 more errors of the canary in a row, with none of the primary, would abort"],
                    },
                    "lately": {
                        "seconds": 60,
                        "canary": {"requestsPerSecond": 20.1, "requests": 1204, "failures": 2, "p50": 12.0, "p99": 80.5},
                        "primary": {"requestsPerSecond": 80.3, "requests": 4816, "failures": 5, "p50": 11.0, "p99": 71.2},
                    },
                    "decisions": [
                        {"time": "2026-11-21T10:00:00Z", "warning": false, "event": "New revision detected! Scaling up reviews.shop",
                         "reason": "the workload or its configuration changed"},
                        {"time": "2026-11-21T10:01:30Z", "warning": true, "event": "Halt reviews.shop advancement success rate 98.00% < 99%",
                         "reason": "failed check 1 of 5, at which the release is rolled back"},
                    ],
                },
            },
        });
        Facts::of("serin.dev/v1alpha1", &object)
    }

    fn printed(print: impl Fn(&mut dyn Write) -> anyhow::Result<()>) -> String {
        let mut out = Vec::new();
        print(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_release_is_shown_with_all_it_knows() {
        let now = "2026-11-21T10:02:18Z".parse::<jiff::Timestamp>().unwrap().as_millisecond();
        assert_snapshot!(printed(|out| show(&example(), now, PLAIN, out)), @r#"
        reviews.shop   Deployment/reviews   serin.dev/v1alpha1
        Progressing   step 2   failed checks 1 of 5

        primary  ████████████████████████████████░░░░░░░░  80 %
        canary   ████████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  20 %

        the last 60 s  requests/s           errors, 95 % interval        p50        p99
        primary              80.3        0.10 %  (0.01 to 0.32 %)    11.0 ms    71.2 ms
        canary               20.1        0.17 %  (0.00 to 0.77 %)    12.0 ms    80.5 ms

        evidence ████████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░ 0.90 of 4.61 for an abort   verdict: inconclusive
          errors of this release: canary 2 of 1204 sessions, primary 5 of 4816 sessions
          errors           +0.80
          latency          -0.20
          gate             +1.20 of 3.00 to rule out 2 times the errors
          3 more errors of the canary in a row, with none of the primary, would abort

        next in 12 s: the new version gets 40 %

        10:00:00  New revision detected! Scaling up reviews.shop  the workload or its configuration changed
        10:01:30  Halt reviews.shop advancement success rate 98.00% < 99%  failed check 1 of 5, at which the release is rolled back
        "#);
    }

    #[test]
    fn a_held_release_tells_what_comes_once_it_is_resumed() {
        let what = "the new version gets 40 %, once it is resumed".to_owned();
        let held = Facts { next: Some(Next { what, at: None }), held: true, ..example() };
        let text = printed(|out| next(&held, 0, PLAIN, out));
        assert_eq!(text, "\nnext: the new version gets 40 %, once it is resumed\n");
    }

    #[test]
    fn releases_are_listed() {
        let why = "spec.provider nginx is not supported".to_owned();
        let blocked = Facts {
            name: "blocked".to_owned(),
            phase: Phase::Initializing,
            verdict: None,
            waits_for: Some(why),
            ..example()
        };
        let rest = Facts { name: "rest".to_owned(), phase: Phase::Succeeded, ..example() };
        let all = [example(), blocked.clone(), rest];
        assert_snapshot!(printed(|out| list(&all, true, PLAIN, out)), @r#"
        NAMESPACE   NAME      PHASE          CANARY   FAILED   VERDICT        NEXT
        shop        reviews   Progressing    20 %     1/5      inconclusive   the new version gets 40 %
        shop        blocked   Initializing   20 %     1/5      -              spec.provider nginx is not supported
        shop        rest      Succeeded      20 %     1/5      inconclusive
        "#);
        let text = printed(|out| next(&blocked, 0, PLAIN, out));
        assert_eq!(text, "\nwaits for: spec.provider nginx is not supported\n");
    }
}
