//! What `serin.dev` adds: mirror then steps, subsets, evidence, holding, groups, exposure, quiet hours, proxies.

use serde_json::json;

use super::*;
use crate::observation::{Command, Member, Observation, Proxies, Traffic};
use crate::statistics::{Arm, Counts, Interval, MirrorInterval};
use crate::{Readiness, step};

/// The list of best practices at the end of document 001, as one plan.
fn nineteen() -> Plan {
    serin(json!({
        "autoscalerRef": {
            "kind": "HorizontalPodAutoscaler", "name": "reviews",
            "canaryScalerReplicas": {"minReplicas": 1, "maxReplicas": 4},
            "primaryScalerReplicas": {"minReplicas": 2, "maxReplicas": 10},
        },
        "analysis": {
            "interval": "1m", "threshold": 3, "mirror": true, "iterations": 3, "stepWeights": [20, 40, 60, 80, 100],
            "metrics": [
                {"name": "request-success-rate", "thresholdRange": {"min": 99}},
                {"name": "request-duration", "thresholdRange": {"max": 500}},
            ],
            "webhooks": [
                {"name": "acceptance", "type": "pre-rollout", "url": "http://tester/", "abortOnFailure": true},
                {"name": "load", "type": "rollout", "url": "http://tester/"},
                {"name": "done", "type": "post-rollout", "url": "http://tester/"},
            ],
        },
    }))
}

#[test]
fn the_nineteen_steps_are_taken_in_one_run() {
    let mut release = Release::changed(nineteen());
    let ticks = release.until(Phase::Succeeded);
    assert_eq!(
        ticks,
        [
            "Progressing 0",
            "Progressing 0 m",
            "Progressing 0 m",
            "Progressing 0 m",
            "Progressing 20",
            "Progressing 40",
            "Progressing 60",
            "Progressing 80",
            "Progressing 100",
            "Promoting 100",
            "Finalising 0",
            "Succeeded 0",
        ]
    );
    assert_eq!(
        release.events(),
        [
            "New revision detected! Scaling up podinfo.test",
            "Starting canary analysis for podinfo.test",
            "Pre-rollout check acceptance passed",
            "Advance podinfo.test canary iteration 1/3",
            "Advance podinfo.test canary iteration 2/3",
            "Advance podinfo.test canary iteration 3/3",
            "Advance podinfo.test canary weight 20",
            "Advance podinfo.test canary weight 40",
            "Advance podinfo.test canary weight 60",
            "Advance podinfo.test canary weight 80",
            "Advance podinfo.test canary weight 100",
            "Copying podinfo.test template spec to podinfo-primary.test",
            "Routing all traffic to primary",
            "Promotion completed! Scaling down podinfo.test",
        ]
    );
    let kind = |action: &Action| match action {
        Action::ScaleUpCanary => Some("2 scale up"),
        Action::SetScaler { side: crate::Side::Canary, least: Some(1), most: Some(4) } => {
            Some("3 canary's autoscaler")
        }
        Action::SetScaler { side: crate::Side::Primary, least: Some(2), most: Some(10) } => {
            Some("15 primary's autoscaler")
        }
        Action::CopyToPrimary { .. } => Some("14 promote"),
        Action::ScaleDownCanary => Some("18 scale down"),
        Action::Notify { .. } => Some("19 notify"),
        _ => None,
    };
    let done: Vec<&str> = release.world.log.iter().filter_map(kind).collect();
    assert_eq!(
        done,
        [
            "2 scale up",
            "3 canary's autoscaler",
            "14 promote",
            "15 primary's autoscaler",
            "19 notify",
            "18 scale down"
        ]
    );
}

#[test]
fn the_primary_keeps_no_traffic_while_it_is_updated() {
    let mut release = Release::changed(nineteen());
    release.until(Phase::Promoting);
    release.world.primary.as_mut().unwrap().readiness = Readiness::Pending("rolling".to_owned());
    release.tick();
    assert_eq!(release.shown(), "Promoting 100");
}

