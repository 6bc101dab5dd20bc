//! What a request may cost: the counts of `cargo xtask bench instructions` are kept in the repository, and CI counts again.
//!
//! A change that costs or saves more than the tolerance fails until `--accept` writes the new counts, so that it shows in the
//! change itself.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Context;

use crate::bench::{self, Row};
use crate::steps::Outcome;
use crate::tools;
use crate::workspace::Workspace;

/// The benchmark's name.
pub(crate) const BENCH: &str = "instructions";
/// Cargo's profile that it is built with.
pub(crate) const PROFILE: &str = "instructions";
/// Where the counts are kept.
const FILE: &str = "benches/instructions.toml";
/// How far a count may be from the one that is kept, as a part of it, by metric. How often the process waits, and so
/// how often it asks for the time, depends on the machine.
const TOLERANCES: [(&str, f64); 2] = [("instructions", 0.03), ("system calls", 0.25)];

/// How often is counted before a difference is believed. On a busy machine a proxy wakes up for less at a time, which only ever adds.
const ATTEMPTS: usize = 4;

/// Counts by metric and case.
type Counts = BTreeMap<String, BTreeMap<String, f64>>;

/// Counts, and compares with what is kept.
pub(crate) fn check(workspace: &Workspace) -> anyhow::Result<Outcome> {
    if !cfg!(target_arch = "x86_64") {
        return Ok(Outcome::Skipped("the counts that are kept are those of x86_64".to_owned()));
    }
    if tools::find("valgrind").is_none() {
        return Ok(Outcome::Skipped("valgrind is not installed".to_owned()));
    }
    let kept: Counts = toml::from_str(&workspace.read(FILE)?).context(FILE)?;
    let mut counted = Counts::new();
    let mut problems = Vec::new();
    for _ in 0..ATTEMPTS {
        lower(&mut counted, by_metric(&bench::measure(workspace, BENCH, false)?));
        problems = differences(&kept, &counted);
        if problems.is_empty() {
            break;
        }
    }
    Ok(problems.into())
}

/// Counts, and keeps it.
pub(crate) fn accept(workspace: &Workspace) -> anyhow::Result<()> {
    let mut counted = Counts::new();
    for _ in 0..ATTEMPTS {
        lower(&mut counted, by_metric(&bench::measure(workspace, BENCH, false)?));
    }
    let path = workspace.root.join(FILE);
    std::fs::write(&path, text(&counted)).with_context(|| format!("cannot write {FILE}"))
}

fn by_metric(rows: &[Row]) -> Counts {
    let mut counts = Counts::new();
    for row in rows {
        let cases = counts.entry(row.of.metric.clone()).or_default();
        cases.insert(row.of.case.clone(), row.median);
    }
    counts
}

/// Of each case the smaller count.
fn lower(counts: &mut Counts, others: Counts) {
    for (metric, cases) in others {
        let known = counts.entry(metric).or_default();
        for (case, count) in cases {
            known.entry(case).and_modify(|it| *it = it.min(count)).or_insert(count);
        }
    }
}

/// One sentence for each case that is not as it is kept.
fn differences(kept: &Counts, counted: &Counts) -> Vec<String> {
    let advice = "if that is meant, `cargo xtask bench instructions --accept`";
    let mut problems = Vec::new();
    for (metric, cases) in counted {
        let tolerance = TOLERANCES.iter().find(|(known, _)| known == metric).map_or(0.0, |it| it.1);
        for (case, &now) in cases {
            match kept.get(metric).and_then(|cases| cases.get(case)) {
                None => problems.push(format!("{FILE} has no {metric} of {case}; {advice}")),
                Some(&before) if (now - before).abs() > before * tolerance => {
                    let change = (now / before - 1.0) * 100.0;
                    problems.push(format!(
                        "{case}: {now:.1} {metric}, kept are {before:.1} ({change:+.1} %); {advice}"
                    ));
                }
                Some(_) => {}
            }
        }
    }
    problems
}

fn text(counts: &Counts) -> String {
    let mut text = String::from(
        "# What a request costs the proxy, counted by callgrind: `cargo xtask bench instructions --accept` writes it.\n\
         # Outside of valgrind reading the clock is no system call.\n",
    );
    for (metric, cases) in counts {
        // Writing to memory does not fail.
        let _ = writeln!(text, "\n[{metric:?}]");
        for (case, count) in cases {
            let _ = writeln!(text, "{case:?} = {count:.1}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(count: f64) -> Counts {
        [("instructions".to_owned(), [("http/1".to_owned(), count)].into())].into()
    }

    #[test]
    fn counts_are_kept_as_they_were_written() {
        let read: Counts = toml::from_str(&text(&counts(1234.5))).unwrap();
        assert_eq!(read, counts(1234.5));
    }

    #[test]
    fn the_smallest_of_several_counts_is_taken() {
        let mut smallest = Counts::new();
        for count in [1010.0, 1000.0, 1040.0] {
            lower(&mut smallest, counts(count));
        }
        assert_eq!(smallest, counts(1000.0));
    }

    #[test]
    fn more_and_less_than_the_tolerance_are_both_told() {
        for (now, expected) in [(1000.0, 0), (1029.0, 0), (971.0, 0), (1031.0, 1), (969.0, 1)] {
            assert_eq!(differences(&counts(1000.0), &counts(now)).len(), expected, "{now}");
        }
        assert_eq!(differences(&Counts::new(), &counts(1.0)).len(), 1);
    }
}
