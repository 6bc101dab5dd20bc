//! Conditions and actions of rules, in words.

use serin_routing::model::{Action, HeaderMatch, PathMatch, Route, RouteMatch, ValueMatch};

/// Which requests a rule takes.
pub(super) fn condition(condition: &RouteMatch) -> String {
    let mut parts = Vec::new();
    match &condition.path {
        PathMatch::Any => {}
        PathMatch::Exact(path) => parts.push(format!("path {path}")),
        PathMatch::Prefix(prefix) if &**prefix == "/" => {}
        PathMatch::Prefix(prefix) => parts.push(format!("path begins with {prefix}")),
        PathMatch::Segments(prefix) => parts.push(format!("path {prefix} and below")),
        PathMatch::Regex(regex) => parts.push(format!("path matches {}", regex.as_str())),
    }
    parts.extend(condition.headers.iter().map(header));
    let query = condition.query.iter();
    parts.extend(query.map(|it| format!("query {} {}", it.name, value(&it.value))));
    let claims = condition.claims.iter();
    parts.extend(claims.map(|it| {
        let not = if it.invert { "not " } else { "" };
        format!("{not}claim {} {}", it.path.join("."), value(&it.value))
    }));
    if parts.is_empty() { "every request".to_owned() } else { parts.join(", and ") }
}

fn header(header: &HeaderMatch) -> String {
    let name = match &*header.name {
        ":method" => "method",
        ":scheme" => "scheme",
        ":authority" => "authority",
        name => &format!("header {name}"),
    };
    if header.invert && header.value == ValueMatch::Present {
        return format!("no {name}");
    }
    let not = if header.invert { "not " } else { "" };
    format!("{not}{name} {}", value(&header.value))
}

fn value(value: &ValueMatch) -> String {
    match value {
        ValueMatch::Present => "is there".to_owned(),
        ValueMatch::Exact(text) => format!("is {text}"),
        ValueMatch::Prefix(text) => format!("begins with {text}"),
        ValueMatch::Suffix(text) => format!("ends with {text}"),
        ValueMatch::Regex(regex) => format!("matches {}", regex.as_str()),
    }
}

/// Where requests go with which share in percent, and what else an action does.
pub(super) fn action(action: &Action) -> (Vec<(f64, String)>, Vec<String>) {
    let forward = match action {
        Action::Redirect(it) => {
            return (Vec::new(), vec![format!("answered with a redirect, {}", it.status)]);
        }
        Action::Direct(it) => {
            return (Vec::new(), vec![format!("answered at once with {}", it.status)]);
        }
        Action::Forward(forward) => forward,
    };
    let total = forward.destinations.total_weight().max(1) as f64;
    let list = forward.destinations.list().iter();
    let to = list.map(|it| (f64::from(it.weight) * 100.0 / total, cluster(&it.cluster)));
    let mut also = Vec::new();
    let mirrors = forward.mirrors.iter();
    also.extend(mirrors.map(|it| {
        format!("{} copied to {}", share(it.fraction.percent()).trim(), cluster(&it.cluster))
    }));
    if forward.path_rewrite.is_some() {
        also.push("the path is rewritten".to_owned());
    }
    also.extend(forward.host_rewrite.iter().map(|host| format!("the authority becomes {host}")));
    also.extend(forward.timeout.map(|limit| format!("at most {limit:?}")));
    if forward.cohort.is_some() {
        also.push("sessions keep their version".to_owned());
    }
    (to.collect(), also)
}

/// What a rule does beside its action.
pub(super) fn changes(route: &Route) -> Vec<String> {
    let mut also = Vec::new();
    let fault = route.fault.iter();
    for fault in fault {
        also.extend(fault.delay.iter().map(|it| {
            format!("{} delayed by {:?}", share(it.fraction.percent()).trim(), it.duration)
        }));
        also.extend(fault.abort.iter().map(|it| {
            format!("{} answered with an error on purpose", share(it.fraction.percent()).trim())
        }));
    }
    if !route.request_headers.is_empty() {
        also.push("headers of the request are changed".to_owned());
    }
    if !route.response_headers.is_empty() {
        also.push("headers of the answer are changed".to_owned());
    }
    also
}

/// `80 % `, and nothing where it is all.
pub(super) fn share(percent: f64) -> String {
    if percent >= 100.0 {
        return String::new();
    }
    let text = format!("{percent:.2}");
    format!("{} % ", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A cluster's name in words: a service, its port, and the subset if there is one.
fn cluster(name: &str) -> String {
    match name.split('|').collect::<Vec<_>>()[..] {
        ["outbound" | "outbound_", port, subset, host] => {
            let host = host.split(".svc.").next().unwrap_or(host);
            let subset = if subset.is_empty() { String::new() } else { format!(", {subset}") };
            format!("{host}:{port}{subset}")
        }
        _ => match name {
            "PassthroughCluster" => "where the client meant it to go".to_owned(),
            "BlackHoleCluster" => "nowhere".to_owned(),
            _ => name.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use serin_routing::model::{Destination, Destinations, Forward, QueryMatch};

    use super::*;

    #[test]
    fn conditions_read_as_a_sentence() {
        let check = |given: RouteMatch, expect: &str| assert_eq!(condition(&given), expect);
        check(RouteMatch::default(), "every request");
        check(
            RouteMatch {
                path: PathMatch::Prefix("/api".into()),
                headers: vec![HeaderMatch {
                    name: "end-user".into(),
                    value: ValueMatch::Exact("jason".into()),
                    invert: false,
                    missing_is_empty: false,
                }],
                query: vec![QueryMatch { name: "debug".into(), value: ValueMatch::Present }],
                ..RouteMatch::default()
            },
            "path begins with /api, and header end-user is jason, and query debug is there",
        );
        let absent = HeaderMatch {
            name: "x-test".into(),
            value: ValueMatch::Present,
            invert: true,
            missing_is_empty: false,
        };
        check(RouteMatch { headers: vec![absent], ..RouteMatch::default() }, "no header x-test");
    }

    #[test]
    fn destinations_have_shares() {
        let to = |subset: &str, weight| {
            let host = "reviews.default.svc.cluster.local";
            Destination::new(format!("outbound|9080|{subset}|{host}").into(), weight)
        };
        let forward = Forward::new(Destinations::new(vec![to("v1", 3), to("v2", 1)]));
        let (found, also) = action(&Action::Forward(Box::new(forward)));
        let expect = [
            (75.0, "reviews.default:9080, v1".to_owned()),
            (25.0, "reviews.default:9080, v2".to_owned()),
        ];
        assert_eq!(found, expect);
        assert!(also.is_empty());
        assert_eq!(
            (share(75.0), share(33.333_3), share(100.0)),
            ("75 % ".into(), "33.33 % ".into(), String::new())
        );
    }
}
