//! What is not as it should be, in plain words, each with what to type next.

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::objects::{Objects, followed, items, name, namespace, text};
use crate::parts::{State, count, segment};
use crate::releases::Release;
use crate::services::{Service, is_current, is_ready, workload};

/// A pod may take so many seconds to become ready before that is a problem.
const PATIENCE: i64 = 15;
/// A service that fails this share of its requests has a problem, if there are enough of them.
const FAILING: f64 = 0.01;
/// Failures that are enough.
const ENOUGH: u64 = 5;
/// So many problems are listed.
const SHOWN: usize = 50;
/// Conditions that tell an author that an object does not do what it says.
const CONDITIONS: [&str; 6] =
    ["Accepted", "Resolved", "ResolvedRefs", "Programmed", "Live", "Available"];

/// A problem.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Problem {
    pub(crate) state: State,
    /// What is wrong, in a sentence.
    pub(crate) what: String,
    /// Why, as far as it is known.
    pub(crate) why: String,
    /// The page that shows more.
    pub(crate) link: Option<String>,
    /// What to type next.
    pub(crate) command: String,
}

/// All of them, the worst first.
pub(crate) fn all(
    objects: &Objects,
    releases: &[Release],
    services: &[Service],
    now: Timestamp,
) -> Vec<Problem> {
    let mut all: Vec<Problem> = releases.iter().filter_map(of_release).collect();
    all.extend(services.iter().filter_map(of_service));
    let pods = objects.all("", "Pod");
    all.extend(pods.iter().filter_map(|pod| of_pod(pod, now)));
    for kind in followed().filter(|kind| kind.is_custom && kind.kind != "Canary") {
        let of_kind = objects.all(kind.group, kind.kind);
        all.extend(of_kind.iter().flat_map(|object| of_object(kind.plural, kind.group, object)));
    }
    all.sort_by_key(|it| std::cmp::Reverse(it.state));
    all.truncate(SHOWN);
    all
}

/// Traffic that nobody can tell of.
pub(crate) fn of_traffic(why: String) -> Problem {
    Problem {
        state: State::Odd,
        what: "What goes from service to service is not known.".to_owned(),
        why,
        link: None,
        command: String::new(),
    }
}

fn of_release(release: &Release) -> Option<Problem> {
    let (state, word) = release.told();
    if !matches!(state, State::Bad | State::Odd) {
        return None;
    }
    let why = match (&release.facts.waits_for, release.facts.why()) {
        (Some(waits), _) if state == State::Odd => format!("{waits}."),
        (_, Some(decision)) if decision.reason.is_empty() => decision.event.clone(),
        (_, Some(decision)) => format!("{}: {}", decision.event, decision.reason),
        _ => String::new(),
    };
    let verb = if state == State::Bad { "history" } else { "show" };
    Some(Problem {
        state,
        what: match word {
            "held" => format!("The release {} is held.", release.facts.name),
            _ if state == State::Odd => format!("The release {} {word}.", release.facts.name),
            _ => format!("The release {} was {word}.", release.facts.name),
        },
        why,
        link: Some(release.link()),
        command: format!(
            "serin canary {verb} {} -n {}",
            release.facts.name, release.facts.namespace
        ),
    })
}

fn of_service(service: &Service) -> Option<Problem> {
    let rates = &service.rates;
    let share = 1.0 - rates.success?;
    if rates.failures < ENOUGH || share < FAILING {
        return None;
    }
    let (namespace, name) = (&service.namespace, &service.name);
    Some(Problem {
        state: State::Bad,
        what: format!("{name} fails {} of its requests.", crate::parts::percent(share)),
        why: format!(
            "{} of {} in the last seconds.",
            rates.failures,
            count(rates.requests as usize, "request")
        ),
        link: Some(format!("/requests?service={}&status=failed", segment(name))),
        command: format!("kubectl -n {namespace} logs service/{name} --tail 20"),
    })
}

