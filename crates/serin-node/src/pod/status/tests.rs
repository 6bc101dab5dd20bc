use serde_json::json;

use super::super::machine::{Delay, Held, Running};
use super::*;

fn at(seconds: i64) -> Moment {
    Moment::at(seconds, 0)
}

fn pod(spec: serde_json::Value) -> Pod {
    let meta = json!({"name": "p", "namespace": "default", "uid": "u"});
    serde_json::from_value(json!({"metadata": meta, "spec": spec})).unwrap()
}

fn observed(state: State) -> Observed {
    Observed { state, ..Observed::default() }
}

fn running(ready: bool) -> State {
    State::Running(Running { since: at(0), started: true, ready, stopping: false })
}

fn ended(code: i32) -> State {
    State::Ended(Ended {
        code,
        reason: "Error".to_owned(),
        message: None,
        started: at(0),
        finished: at(5),
        id: "serin://1".to_owned(),
    })
}

/// Phase, conditions that are true, and each container's reason in short.
fn check(pod: &Pod, seen: &Seen, now: i64, expect: &str) {
    let place = Whereabouts { pod_ip: None, host_ip: "127.0.0.1".to_owned() };
    let status = status(pod, seen, &place, at(now));
    let conditions = status.conditions.unwrap();
    let mut text = vec![status.phase.unwrap()];
    text.extend(conditions.iter().filter(|one| one.status == "True").map(|one| one.type_.clone()));
    let init = status.init_container_statuses.unwrap_or_default();
    for one in init.iter().chain(status.container_statuses.as_deref().unwrap()) {
        let state = one.state.as_ref().unwrap();
        let waiting = state.waiting.as_ref().map(|waiting| waiting.reason.clone().unwrap());
        let ended = state.terminated.as_ref().map(|ended| format!("exit {}", ended.exit_code));
        let state = waiting.or(ended).unwrap_or_else(|| "running".to_owned());
        text.push(format!("{}={state}", one.name));
    }
    assert_eq!(text.join(" "), expect);
}

fn seen(containers: Vec<(&str, Observed)>) -> Seen {
    let containers = containers.into_iter().map(|(name, one)| (name.to_owned(), one)).collect();
    Seen { ground: Ground::Ready, containers, ..Seen::default() }
}

#[test]
fn a_pod_becomes_ready_step_by_step() {
    let pod = pod(json!({"containers": [{"name": "a"}, {"name": "b"}]}));
    check(
        &pod,
        &Seen::default(),
        0,
        "Pending Initialized PodScheduled a=ContainerCreating b=ContainerCreating",
    );
    let one = seen(vec![("a", observed(running(true)))]);
    check(
        &pod,
        &one,
        0,
        "Pending PodReadyToStartContainers Initialized PodScheduled a=running b=ContainerCreating",
    );
    let unready = seen(vec![("a", observed(running(true))), ("b", observed(running(false)))]);
    check(
        &pod,
        &unready,
        0,
        "Running PodReadyToStartContainers Initialized PodScheduled a=running b=running",
    );
    let both = seen(vec![("a", observed(running(true))), ("b", observed(running(true)))]);
    check(
        &pod,
        &both,
        0,
        "Running PodReadyToStartContainers Initialized Ready ContainersReady PodScheduled a=running b=running",
    );
}

#[test]
fn containers_wait_for_init_containers() {
    let pod = pod(json!({"initContainers": [{"name": "i"}], "containers": [{"name": "a"}]}));
    let first = seen(vec![("i", observed(running(true)))]);
    check(
        &pod,
        &first,
        0,
        "Pending PodReadyToStartContainers PodScheduled i=running a=PodInitializing",
    );
    let mut done = seen(vec![("i", observed(ended(0))), ("a", observed(running(true)))]);
    done.initialized = true;
    check(
        &pod,
        &done,
        0,
        "Running PodReadyToStartContainers Initialized Ready ContainersReady PodScheduled i=exit 0 a=running",
    );
}

