//! Where a release does better than Flagger, whose defects these are.

use serde_json::json;

use super::*;
use crate::Readiness;

fn weighted() -> Release {
    Release::changed(flagger(json!({
        "interval": "1m", "threshold": 2, "stepWeight": 10,
        "metrics": [{"name": "request-success-rate", "thresholdRange": {"min": 99}}],
    })))
}

#[test]
fn a_flake_now_and_then_does_not_add_up() {
    let mut release = weighted();
    release.tick();
    release.tick();
    release.plan.is_held = true;
    let flake = |release: &mut Release, healthy: usize| {
        release.say("request-success-rate", Answer::Value(0.0));
        release.tick();
        release.say("request-success-rate", Answer::Value(100.0));
        (0..healthy).for_each(|_| release.tick());
        release.state.phase
    };
    for _ in 0..4 {
        assert_eq!(flake(&mut release, 25), Phase::Progressing);
    }
    // But two within twenty checks are two.
    flake(&mut release, 5);
    assert_eq!(flake(&mut release, 5), Phase::Failed, "{:#?}", release.events());
}

#[test]
fn a_rollback_hook_is_heard_while_waiting_for_approval() {
    let mut release = Release::changed(flagger(json!({
        "interval": "1m", "stepWeight": 10, "webhooks": [
            {"name": "gate", "type": "confirm-rollout", "url": "http://a/"},
            {"name": "emergency", "type": "rollback", "url": "http://a/"},
        ],
    })));
    release.say("gate", Answer::No("closed".to_owned()));
    release.say("emergency", Answer::No("closed".to_owned()));
    release.tick();
    release.tick();
    assert_eq!(release.shown(), "Waiting 0");
    release.say("emergency", Answer::Yes);
    release.tick();
    assert_eq!(release.shown(), "Failed 0");
}

#[test]
fn the_primarys_cookie_changes_with_each_step_and_both_end_with_the_release() {
    let mut release = Release::changed(flagger(json!({
        "interval": "1m", "stepWeight": 50, "sessionAffinity": {"cookieName": "c", "primaryCookieName": "p"},
    })));
    let cookies = |release: &Release| release.world.routes.clone().unwrap().cookies;
    release.tick();
    release.tick();
    let first = cookies(&release);
    release.tick();
    let second = cookies(&release);
    assert_eq!(first.canary, second.canary, "who saw the new version stays with it");
    assert_ne!(first.primary, second.primary);
    release.until(Phase::Succeeded);
    let last = cookies(&release);
    assert_eq!((last.canary, last.primary), (None, None));
    assert_eq!(last.expired, first.canary);
}

#[test]
fn a_cookie_survives_a_crash_before_the_state_is_stored() {
    let mut release = Release::changed(flagger(json!({
        "interval": "1m", "stepWeight": 10, "sessionAffinity": {"cookieName": "c"},
    })));
    release.tick();
    release.tick();
    let before = release.world.routes.clone();
    let stored = release.state.clone();
    release.tick();
    let cookie =
        |routes: &Option<crate::Routes>| routes.as_ref().and_then(|it| it.cookies.canary.clone());
    assert_eq!(cookie(&before), cookie(&release.world.routes));
    // The routes were set, the state was not stored, and another step is made from the old one.
    let after = release.world.routes.clone();
    release.state = stored;
    release.call();
    assert_eq!(release.world.routes, after);
}

#[test]
fn a_revision_that_comes_while_the_primary_is_not_ready_is_not_forgotten() {
    let mut release = weighted();
    release.tick();
    release.tick();
    release.say("request-success-rate", Answer::Value(0.0));
    release.until(Phase::Failed);
    release.say("request-success-rate", Answer::Value(100.0));
    release.world.target.revision = "v3".to_owned();
    release.world.primary.as_mut().unwrap().readiness =
        Readiness::Pending("a node is gone".to_owned());
    (0..3).for_each(|_| release.tick());
    assert_eq!(release.state.phase, Phase::Failed);
    release.world.primary.as_mut().unwrap().readiness = Readiness::Ready;
    release.tick();
    assert_eq!(release.state.phase, Phase::Progressing);
}

#[test]
fn nothing_is_released_against_a_primary_that_is_scaled_to_zero() {
    let mut release = weighted();
    let primary = release.world.primary.as_mut().unwrap();
    (primary.replicas, primary.ready_pods) = (0, 0);
    release.tick();
    assert_eq!(release.state.phase, Phase::Initialized);
    assert_eq!(release.events().last(), Some(&"podinfo-primary.test is scaled to zero"));
}

#[test]
fn waiting_for_promotion_keeps_the_weight() {
    let mut release = Release::changed(flagger(json!({
        "interval": "1m", "stepWeight": 50, "maxWeight": 50,
        "webhooks": [{"name": "gate", "type": "confirm-promotion", "url": "http://a/"}],
    })));
    release.say("gate", Answer::No("closed".to_owned()));
    release.until(Phase::WaitingPromotion);
    release.tick();
    assert_eq!(
        (release.state.routes.canary, release.shown().as_str()),
        (50, "WaitingPromotion 50")
    );
}

#[test]
fn acceptance_tests_run_once_although_a_gate_blocks_the_first_step() {
    let mut release = Release::changed(flagger(json!({
        "interval": "1m", "stepWeight": 50, "webhooks": [
            {"name": "acceptance", "type": "pre-rollout", "url": "http://a/"},
            {"name": "gate", "type": "confirm-traffic-increase", "url": "http://a/"},
        ],
    })));
    release.say("gate", Answer::No("closed".to_owned()));
    release.tick();
    release.tick();
    assert_eq!(release.asked.iter().filter(|it| *it == "acceptance").count(), 1);
    release.tick();
    assert_eq!(release.asked, ["gate"]);
}

