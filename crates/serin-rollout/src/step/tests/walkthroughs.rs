//! What Flagger's documentation shows, tick by tick.

use serde_json::json;

use super::*;

#[test]
fn a_canary_is_advanced_promoted_and_scaled_down() {
    let mut release = Release::new(flagger(json!({
        "interval": "1m", "threshold": 10, "maxWeight": 50, "stepWeight": 10,
        "metrics": [{"name": "request-success-rate", "thresholdRange": {"min": 99}}],
        "webhooks": [
            {"name": "acceptance-test", "type": "pre-rollout", "url": "http://tester/"},
            {"name": "load-test", "url": "http://tester/"},
        ],
    })));
    assert_eq!(release.shown(), "Initialized 0");
    assert_eq!(release.world.target.ready_pods, 0);
    release.tick();
    assert_eq!(release.shown(), "Initialized 0", "nothing changed");
    release.world.target.revision = "v2".to_owned();
    let ticks = release.until(Phase::Succeeded);
    assert_eq!(
        ticks,
        [
            "Progressing 0",
            "Progressing 10",
            "Progressing 20",
            "Progressing 30",
            "Progressing 40",
            "Progressing 50",
            "Promoting 50",
            "Finalising 0",
            "Succeeded 0",
        ]
    );
    assert_eq!(
        release.events(),
        [
            "New revision detected! Scaling up podinfo.test",
            "Starting canary analysis for podinfo.test",
            "Pre-rollout check acceptance-test passed",
            "Advance podinfo.test canary weight 10",
            "Advance podinfo.test canary weight 20",
            "Advance podinfo.test canary weight 30",
            "Advance podinfo.test canary weight 40",
            "Advance podinfo.test canary weight 50",
            "Copying podinfo.test template spec to podinfo-primary.test",
            "Routing all traffic to primary",
            "Promotion completed! Scaling down podinfo.test",
        ]
    );
    assert_eq!(release.world.target.ready_pods, 0);
    assert_eq!(release.world.primary.as_ref().unwrap().revision, "v2");
    release.tick();
    assert_eq!(release.shown(), "Succeeded 0");
}

#[test]
fn who_is_asked_for_metrics_is_tried_before_the_first_release() {
    let analysis = json!({
        "interval": "1m", "threshold": 1, "stepWeight": 50, "metrics": [{"name": "request-success-rate"}],
    });
    let plan = flagger(analysis);
    for (answer, expect) in [
        (Answer::Yes, "all the metrics providers are available!"),
        (Answer::Failed("gone".to_owned()), "Error checking metric providers: gone"),
    ] {
        let (mut world, mut state, mut asked) = (World::new("v1"), State::default(), 0);
        for second in 0..4 {
            state = world.turn(&plan, &state, Time(second * 1000), |question| {
                asked += u32::from(question.about == About::MetricServers);
                answer.clone()
            });
        }
        assert_eq!((state.phase, asked), (Phase::Initialized, 1));
        let events: Vec<&str> = state.history.iter().map(|it| it.event.as_str()).collect();
        assert_eq!(events[events.len() - 2..], [expect, "Initialization done! podinfo.test"]);
    }
}

#[test]
fn checks_that_fail_bring_the_canary_back_at_the_threshold() {
    let mut release = Release::changed(flagger(json!({
        "interval": "1m", "threshold": 3, "maxWeight": 50, "stepWeight": 10,
        "metrics": [
            {"name": "request-success-rate", "thresholdRange": {"min": 99}},
            {"name": "request-duration", "thresholdRange": {"max": 500}},
        ],
    })));
    release.tick();
    release.tick();
    release.say("request-success-rate", Answer::Value(69.17));
    assert_eq!(
        release.until(Phase::Failed),
        ["Progressing 10 f1", "Progressing 10 f2", "Progressing 10 f3", "Failed 0 f3"]
    );
    assert_eq!(release.asked, Vec::<String>::new(), "nothing is asked any more");
    let last: Vec<&str> = release.events().into_iter().rev().take(3).collect();
    assert_eq!(
        last,
        [
            "Canary failed! Scaling down podinfo.test",
            "Rolling back podinfo.test failed checks threshold reached 3",
            "Halt podinfo.test advancement success rate 69.17% < 99%",
        ]
    );
    assert_eq!(release.world.target.ready_pods, 0);
    assert!(
        release.until(Phase::Progressing).iter().all(|it| it == "Failed 0 f3"),
        "it is not tried again"
    );
    release.world.target.revision = "v3".to_owned();
    release.tick();
    assert_eq!(release.shown(), "Progressing 0");
}