#[test]
fn a_container_that_waits_for_its_restart_says_so_and_the_phase_stays() {
    let pod = pod(json!({"containers": [{"name": "a"}]}));
    let mut one = observed(ended(1));
    check(
        &pod,
        &seen(vec![("a", one.clone())]),
        6,
        "Running PodReadyToStartContainers Initialized PodScheduled a=exit 1",
    );
    one.delay = Some(Delay { length: jiff::SignedDuration::from_secs(10), grown: at(0) });
    let state = seen(vec![("a", one)]);
    check(
        &pod,
        &state,
        6,
        "Running PodReadyToStartContainers Initialized PodScheduled a=CrashLoopBackOff",
    );
    let place = Whereabouts::default();
    let told = status(&pod, &state, &place, at(6)).container_statuses.unwrap();
    let waiting = told[0].state.clone().unwrap().waiting.unwrap();
    assert_eq!(
        waiting.message.unwrap(),
        "back-off 10s restarting failed container=a pod=p_default(u)"
    );
    assert_eq!(told[0].last_state.clone().unwrap().terminated.unwrap().exit_code, 1);
}

#[test]
fn pods_that_end_for_good_have_succeeded_or_failed() {
    let pod = pod(json!({"restartPolicy": "Never", "containers": [{"name": "a"}]}));
    check(
        &pod,
        &seen(vec![("a", observed(ended(0)))]),
        6,
        "Succeeded Initialized PodScheduled a=exit 0",
    );
    check(
        &pod,
        &seen(vec![("a", observed(ended(2)))]),
        6,
        "Failed Initialized PodScheduled a=exit 2",
    );
}

#[test]
fn an_image_that_cannot_be_had_shows_an_error_and_then_that_it_waits() {
    let pod = pod(json!({"containers": [{"name": "a"}]}));
    let held = Held {
        reason: "ErrImagePull",
        later: "ImagePullBackOff",
        message: "no such image".to_owned(),
        later_message: "Back-off pulling image \"x\"".to_owned(),
        at: at(0),
        retry: at(10),
    };
    let state = seen(vec![("a", observed(State::Held(held)))]);
    check(
        &pod,
        &state,
        1,
        "Pending PodReadyToStartContainers Initialized PodScheduled a=ErrImagePull",
    );
    check(
        &pod,
        &state,
        3,
        "Pending PodReadyToStartContainers Initialized PodScheduled a=ImagePullBackOff",
    );
}

#[test]
fn conditions_keep_the_time_of_their_last_change_and_those_of_others_stay() {
    let mut pod = pod(json!({
        "containers": [{"name": "a"}],
        "readinessGates": [{"conditionType": "example.com/gate"}],
    }));
    let ready = seen(vec![("a", observed(running(true)))]);
    let place = Whereabouts::default();
    let mut first = status(&pod, &ready, &place, at(1));
    let find = |status: &PodStatus, kind: &str| {
        let all = status.conditions.as_ref().unwrap();
        all.iter().find(|one| one.type_ == kind).cloned().unwrap()
    };
    assert_eq!(find(&first, "Ready").reason.as_deref(), Some("ReadinessGatesNotReady"));
    first.conditions.as_mut().unwrap().push(PodCondition {
        type_: "example.com/gate".to_owned(),
        status: "True".to_owned(),
        ..PodCondition::default()
    });
    pod.status = Some(first);
    let second = status(&pod, &ready, &place, at(9));
    assert_eq!(find(&second, "Ready").last_transition_time, Some(Time(at(9).shown())));
    assert_eq!(find(&second, "Initialized").last_transition_time, Some(Time(at(1).shown())));
    assert_eq!(find(&second, "example.com/gate").status, "True");
}

#[test]
fn classes_of_service_follow_requests_and_limits() {
    let check = |resources: serde_json::Value, expect: &str| {
        let pod = pod(json!({"containers": [{"name": "a", "resources": resources}]}));
        assert_eq!(qos(&pod), expect);
    };
    check(json!({}), "BestEffort");
    check(json!({"requests": {"cpu": "1"}}), "Burstable");
    check(json!({"limits": {"cpu": "1", "memory": "1Gi"}}), "Guaranteed");
    let both = json!({"cpu": "1", "memory": "1Gi"});
    check(json!({"limits": both, "requests": both}), "Guaranteed");
}
