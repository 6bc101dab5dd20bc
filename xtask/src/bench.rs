//! `cargo xtask bench NAME`: runs a benchmark and turns its samples into rows.
//!
//! A benchmark is one or several bench targets of crates without cargo's harness. Each prints one JSON object per sample on its standard
//! output, `{"case", "subject", "metric", "unit", "value"}`, in the order in which the rows shall appear, and everything meant
//! for people on its standard error. Samples that agree in the first four are the rounds of one row.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::workspace::Workspace;
use crate::{instructions, tools};

/// The benchmarks, with the packages and bench targets that they are made of.
const BENCHES: &[(&str, &[(&str, &str)])] = &[
    (instructions::BENCH, &[("serin-proxy", "instructions")]),
    ("apiserver", &[("serin", "apiserver")]),
    ("cluster", &[("serin", "cluster")]),
    ("proxy", &[("serin", "proxy")]),
    ("release", &[("serin", "release")]),
    ("soak", &[("serin", "soak")]),
    ("routing", &[("serin-routing", "routing"), ("serin-translate", "change")]),
    ("verdict", &[("serin-rollout", "verdict")]),
];

/// One measurement of one round.
#[derive(Deserialize)]
struct Sample {
    #[serde(flatten)]
    of: Measured,
    value: f64,
}

/// What was measured.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) case: String,
    subject: String,
    pub(crate) metric: String,
    unit: String,
}

/// What the rounds say together.
#[derive(Serialize)]
pub(crate) struct Row {
    #[serde(flatten)]
    pub(crate) of: Measured,
    pub(crate) median: f64,
    min: f64,
    max: f64,
    rounds: usize,
}

/// Runs benchmark `name`, prints its rows and writes them to `json` if asked.
pub(crate) fn run(
    workspace: &Workspace,
    name: &str,
    quick: bool,
    json: Option<&Path>,
) -> anyhow::Result<()> {
    let rows = measure(workspace, name, quick)?;
    print!("{}", table(&rows));
    if let Some(file) = json {
        let text = serde_json::to_string_pretty(&rows)?;
        std::fs::write(file, text + "\n")
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// Runs benchmark `name`.
pub(crate) fn measure(workspace: &Workspace, name: &str, quick: bool) -> anyhow::Result<Vec<Row>> {
    let Some((_, targets)) = BENCHES.iter().find(|(known, _)| *known == name) else {
        let names: Vec<&str> = BENCHES.iter().map(|(known, _)| *known).collect();
        bail!("there is no benchmark {name}; there are: {}", names.join(", "));
    };
    if name == "proxy" {
        tools::ensure(workspace)?;
    }
    let mut command = workspace.cargo(&["bench", "--locked"]);
    if name == instructions::BENCH {
        command.args(["--profile", instructions::PROFILE]);
    }
    for (package, target) in *targets {
        command.args(["--package", package, "--bench", target]);
    }
    command.args(quick.then_some(["--", "--quick"]).into_iter().flatten());
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo bench")?;
    let output = child.stdout.take().context("cargo bench has no output")?;
    let mut samples = Vec::new();
    for line in BufReader::new(output).lines() {
        let line = line?;
        samples.push(serde_json::from_str(&line).with_context(|| format!("not a sample: {line}"))?);
    }
    ensure!(child.wait()?.success(), "the benchmark failed");
    ensure!(!samples.is_empty(), "the benchmark measured nothing");
    Ok(rows(samples))
}

/// One row for each thing measured, in the order of their first samples.
fn rows(samples: Vec<Sample>) -> Vec<Row> {
    let mut order = Vec::new();
    let mut values: BTreeMap<Measured, Vec<f64>> = BTreeMap::new();
    for Sample { of, value } in samples {
        values
            .entry(of)
            .or_insert_with_key(|of| {
                order.push(of.clone());
                Vec::new()
            })
            .push(value);
    }
    let row = |of: Measured| {
        let mut values = values.remove(&of)?;
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            *values.get(middle)?
        } else {
            f64::midpoint(*values.get(middle - 1)?, *values.get(middle)?)
        };
        Some(Row { of, median, min, max, rounds: values.len() })
    };
    order.into_iter().filter_map(row).collect()
}

/// The rows as columns of text.
fn table(rows: &[Row]) -> String {
    let mut lines = vec![
        ["case", "subject", "metric", "median", "min", "max", "unit", "rounds"].map(String::from),
    ];
    lines.extend(rows.iter().map(|row| {
        let Measured { case, subject, metric, unit } = row.of.clone();
        let [median, min, max] = [row.median, row.min, row.max].map(number);
        [case, subject, metric, median, min, max, unit, row.rounds.to_string()]
    }));
    let width =
        |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 8] = std::array::from_fn(width);
    let mut text = String::new();
    for line in &lines {
        let cells: Vec<String> =
            line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Three significant digits are as much as a timing on a shared machine can mean.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_become_rows_in_order_of_appearance() {
        let sample = |case: &str, value: f64| {
            let of = Measured {
                case: case.into(),
                subject: "serin".into(),
                metric: "time".into(),
                unit: "ns".into(),
            };
            Sample { of, value }
        };
        let samples = vec![
            sample("z", 3.0),
            sample("a", 10.0),
            sample("z", 1.0),
            sample("z", 2.0),
            sample("a", 20.0),
        ];
        let rows = rows(samples);
        let of = |row: &Row| (row.of.case.clone(), row.median, row.min, row.max, row.rounds);
        assert_eq!(of(&rows[0]), ("z".to_owned(), 2.0, 1.0, 3.0, 3));
        assert_eq!(of(&rows[1]), ("a".to_owned(), 15.0, 10.0, 20.0, 2));
        assert_eq!(
            table(&rows),
            "case  subject  metric  median  min   max   unit  rounds\n\
             z     serin    time    2.00    1.00  3.00  ns    3\n\
             a     serin    time    15.0    10.0  20.0  ns    2\n"
        );
    }
}
