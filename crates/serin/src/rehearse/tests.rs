use std::path::PathBuf;

use clap::Parser;

use super::*;
use crate::cli::{Cli, Command};

const CANARY: &str = "\
apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: podinfo, namespace: test}
spec:
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: podinfo}
  service: {port: 9898}
  analysis: {interval: 60s, threshold: 5, maxWeight: 50, stepWeight: 10}
";

/// A file of its own for one test, removed at its end.
struct File(PathBuf);

impl File {
    fn new(name: &str, content: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("serin-rehearse-{}-{name}.yaml", std::process::id()));
        std::fs::write(&path, content).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn rehearsed(file: &File, more: &[&str]) -> Result<String, String> {
    let path = file.0.display().to_string();
    let arguments = ["serin", "rehearse", &path].into_iter().chain(more.iter().copied());
    let cli = Cli::try_parse_from(arguments).map_err(|error| error.to_string())?;
    let Command::Rehearse(args) = &cli.command else { unreachable!("it was parsed as rehearse") };
    let mut out = Vec::new();
    run(args, &mut out).map_err(|error| format!("{error:#}"))?;
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn json_has_a_row_for_each_rule() {
    let file = File::new("json", CANARY);
    let text =
        rehearsed(&file, &["--runs", "4", "--errors", "0.1%→20%", "--output", "json"]).unwrap();
    let rows: serde_json::Value = serde_json::from_str(&text).unwrap();
    let rules: Vec<&str> =
        rows.as_array().unwrap().iter().map(|row| row["rule"].as_str().unwrap()).collect();
    assert_eq!(rules, ["sequential", "flagger"]);
    for row in rows.as_array().unwrap() {
        assert_eq!((row["runs"].as_u64(), row["aborted"].as_u64()), (Some(4), Some(4)), "{row}");
        let count = |name: &str| row[name].as_u64().unwrap();
        assert_eq!(count("promoted") + count("inconclusive"), 0);
        for spread in ["seconds", "canary_requests", "canary_errors"] {
            assert!(row[spread]["median"].as_u64() <= row[spread]["p95"].as_u64());
        }
        assert_eq!(row["alike"]["aborted"], 0);
    }
    let seconds = |row: usize| rows[row]["seconds"]["median"].as_u64().unwrap();
    assert!(seconds(0) < 30 && seconds(1) >= 300, "{rows}");
}

#[test]
fn the_same_seed_gives_the_same_text() {
    let file = File::new("seed", CANARY);
    let of = |seed: &str| {
        rehearsed(&file, &["--runs", "2", "--rps", "20", "--seed", seed, "--color", "never"])
            .unwrap()
    };
    let text = of("7");
    assert_eq!(text, of("7"));
    assert!(text.starts_with("Canary test/podinfo\n  10, 20, 30, 40, 50 %, a step every 1m\n  20 requests/s; 2 releases by each rule, seed 7\n"), "{text}");
}

#[test]
fn errors_and_factors_are_read_as_people_write_them() {
    let errors = |text: &str| text.parse::<args::Errors>().map(|it| (it.before, it.after));
    assert_eq!(errors("0.1%→1%"), Ok((0.001, 0.01)));
    assert_eq!(errors("0.1% -> 1 %"), Ok((0.001, 0.01)));
    assert_eq!(errors("0.5%"), Ok((0.005, 0.005)));
    assert_eq!(errors("0.02->0.5"), Ok((0.02, 0.5)));
    assert!(errors("1->200%").is_err() && errors("many").is_err());
    for text in ["1.3x", "1.3", "1.3×"] {
        assert_eq!(text.parse(), Ok(args::Slower(1.3)));
    }
    assert!("fast".parse::<args::Slower>().is_err());
}

#[test]
fn a_file_without_one_canary_is_refused() {
    let none = rehearsed(
        &File::new("none", "kind: ConfigMap\napiVersion: v1\nmetadata: {name: a}\n"),
        &[],
    );
    assert!(none.unwrap_err().contains("has no Canary that can be read"));
    let two = File::new(
        "two",
        &format!("{CANARY}---\n{}", CANARY.replace("name: podinfo, ", "name: other, ")),
    );
    assert!(rehearsed(&two, &[]).unwrap_err().contains("name one of podinfo, other with --name"));
    assert!(rehearsed(&two, &["--name", "other", "--runs", "1", "--rps", "1"]).is_ok());
}