#[test]
fn the_first_check_that_fails_ends_the_checks() {
    let mut release = Release::changed(flagger(json!({
        "interval": "1m", "threshold": 3, "stepWeight": 50,
        "metrics": [{"name": "request-success-rate", "thresholdRange": {"min": 99}}],
        "webhooks": [{"name": "one", "url": "http://a/"}, {"name": "two", "url": "http://a/"}],
    })));
    release.tick();
    release.tick();
    assert_eq!(
        release.asked,
        Vec::<String>::new(),
        "before the first traffic there is nothing to check"
    );
    release.tick();
    assert_eq!(release.asked, ["one", "two", "request-success-rate"]);
    release.say("one", Answer::No("500".to_owned()));
    release.tick();
    assert_eq!(release.asked, ["one"]);
    assert_eq!(
        release.events().last(),
        Some(&"Halt podinfo.test advancement external check one failed 500")
    );
}

#[test]
fn a_b_testing_counts_iterations_with_the_users_who_match() {
    let mut release = Release::changed(flagger(json!({
        "interval": "1m", "threshold": 10, "iterations": 3,
        "match": [{"headers": {"x-canary": {"exact": "insider"}}}],
    })));
    assert_eq!(
        release.until(Phase::Succeeded),
        [
            "Progressing 0",
            "Progressing 100",
            "Progressing 100",
            "Progressing 100",
            "Promoting 100",
            "Finalising 0",
            "Succeeded 0",
        ]
    );
    assert!(release.events().contains(&"Advance podinfo.test canary iteration 3/3"));
}

#[test]
fn blue_green_mirrors_then_routes_everything() {
    let mut release = Release::changed(flagger(json!({
        "interval": "1m", "threshold": 2, "iterations": 3, "mirror": true,
    })));
    assert_eq!(
        release.until(Phase::Succeeded),
        [
            "Progressing 0",
            "Progressing 0 m",
            "Progressing 0 m",
            "Progressing 0 m",
            "Progressing 100",
            "Promoting 100",
            "Finalising 0",
            "Succeeded 0",
        ]
    );
    assert!(release.events().contains(&"Stop traffic mirroring and route all traffic to canary"));
}

#[test]
fn blue_green_without_routes_copies_at_the_end() {
    let value = object(
        "flagger.app/v1beta1",
        json!({"provider": "kubernetes", "analysis": {"iterations": 2}}),
    );
    let plan = Plan::of_flagger(&Object::<FlaggerCanary>::from_value(&value).unwrap());
    let mut release = Release::changed(plan);
    let ticks = release.until(Phase::Succeeded);
    assert!(ticks.iter().all(|tick| tick.ends_with(" 0")), "{ticks:?}");
    assert_eq!(release.world.primary.as_ref().unwrap().revision, "v2");
}

#[test]
fn a_mirrored_canary_mirrors_one_tick_before_its_steps() {
    let mut release = Release::changed(flagger(json!({
        "interval": "1m", "threshold": 2, "maxWeight": 40, "stepWeight": 20, "mirror": true, "mirrorWeight": 50,
    })));
    assert_eq!(
        release.until(Phase::Promoting),
        ["Progressing 0", "Progressing 0 m", "Progressing 20", "Progressing 40", "Promoting 40"]
    );
}

#[test]
fn weights_may_be_listed_and_given_back_in_steps() {
    let mut release = Release::changed(flagger(json!({
        "interval": "1m", "threshold": 2, "stepWeights": [1, 2, 10, 80], "stepWeightPromotion": 30,
    })));
    assert_eq!(
        release.until(Phase::Succeeded),
        [
            "Progressing 0",
            "Progressing 1",
            "Progressing 2",
            "Progressing 10",
            "Progressing 80",
            "Promoting 80",
            "Promoting 50",
            "Promoting 20",
            "Finalising 0",
            "Succeeded 0",
        ]
    );
    assert!(release.events().contains(&"Advance podinfo.test primary weight 50"));
}

#[test]
fn gates_hold_the_release_until_they_open() {
    let mut release = Release::changed(flagger(json!({
        "interval": "1m", "threshold": 2, "maxWeight": 20, "stepWeight": 20,
        "webhooks": [
            {"name": "start", "type": "confirm-rollout", "url": "http://gate/"},
            {"name": "more", "type": "confirm-traffic-increase", "url": "http://gate/"},
            {"name": "finish", "type": "confirm-promotion", "url": "http://gate/"},
        ],
    })));
    for gate in ["start", "more", "finish"] {
        release.say(gate, Answer::No("closed".to_owned()));
    }
    let step = |release: &mut Release, open: &str, expect: &str| {
        release.tick();
        release.tick();
        assert_eq!(release.shown(), expect);
        release.say(open, Answer::Yes);
        release.tick();
    };
    step(&mut release, "start", "Waiting 0");
    step(&mut release, "more", "Progressing 0");
    step(&mut release, "finish", "WaitingPromotion 20");
    assert_eq!(release.shown(), "Promoting 20");
    let waits = release.events().iter().filter(|event| event.contains("waiting")).count();
    assert_eq!(waits, 3, "each wait is told once: {:#?}", release.events());
}