#[test]
fn a_threshold_breached_while_a_gate_blocks_still_brings_the_canary_back() {
    let mut release = Release::changed(flagger(json!({
        "interval": "1m", "stepWeight": 10, "threshold": 2,
        "metrics": [{"name": "request-success-rate", "thresholdRange": {"min": 99}}],
        "webhooks": [{"name": "gate", "type": "confirm-traffic-increase", "url": "http://a/"}],
    })));
    release.tick();
    release.tick();
    release.say("gate", Answer::No("closed".to_owned()));
    release.say("request-success-rate", Answer::Value(1.0));
    let ticks = release.until(Phase::Failed);
    assert_eq!(ticks.last().map(String::as_str), Some("Failed 0 f2"));
}

#[test]
fn a_canary_without_an_analysis_is_promoted_and_nothing_breaks() {
    let value = object("flagger.app/v1beta1", json!({}));
    let plan = Plan::of_flagger(&Object::<FlaggerCanary>::from_value(&value).unwrap());
    assert_eq!(Release::changed(plan).until(Phase::Succeeded).last().unwrap(), "Succeeded 0");
}

#[test]
fn half_a_millisecond_is_a_limit() {
    let mut release = Release::changed(flagger(json!({
        "interval": "1m", "stepWeight": 10, "metrics": [{"name": "request-duration", "thresholdRange": {"max": 0.5}}],
    })));
    release.tick();
    release.tick();
    release.say("request-duration", Answer::Value(0.4));
    release.tick();
    assert_eq!(release.shown(), "Progressing 20");
    release.say("request-duration", Answer::Value(0.6));
    release.tick();
    assert_eq!(
        release.events().last(),
        Some(&"Halt podinfo.test advancement request duration 0.6ms > 0.5ms")
    );
}

#[test]
fn a_metric_that_cannot_have_a_value_yet_is_not_a_failed_check() {
    let mut release = weighted();
    release.tick();
    release.tick();
    release.say("request-success-rate", Answer::NoValue);
    release.tick();
    assert_eq!(release.shown(), "Progressing 10", "the window reaches back to before the traffic");
    release.tick();
    assert_eq!(release.shown(), "Progressing 10 f1");
}

#[test]
fn a_revision_that_comes_during_promotion_is_analysed_next() {
    let mut release = weighted();
    release.plan.step_weight = 100;
    release.until(Phase::Promoting);
    release.world.target.revision = "v3".to_owned();
    release.tick();
    assert_eq!(release.shown(), "Progressing 0", "the canary is no longer what was analysed");
    assert_eq!(
        (release.state.last_promoted.as_str(), release.state.last_applied.as_str()),
        ("v2", "v3")
    );
    assert_eq!(release.world.primary.as_ref().unwrap().revision, "v2");
}

#[test]
fn a_restart_gives_the_traffic_back_in_the_steps_of_a_promotion() {
    let mut release = weighted();
    release.plan.step_weight = 30;
    release.plan.step_weight_promotion = 25;
    (0..3).for_each(|_| release.tick());
    assert_eq!(release.shown(), "Progressing 60");
    release.world.target.revision = "v3".to_owned();
    let seen: Vec<String> = (0..3)
        .map(|_| {
            release.tick();
            release.shown()
        })
        .collect();
    assert_eq!(seen, ["Progressing 35", "Progressing 10", "Progressing 0"]);
    assert_eq!(release.state.last_applied, "v3");
}

#[test]
fn routes_that_someone_else_changed_are_set_again_within_a_call() {
    let mut release = weighted();
    (0..3).for_each(|_| release.tick());
    release.world.routes.as_mut().unwrap().canary = 90;
    release.call();
    assert_eq!(release.shown(), "Progressing 20");
}

#[test]
fn a_canary_without_a_ready_pod_gets_no_traffic_until_it_has_one() {
    let mut release = weighted();
    (0..3).for_each(|_| release.tick());
    release.world.target.ready_pods = 0;
    release.world.target.readiness = Readiness::Pending("restarting".to_owned());
    release.call();
    assert_eq!(release.shown(), "Progressing 0");
    release.world.target.ready_pods = 1;
    release.call();
    assert_eq!(release.shown(), "Progressing 20");
}

#[test]
fn the_canarys_pods_stay_until_traffic_has_left_them() {
    let mut release = weighted();
    release.plan.scale_down_delay = Span::seconds(30);
    (0..2).for_each(|_| release.tick());
    release.world.command = Some(crate::Command::Abort);
    release.call();
    assert_eq!((release.shown().as_str(), release.world.target.ready_pods), ("Failed 0", 2));
    release.now = release.now + Span::seconds(29);
    release.call();
    assert_eq!(release.world.target.ready_pods, 2);
    release.now = release.now + Span::seconds(1);
    release.call();
    assert_eq!(release.world.target.ready_pods, 0);
}

#[test]
fn nothing_is_routed_before_there_is_a_primary() {
    let plan = flagger(json!({"interval": "1m", "threshold": 1, "stepWeight": 20}));
    let (mut world, _) = World::initialised(&plan, Time(1_000_000_000));
    (world.primary, world.routes) = (None, None);
    world.log.clear();
    let state = world.turn(&plan, &State::default(), Time(1_000_000_000), |_| Answer::Yes);
    assert_eq!(state.phase, Phase::Initializing);
    assert!(!world.log.iter().any(|done| matches!(done, Action::SetRoutes(_))), "{:?}", world.log);
}