#[test]
fn acceptance_tests_that_fail_end_the_release_at_once() {
    let mut release = Release::changed(nineteen());
    release.say("acceptance", Answer::No("404".to_owned()));
    assert_eq!(release.until(Phase::Failed), ["Progressing 0", "Failed 0"]);
}

#[test]
fn flaggers_dialect_passes_the_steps_over_after_iterations() {
    let plan = flagger(
        json!({"interval": "1m", "mirror": true, "iterations": 2, "stepWeights": [20, 100]}),
    );
    let ticks = Release::changed(plan).until(Phase::Promoting);
    assert_eq!(
        ticks,
        ["Progressing 0", "Progressing 0 m", "Progressing 0 m", "Progressing 100", "Promoting 100"]
    );
}

#[test]
fn two_subsets_are_shifted_and_the_cookie_is_kept_and_taken_away() {
    let plan = serin(json!({
        "versions": {"primary": "v1", "canary": "v2"},
        "analysis": {
            "interval": "1m", "stepWeights": [20, 60, 100], "sessionAffinity": {"cookieName": "reviews-cookie", "maxAge": 21600},
        },
    }));
    let mut release = Release::new(plan);
    assert_eq!(release.shown(), "Progressing 0", "the wish to release is in the plan");
    let mut cookies = Vec::new();
    for _ in 0..3 {
        release.tick();
        cookies.push(release.world.routes.clone().unwrap().cookies.canary);
    }
    assert!(
        cookies[0].is_some() && cookies.iter().all(|cookie| *cookie == cookies[0]),
        "{cookies:?}"
    );
    assert_eq!(release.until(Phase::Succeeded), ["Finalising 100", "Succeeded 100"]);
    let routes = release.world.routes.clone().unwrap();
    assert_eq!((routes.cookies.canary, routes.cookies.expired), (None, cookies[0].clone()));
    assert!(release.world.log.iter().all(|it| {
        !matches!(
            it,
            Action::CopyToPrimary { .. } | Action::ScaleDownCanary | Action::ScaleUpCanary
        )
    }));
    (0..3).for_each(|_| release.tick());
    assert_eq!(release.shown(), "Succeeded 100");
}

fn by_evidence(more: Value) -> Plan {
    let mut analysis =
        json!({"interval": "1m", "threshold": 5, "stepWeights": [20, 100], "sequential": {}});
    for (key, value) in more.as_object().unwrap() {
        analysis[key] = value.clone();
    }
    serin(json!({"analysis": analysis}))
}

fn traffic(canary: (u64, u64), primary: (u64, u64)) -> Traffic {
    let arm = |(total, bad)| Arm { counts: Counts::new(total, bad), ..Arm::default() };
    Traffic::Counts(Interval { canary: arm(canary), primary: arm(primary) })
}

#[test]
fn evidence_ends_a_release_within_the_call_and_says_why() {
    let mut release = Release::changed(by_evidence(json!({})));
    release.tick();
    release.tick();
    release.world.traffic = vec![traffic((20, 6), (80, 0))];
    release.call();
    assert_eq!(release.shown(), "Failed 0");
    let reason = &release.state.history[release.state.history.len() - 2].reason;
    assert!(
        reason.starts_with(
            "the new version is worse: 6 of 20 units failed, 0 of 80 of the primary; evidence "
        ),
        "{reason}"
    );
}

#[test]
fn mirrored_pairs_end_a_release_before_a_user_is_part_of_it() {
    let mut release = Release::changed(by_evidence(json!({"mirror": true, "iterations": 3})));
    release.tick();
    release.tick();
    assert_eq!(release.shown(), "Progressing 0 m");
    let pairs = MirrorInterval { pairs: 100, canary_failed: 12, ..MirrorInterval::default() };
    release.world.traffic = vec![Traffic::Mirrored(pairs)];
    release.call();
    assert_eq!((release.shown().as_str(), release.state.exposed), ("Failed 0", 0));
    let reason = &release.state.history[release.state.history.len() - 2].reason;
    let expect = "the new version is worse: 12 copies failed that the primary answered well, 0 the other way round; evidence ";
    assert!(reason.starts_with(expect), "{reason}");
}

