//! The stories of `serin demo` end as they should, by their own account in JSON.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use serin_testkit::{Process, tools};

use crate::machine::{address, is_allowed};

/// The events of a story; `None`, with the reason printed, where this machine does not allow it. It must end with success.
fn tell(story: &str) -> Option<Vec<Value>> {
    if !is_allowed() {
        println!("skipped: this user may not make network namespaces");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.jsonl");
    let output =
        demo(story, &folder.path().join("data")).arg("--json").arg(&file).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let events = std::fs::read_to_string(&file).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{errors}\n{events}");
    assert!(!folder.path().join("data").exists(), "the cluster's folder is still there");
    Some(events.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// The command that tells a story in a folder.
fn demo(story: &str, data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_serin"));
    command.current_dir(tools::root()).args(["demo", story, "--fast", "--rate", "40"]);
    command.arg("--data-dir").arg(data).args(["--gateway-address", &address().to_string()]);
    command
}

fn event<'e>(events: &'e [Value], name: &str) -> &'e Value {
    events.iter().find(|it| it["event"] == name).unwrap_or_else(|| panic!("no {name}: {events:?}"))
}

#[test]
fn a_good_version_is_promoted_and_a_bad_one_is_rolled_back() {
    let Some(events) = tell("release") else { return };
    let promoted = event(&events, "promoted");
    assert_eq!((&promoted["phase"], &promoted["user_errors"]), (&"Succeeded".into(), &0.into()));
    assert!(promoted["user_requests"].as_u64().unwrap() > 100, "{promoted}");
    let weights: Vec<u64> = events
        .iter()
        .filter(|it| it["event"] == "weights" && it["release"] == promoted["release"])
        .filter_map(|it| it["weights"]["canary"].as_u64())
        .collect();
    assert_eq!(weights, [0, 20, 40, 60, 80, 100, 0], "{events:?}");
    let back = event(&events, "rolled_back");
    assert_eq!((&back["phase"], &back["verdict"]), (&"Failed".into(), &"abort".into()));
    assert!(back["reason"].as_str().unwrap().contains("worse"), "{back}");
    assert_eq!(back["weights"]["primary"], 100);
    // It was caught while it had copies only, unless the machine was too busy for enough of them.
    let had_users = events
        .iter()
        .filter(|it| it["release"] == back["release"])
        .any(|it| it["weights"]["canary"].as_u64().is_some_and(|weight| weight > 0));
    assert!(had_users || event(&events, "ended")["user_errors"] == 0, "{events:?}");
}

#[test]
fn users_stay_with_the_version_they_met() {
    let Some(events) = tell("affinity") else { return };
    assert_eq!(events.iter().filter(|it| it["event"] == "step").count(), 6, "{events:?}");
}

#[test]
fn requests_stay_in_their_lane() {
    let Some(events) = tell("lanes") else { return };
    let step = event(&events, "step")["reason"].as_str().unwrap();
    assert!(step.contains("appa-v2 ==> appb-v2"), "{step}");
}

#[test]
fn a_rolling_update_loses_nothing() {
    let Some(events) = tell("rolling") else { return };
    assert_eq!(event(&events, "ended")["user_errors"], 0);
}

#[test]
fn a_demo_whose_cluster_is_kept_ends_when_somebody_ends_the_cluster() {
    if !is_allowed() {
        println!("skipped: this user may not make network namespaces");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut demo = Process::start(demo("rolling", &data).arg("--keep"));
    demo.wait_for(|line| line.contains("The cluster stays"));
    let mut down = Command::new(env!("CARGO_BIN_EXE_serin"));
    assert!(down.arg("down").arg("--data-dir").arg(&data).output().unwrap().status.success());
    assert!(demo.wait().success(), "{}", demo.output());
    assert!(!data.exists(), "the cluster's folder is still there");
}

#[test]
fn copies_come_before_users() {
    let Some(events) = tell("mirror") else { return };
    let steps = events.iter().filter(|it| it["event"] == "step");
    let weights: Vec<u64> = steps.filter_map(|it| it["weights"]["canary"].as_u64()).collect();
    assert_eq!(weights, [0, 20, 40, 60, 80, 100]);
}