fn of_pod(pod: &Value, now: Timestamp) -> Option<Problem> {
    if !is_current(pod) || is_ready(pod) {
        return None;
    }
    let conditions = items(pod, "/status/conditions");
    let of_kind = |kind: &str| conditions.iter().find(|it| it["type"] == kind);
    let since = of_kind("Ready").map(|it| text(it, "/lastTransitionTime"));
    let since = since.unwrap_or_else(|| text(pod, "/metadata/creationTimestamp"));
    let since = since.parse::<Timestamp>().ok()?;
    let seconds = now.duration_since(since).as_secs();
    let waiting = items(pod, "/status/containerStatuses").iter();
    let waiting = waiting.map(|it| &it["state"]["waiting"]).find(|it| it["reason"].is_string());
    let reason = waiting.map(|it| text(it, "/reason")).unwrap_or_default();
    let is_sure = reason.ends_with("BackOff") || reason.starts_with("Err");
    if seconds < PATIENCE && !is_sure {
        return None;
    }
    let (space, pod_name) = (namespace(pod), name(pod));
    let unscheduled = of_kind("PodScheduled").filter(|it| it["status"] == "False");
    let why = match (reason, unscheduled) {
        ("CrashLoopBackOff", _) => "Its program ends again and again.".to_owned(),
        (reason, _) if reason.contains("Image") => {
            let message = waiting.map(|it| text(it, "/message")).unwrap_or_default();
            format!("Its image cannot be had: {message}")
        }
        (_, Some(condition)) => text(condition, "/message").to_owned(),
        ("" | "ContainerCreating" | "PodInitializing", None)
            if text(pod, "/status/phase") == "Running" =>
        {
            "It runs, but its readiness probe says no.".to_owned()
        }
        ("", None) => text(pod, "/status/message").to_owned(),
        (reason, None) => {
            let message = waiting.map(|it| text(it, "/message")).unwrap_or_default();
            format!("{reason} {message}")
        }
    };
    let command = if reason == "CrashLoopBackOff" {
        format!("kubectl -n {space} logs {pod_name} --previous")
    } else {
        format!("kubectl -n {space} describe pod {pod_name}")
    };
    let what = if seconds < PATIENCE {
        format!("A pod of {} does not start.", workload(pod))
    } else {
        format!("A pod of {} has not been ready for {}.", workload(pod), span(seconds))
    };
    Some(Problem { state: State::Bad, what, why: why.trim().to_owned(), link: None, command })
}

/// `40 s`, `3 min`, `2 h`.
fn span(seconds: i64) -> String {
    match seconds {
        ..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

/// What the conditions of an object say against it.
fn of_object(plural: &str, group: &str, object: &Value) -> Option<Problem> {
    let failed = conditions(object)
        .find(|it| it["status"] == "False" && CONDITIONS.iter().any(|kind| it["type"] == *kind))?;
    let (space, object_name) = (namespace(object), name(object));
    let kind = text(object, "/kind");
    let what = match text(failed, "/type") {
        "Accepted" => "is not accepted",
        "Resolved" | "ResolvedRefs" => {
            "names something that is not there, or conflicts with another object"
        }
        "Live" => "is not in force everywhere yet",
        _ => "is not in force",
    };
    Some(Problem {
        state: if text(failed, "/type") == "Live" { State::Odd } else { State::Bad },
        what: format!("{kind} {space}/{object_name} {what}."),
        why: text(failed, "/message").to_owned(),
        link: Some(crate::objects::link(plural, group, space, object_name)),
        command: format!("kubectl -n {space} describe {plural}.{group} {object_name}"),
    })
}

/// The conditions of an object; those of a route stand with each of its parents.
pub(crate) fn conditions(object: &Value) -> impl Iterator<Item = &Value> {
    let own = items(object, "/status/conditions").iter();
    let parents = items(object, "/status/parents").iter();
    own.chain(parents.flat_map(|parent| items(parent, "/conditions")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> Timestamp {
        "2026-11-21T10:01:00Z".parse().unwrap()
    }

    fn pod(state: Value) -> Value {
        json!({
            "metadata": {"name": "reviews-abc-x", "namespace": "shop", "creationTimestamp": "2026-11-21T10:00:00Z",
                "labels": {"pod-template-hash": "abc"}, "ownerReferences": [{"kind": "ReplicaSet", "name": "reviews-abc"}]},
            "status": {"phase": "Running", "containerStatuses": [{"state": state}]},
        })
    }

    #[test]
    fn a_pod_that_does_not_start_says_why_and_what_to_type() {
        let check = |state: Value, expect: [&str; 3]| {
            let problem = of_pod(&pod(state), now()).unwrap();
            assert_eq!([problem.what.as_str(), &problem.why, &problem.command], expect);
        };
        let what = "A pod of reviews has not been ready for 60 s.";
        check(
            json!({"waiting": {"reason": "CrashLoopBackOff"}}),
            [
                what,
                "Its program ends again and again.",
                "kubectl -n shop logs reviews-abc-x --previous",
            ],
        );
        check(
            json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}),
            [
                what,
                "Its image cannot be had: no such image",
                "kubectl -n shop describe pod reviews-abc-x",
            ],
        );
        check(
            json!({"running": {}}),
            [
                what,
                "It runs, but its readiness probe says no.",
                "kubectl -n shop describe pod reviews-abc-x",
            ],
        );
    }

    #[test]
    fn a_pod_has_time_to_become_ready() {
        let early = "2026-11-21T10:00:05Z".parse().unwrap();
        assert_eq!(of_pod(&pod(json!({"running": {}})), early), None);
    }

    #[test]
    fn an_object_that_is_refused_is_a_problem() {
        let object = json!({
            "kind": "VirtualService", "metadata": {"name": "a", "namespace": "b"},
            "status": {"conditions": [
                {"type": "Accepted", "status": "True"},
                {"type": "Resolved", "status": "False", "message": "host c is not there"},
            ]},
        });
        let problem = of_object("virtualservices", "networking.istio.io", &object).unwrap();
        assert_eq!(problem.why, "host c is not there");
        assert_eq!(
            problem.link.as_deref(),
            Some("/objects/virtualservices.networking.istio.io/b/a")
        );
    }
}