#[test]
fn too_little_evidence_follows_the_policy() {
    let check = |policy: &str, expect: &str| {
        let sequential = json!({"onInconclusive": policy, "patience": "3m"});
        let mut release = Release::changed(by_evidence(json!({"sequential": sequential})));
        (0..10).for_each(|_| release.tick());
        assert_eq!(release.shown(), expect, "{policy}: {:#?}", release.events());
    };
    check("hold", "Progressing 20");
    check("rollback", "Failed 0");
    check("promote", "Succeeded 0");
}

#[test]
fn enough_evidence_promotes() {
    let mut release = Release::changed(by_evidence(json!({})));
    (0..3).for_each(|_| release.tick());
    // At 100 % there is no primary to compare with: that step is not taken without evidence.
    assert_eq!(release.shown(), "Progressing 20");
    release.world.traffic = vec![traffic((20_000, 400), (80_000, 1600))];
    release.tick();
    assert_eq!(release.shown(), "Progressing 100");
    release.tick();
    assert_eq!(release.shown(), "Promoting 100");
}

#[test]
fn a_version_reaches_no_more_users_than_allowed_before_it_is_decided_about() {
    let exposure =
        json!({"stepWeights": [20, 40, 100], "maxExposure": {"users": 40, "requests": 500}});
    let mut release = Release::changed(by_evidence(exposure));
    (0..6).for_each(|_| release.tick());
    assert_eq!(release.shown(), "Progressing 40");
    release.world.traffic = vec![traffic((600, 0), (900, 0))];
    release.call();
    assert_eq!(release.shown(), "Progressing 0", "so many requests are enough");
    (0..3).for_each(|_| release.tick());
    assert_eq!(release.shown(), "Progressing 0");
}

#[test]
fn people_can_hold_resume_promote_abort_and_restart() {
    let order = |release: &mut Release, command: Command| {
        release.world.command = Some(command);
        release.call();
    };
    let mut release =
        Release::changed(serin(json!({"analysis": {"interval": "1m", "stepWeight": 20}})));
    release.tick();
    release.tick();
    order(&mut release, Command::Hold);
    (0..5).for_each(|_| release.tick());
    assert_eq!(release.shown(), "Progressing 20");
    let outlook = release.state.outlook(&release.plan);
    assert_eq!(outlook.what, "the new version gets 40 %, once it is resumed");
    assert_eq!(outlook.at, None, "that depends on someone");
    order(&mut release, Command::Resume);
    let outlook = release.state.outlook(&release.plan);
    assert_eq!(outlook.what, "the new version gets 40 %");
    assert_eq!(outlook.at, Some(release.state.tick.due));
    release.tick();
    assert_eq!(release.shown(), "Progressing 40");
    order(&mut release, Command::Restart);
    assert_eq!(release.shown(), "Progressing 0");
    release.tick();
    order(&mut release, Command::Promote);
    assert_eq!(release.state.phase, Phase::Promoting);
    release.until(Phase::Succeeded);
    release.world.target.revision = "v3".to_owned();
    release.until(Phase::Promoting);
    order(&mut release, Command::Abort);
    release.tick();
    assert_eq!(release.shown(), "Failed 0");
    assert_eq!(
        release.world.primary.as_ref().unwrap().revision,
        "v2",
        "the primary has its former version back"
    );
    // What was held was that run: the next one goes on by itself.
    order(&mut release, Command::Restart);
    order(&mut release, Command::Hold);
    order(&mut release, Command::Abort);
    assert_eq!(release.shown(), "Failed 0");
    order(&mut release, Command::Restart);
    (0..2).for_each(|_| release.tick());
    assert_eq!(release.shown(), "Progressing 40");
}

