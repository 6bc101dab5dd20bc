use serde_json::json;

use super::*;

fn at(seconds: i64) -> Moment {
    Moment::at(1_000_000 + seconds, 0)
}

/// A pod with containers `a` and `b`, after init containers.
fn pod(policy: &str, init: &[(&str, bool)]) -> Pod {
    let init: Vec<_> = init
        .iter()
        .map(|(name, stays)| {
            let policy = stays.then_some("Always");
            json!({"name": name, "image": "x", "restartPolicy": policy})
        })
        .collect();
    serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "default", "uid": "u"},
        "spec": {
            "restartPolicy": policy,
            "initContainers": init,
            "containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "x"}],
        },
    }))
    .unwrap()
}

fn ended(code: i32, finished: i64) -> State {
    State::Ended(Ended {
        code,
        reason: if code == 0 { "Completed" } else { "Error" }.to_owned(),
        message: None,
        started: at(0),
        finished: at(finished),
        id: "serin://1".to_owned(),
    })
}

fn running(started: bool) -> State {
    State::Running(Running { since: at(0), started, ready: started, stopping: false })
}

fn seen(containers: &[(&str, State)]) -> Seen {
    let observed = |state: &State| Observed { state: state.clone(), ..Observed::default() };
    Seen {
        ground: Ground::Ready,
        containers: containers
            .iter()
            .map(|(name, state)| ((*name).to_owned(), observed(state)))
            .collect(),
        ..Seen::default()
    }
}

/// Actions in short: `+a` starts, `-a` stops.
#[track_caller]
fn check(pod: &Pod, seen: &Seen, now: i64, expect: &str) {
    check_at(pod, seen, at(now), expect);
}

#[track_caller]
fn check_at(pod: &Pod, seen: &Seen, now: Moment, expect: &str) {
    let plan = decide(pod, seen, now);
    let short = |action: &Action| match action {
        Action::Prepare => "prepare".to_owned(),
        Action::Start(name) => format!("+{name}"),
        Action::Stop { name, grace, .. } => format!("-{name}/{grace}"),
        Action::Drain => "drain".to_owned(),
        Action::Remove => "remove".to_owned(),
    };
    let mut text: Vec<_> = plan.actions.iter().map(short).collect();
    if let Some(wake) = plan.wake {
        text.push(format!("@{}", wake.since(at(0)).as_secs()));
    }
    assert_eq!(text.join(" "), expect);
}

#[test]
fn containers_start_together_once_the_ground_is_there() {
    let pod = pod("Always", &[]);
    check(&pod, &Seen::default(), 0, "prepare");
    let making = Seen { ground: Ground::Making, ..Seen::default() };
    check(&pod, &making, 0, "");
    let failed = Seen { ground: Ground::Failed { retry: at(5) }, ..Seen::default() };
    check(&pod, &failed, 0, "@5");
    check(&pod, &failed, 5, "prepare");
    check(&pod, &seen(&[]), 0, "+a +b");
    check(&pod, &seen(&[("a", State::Starting), ("b", running(true))]), 0, "");
}

#[test]
fn init_containers_run_one_after_the_other_and_sidecars_need_only_have_started() {
    let pod = pod("Always", &[("i", false), ("s", true), ("j", false)]);
    check(&pod, &seen(&[]), 0, "+i");
    check(&pod, &seen(&[("i", running(true))]), 0, "");
    check(&pod, &seen(&[("i", ended(1, 3))]), 3, "+i");
    check(&pod, &seen(&[("i", ended(0, 3))]), 3, "+s");
    check(&pod, &seen(&[("i", ended(0, 3)), ("s", running(false))]), 3, "");
    check(&pod, &seen(&[("i", ended(0, 3)), ("s", running(true))]), 3, "+j");
    let all = [("i", ended(0, 3)), ("s", running(true)), ("j", ended(0, 4))];
    check(&pod, &seen(&all), 4, "+a +b");
    let mut later = seen(&[("s", ended(1, 9)), ("a", running(true)), ("b", running(true))]);
    later.initialized = true;
    check(&pod, &later, 9, "+s");
}

#[test]
fn an_init_container_that_fails_ends_a_pod_that_never_restarts() {
    let pod = pod("Never", &[("s", true), ("i", false)]);
    let state = seen(&[("s", running(true)), ("i", ended(7, 3))]);
    assert!(is_finished(&pod, &state));
    check(&pod, &state, 3, "-s/30");
}

#[test]
fn policies_decide_who_starts_again() {
    let both = |code| seen(&[("a", ended(code, 1)), ("b", running(true))]);
    check(&pod("Always", &[]), &both(0), 1, "+a");
    check(&pod("OnFailure", &[]), &both(0), 1, "");
    check(&pod("OnFailure", &[]), &both(3), 1, "+a");
    check(&pod("Never", &[]), &both(3), 1, "");
    let done = seen(&[("a", ended(0, 1)), ("b", ended(0, 1))]);
    assert!(is_finished(&pod("OnFailure", &[]), &done));
    assert!(!is_finished(&pod("Always", &[]), &done));
}