#[test]
fn a_rollback_hook_takes_the_canary_back() {
    let mut release = Release::changed(flagger(json!({
        "interval": "1m", "threshold": 2, "stepWeight": 20,
        "webhooks": [{"name": "emergency", "type": "rollback", "url": "http://gate/"}],
    })));
    release.say("emergency", Answer::No("closed".to_owned()));
    release.tick();
    release.tick();
    assert_eq!(release.shown(), "Progressing 20");
    release.say("emergency", Answer::Yes);
    release.tick();
    assert_eq!(release.shown(), "Failed 0");
}

#[test]
fn a_new_revision_begins_the_analysis_anew() {
    let mut release = Release::changed(flagger(json!({"interval": "1m", "stepWeight": 20})));
    (0..3).for_each(|_| release.tick());
    assert_eq!(release.shown(), "Progressing 40");
    release.world.target.revision = "v3".to_owned();
    release.tick();
    assert_eq!(release.shown(), "Progressing 0");
    release.until(Phase::Succeeded);
    assert_eq!(release.state.last_promoted, "v3");
    // And a workload that goes back to what was promoted needs no release.
    release.world.target.revision = "v3".to_owned();
    release.tick();
    assert_eq!(release.shown(), "Succeeded 0");
}

#[test]
fn a_configuration_that_changes_is_released_too() {
    let mut release = Release::new(flagger(json!({"interval": "1m", "stepWeight": 50})));
    release.world.target.configs.insert("configmap/settings".to_owned(), "abc".to_owned());
    release.tick();
    assert_eq!(release.shown(), "Progressing 0");
}

#[test]
fn a_canary_that_does_not_become_ready_is_given_up() {
    let mut release = Release::changed(flagger(json!({"interval": "1m", "stepWeight": 50})));
    release.tick();
    release.world.target.readiness = Readiness::Pending("1 of 2 pods".to_owned());
    release.tick();
    assert_eq!(release.shown(), "Progressing 0");
    release.world.target.readiness = Readiness::Stuck("crash loop".to_owned());
    release.tick();
    assert_eq!(release.shown(), "Failed 0");
    assert!(
        release
            .events()
            .contains(&"Rolling back podinfo.test progress deadline exceeded crash loop")
    );
}

#[test]
fn a_primary_that_fails_in_promotion_leaves_the_traffic_with_the_canary() {
    let mut release = Release::changed(flagger(json!({"interval": "1m", "stepWeight": 50})));
    release.until(Phase::Promoting);
    release.world.primary.as_mut().unwrap().readiness = Readiness::Stuck("no image".to_owned());
    release.tick();
    assert_eq!(release.shown(), "Failed 100");
    assert_eq!(release.world.target.ready_pods, 2);
}

#[test]
fn analysis_can_be_skipped_and_the_object_suspended() {
    let value = object("flagger.app/v1beta1", json!({"skipAnalysis": true}));
    let plan = Plan::of_flagger(&Object::<FlaggerCanary>::from_value(&value).unwrap());
    let mut release = Release::changed(plan);
    assert_eq!(release.until(Phase::Succeeded), ["Progressing 0", "Succeeded 0"]);
    assert_eq!(release.world.primary.as_ref().unwrap().revision, "v2");

    let mut release = Release::changed(flagger(json!({"interval": "1m", "stepWeight": 20})));
    (0..3).for_each(|_| release.tick());
    release.plan.is_suspended = true;
    (0..3).for_each(|_| release.tick());
    assert_eq!(release.shown(), "Progressing 40");
    assert_eq!(release.events().last(), Some(&"skipping canary run as object is suspended"));
    release.plan.is_suspended = false;
    release.tick();
    assert_eq!(release.shown(), "Progressing 60");
}

#[test]
fn deletion_restores_the_originals_when_asked_to() {
    let mut release = Release::new(flagger(json!({"interval": "1m", "stepWeight": 20})));
    release.plan.reverts_on_deletion = true;
    let step = |release: &mut Release| {
        let seen = crate::Observation { is_deleted: true, ..release.world.observe() };
        let next = crate::step(&release.plan, &release.state, &seen, release.now);
        next.actions.iter().for_each(|action| release.world.carry_out(action));
        release.state = next.state;
    };
    step(&mut release);
    assert_eq!(release.state.phase, Phase::Terminating);
    assert_eq!(release.world.target.ready_pods, 2, "the workload gets its pods before the traffic");
    step(&mut release);
    assert_eq!(release.state.phase, Phase::Terminated);
    assert_eq!(
        (release.did(&Action::RestoreOriginals), release.did(&Action::ReleaseFinalizer)),
        (1, 1)
    );
}