#[test]
fn nothing_advances_in_quiet_hours_and_going_back_is_always_allowed() {
    let quiet = json!([{"from": "00:00", "to": "00:00"}]);
    let plan = |hours: Value| {
        serin(json!({"quietHours": hours, "analysis": {"interval": "1m", "stepWeight": 20}}))
    };
    let mut release = Release::changed(plan(json!([])));
    release.tick();
    release.tick();
    release.plan = plan(quiet);
    (0..3).for_each(|_| release.tick());
    assert_eq!(release.shown(), "Progressing 20");
    release.world.command = Some(Command::Abort);
    release.call();
    assert_eq!(release.shown(), "Failed 0");
    release.world.target.revision = "v3".to_owned();
    release.tick();
    assert_eq!(release.shown(), "Failed 0", "nothing begins either");
}

#[test]
fn the_primary_is_warmed_up_before_it_gets_the_traffic_back() {
    let mut release = Release::changed(serin(json!({
        "warmUp": {"matchCanary": true, "duration": "2m"}, "analysis": {"interval": "1m", "stepWeight": 100},
    })));
    release.until(Phase::Promoting);
    release.world.target.ready_pods = 8;
    release.tick();
    assert_eq!(release.did(&Action::WarmUpPrimary { pods: 8 }), 1);
    let ticks = release.until(Phase::Finalising);
    assert_eq!(ticks, ["Promoting 100", "Promoting 100", "Finalising 0"]);
}

/// A call that is told more than the world knows.
fn call(release: &mut Release, more: impl FnOnce(&mut Observation)) {
    release.now = release.now + release.plan.interval;
    let mut seen = release.world.observe();
    more(&mut seen);
    let next = step(&release.plan, &release.state, &seen, release.now);
    next.actions.iter().for_each(|action| release.world.carry_out(action));
    release.state = next.state;
}

#[test]
fn no_step_is_taken_before_every_proxy_has_the_last() {
    let mut release = Release::changed(serin(json!({
        "analysis": {"interval": "1m", "threshold": 9, "stepWeight": 20, "awaitProxies": {"timeout": "3m"}},
    })));
    release.tick();
    release.tick();
    let acked =
        |acked| move |seen: &mut Observation| seen.proxies = Some(Proxies { acked, total: 3 });
    call(&mut release, acked(2));
    assert_eq!(release.shown(), "Progressing 20");
    call(&mut release, acked(3));
    assert_eq!(release.shown(), "Progressing 40");
    (0..4).for_each(|_| call(&mut release, acked(2)));
    assert_eq!(release.shown(), "Progressing 40 f2", "after the time out it is a failed check");
}

#[test]
fn members_of_a_group_take_each_step_in_their_order_and_go_back_together() {
    let mut release = Release::changed(serin(json!({
        "group": {"name": "chain", "order": 1}, "analysis": {"interval": "1m", "stepWeight": 50},
    })));
    release.tick();
    let other = |position, is_final, failed_at: Option<Time>| {
        move |seen: &mut Observation| {
            let is_running = failed_at.is_none();
            seen.group = vec![Member {
                name: "details".to_owned(),
                order: 0,
                is_running,
                position,
                is_final,
                failed_at,
            }];
        }
    };
    call(&mut release, other(0, false, None));
    assert_eq!(release.shown(), "Progressing 0", "the other goes first");
    call(&mut release, other(1, false, None));
    assert_eq!(release.shown(), "Progressing 50");
    call(&mut release, other(2, false, None));
    assert_eq!(release.shown(), "Progressing 100");
    call(&mut release, other(2, false, None));
    assert_eq!(release.shown(), "Progressing 100", "they are promoted together");
    assert!(release.state.as_member(&release.plan).is_final);
    let now = release.now;
    call(&mut release, other(2, true, Some(now)));
    assert_eq!(release.shown(), "Failed 0");
}