#[test]
fn restarts_wait_10_seconds_and_twice_as_long_each_time_up_to_5_minutes() {
    let mut one = Observed { state: ended(1, 0), ..Observed::default() };
    let mut time = 0;
    let mut waits = Vec::new();
    for _ in 0..8 {
        let State::Ended(end) = one.state.clone() else { unreachable!() };
        let wait = one.wait(&end).as_secs();
        waits.push(wait);
        time += wait;
        one.begin(at(time));
        one.state = ended(1, time);
    }
    assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
    assert_eq!(one.restarts, 8);
    one.state = ended(1, time + 601);
    let State::Ended(end) = one.state.clone() else { unreachable!() };
    assert_eq!(one.wait(&end).as_secs(), 0, "a long life is rewarded");
    let mut state = seen(&[("b", running(true))]);
    one.state = ended(1, time);
    state.containers.insert("a".to_owned(), one);
    let end = time + 300;
    check(&pod("Always", &[]), &state, time + 1, &format!("@{end}"));
    check(&pod("Always", &[]), &state, end, "+a");
}

#[test]
fn a_deleted_pod_is_drained_then_stopped_then_removed() {
    let mut pod = pod("Always", &[("s", true), ("t", true)]);
    pod.metadata.deletion_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(5).shown()));
    pod.metadata.deletion_grace_period_seconds = Some(5);
    let mut state = seen(&[
        ("s", running(true)),
        ("t", running(true)),
        ("a", running(true)),
        ("b", ended(1, 0)),
    ]);
    state.initialized = true;
    check(&pod, &state, 0, "drain");
    state.drain = Drain::Waiting;
    check(&pod, &state, 0, "");
    pod.metadata.deletion_grace_period_seconds = Some(0);
    check(&pod, &state, 0, "-a/0");
    pod.metadata.deletion_grace_period_seconds = Some(5);
    state.drain = Drain::Done;
    check(&pod, &state, 0, "-a/5");
    state.containers.remove("a");
    check(&pod, &state, 0, "-t/5");
    state.containers.remove("t");
    check(&pod, &state, 0, "-s/5");
    state.containers.remove("s");
    check(&pod, &state, 0, "remove");
    state.ground = Ground::Making;
    check(&pod, &state, 0, "");
}

#[test]
fn a_container_that_a_probe_condemned_is_stopped_once() {
    let pod = pod("Always", &[]);
    let mut state = seen(&[("a", running(true)), ("b", running(true))]);
    state.containers.get_mut("a").unwrap().condemned = Some("failed".to_owned());
    check(&pod, &state, 0, "-a/30");
    state.containers.get_mut("a").unwrap().state =
        State::Running(Running { since: at(0), started: true, ready: true, stopping: true });
    check(&pod, &state, 0, "");
}

#[test]
fn what_could_not_start_is_tried_again_and_shows_that_it_waits() {
    let pod = pod("Always", &[]);
    let held = Held {
        reason: "ErrImagePull",
        later: "ImagePullBackOff",
        message: String::new(),
        later_message: String::new(),
        at: at(0),
        retry: at(10),
    };
    let state = seen(&[("a", State::Held(held)), ("b", running(true))]);
    check(&pod, &state, 0, "@2");
    check(&pod, &state, 2, "@10");
    check(&pod, &state, 10, "+a");
}

#[test]
fn containers_that_are_added_run_once_whatever_the_others_do() {
    let mut pod = pod("Always", &[("i", false)]);
    let added = json!([{"name": "look", "image": "x"}]);
    pod.spec.as_mut().unwrap().ephemeral_containers = serde_json::from_value(added).unwrap();
    check(&pod, &seen(&[]), 0, "+look +i");
    check(&pod, &seen(&[("look", running(true)), ("i", ended(1, 0))]), 0, "+i");
    check(&pod, &seen(&[("look", ended(1, 0)), ("i", State::Starting)]), 100, "");
    // It ends with the pod, and the pod does not go before it has.
    pod.metadata.deletion_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(0).shown()));
    pod.metadata.deletion_grace_period_seconds = Some(0);
    check(&pod, &seen(&[("look", running(true)), ("a", ended(0, 0))]), 0, "-look/0");
}

#[test]
fn nothing_that_waits_goes_by_a_clock_that_is_put() {
    const YEAR: i64 = 31_536_000;
    let mut pod = pod("Always", &[]);
    pod.spec.as_mut().unwrap().active_deadline_seconds = Some(100);
    let mut observed = Observed { state: ended(1, 50), ..Observed::default() };
    observed.delay = Some(Delay { length: SignedDuration::from_secs(10), grown: at(40) });
    let mut state = seen(&[("b", running(true))]);
    state.containers.insert("a".to_owned(), observed);
    state.start_time = Some(at(0));
    for put in [YEAR, -YEAR, 0] {
        let moment = |seconds: i64| Moment::at(1_000_000 + seconds, put);
        check_at(&pod, &state, moment(55), "@60");
        check_at(&pod, &state, moment(60), "+a @100");
        let deadline = deadline_of(&pod, &state).unwrap();
        assert!(deadline > moment(99) && deadline <= moment(100));
        // What people are told is what the clock showed then.
        assert_eq!(at(5).shown(), Moment::shown_as(at(5).shown(), moment(9)).shown());
    }
}

#[test]
fn what_only_the_clock_tells_of_a_time_before_this_node_counts_by_it() {
    let now = Moment::at(1_000, 7_000);
    let before = Moment::shown_as("1970-01-01T02:13:00Z".parse().unwrap(), now);
    assert_eq!(now.since(before).as_secs(), 20);
    assert_eq!(before.after(SignedDuration::from_secs(20)), now);
}
