//! What becomes of the parts of a rule.

use super::*;

fn uri(matches: &str) -> StringMatch {
    the_route(&format!("matches: [{{{matches}}}]")).matches[0].uri.clone().unwrap()
}

#[test]
fn paths_default_to_the_prefix_of_everything_and_lose_their_last_slash() {
    let prefix = |it: &str| StringMatch::Prefix(it.to_owned());
    assert_eq!(uri("headers: [{name: x, value: v}]"), prefix("/"));
    assert_eq!(uri("path: {type: PathPrefix}"), prefix("/"));
    assert_eq!(uri("path: {value: /a/}"), prefix("/a"));
    assert_eq!(uri("path: {value: /}"), prefix("/"));
    assert_eq!(uri("path: {type: Exact, value: /a/}"), StringMatch::Exact("/a/".to_owned()));
}

#[test]
fn grpc_methods_are_paths() {
    let path = |method: &str| {
        let spec = format!(
            "{PARENT}, rules: [{{matches: [{{method: {{{method}}}}}], backendRefs: [{{name: a, port: 80}}]}}]"
        );
        let converted = convert(&[gateway(OPEN), object("GRPCRoute", "app", "g", &spec)]);
        converted.virtual_services[0].spec.http[0].matches[0].uri.clone().unwrap()
    };
    assert_eq!(path("service: s, method: m"), StringMatch::Exact("/s/m".to_owned()));
    assert_eq!(path("service: s"), StringMatch::Prefix("/s/".to_owned()));
    assert_eq!(path("method: m"), StringMatch::Regex("/[^/]+/m".to_owned()));
    assert_eq!(
        path("type: RegularExpression, service: s.*, method: m"),
        StringMatch::Regex("/s.*/m".to_owned())
    );
    assert_eq!(path("type: RegularExpression, service: s"), StringMatch::Regex("/s/.+".to_owned()));
}

#[test]
fn of_headers_that_differ_in_letter_case_the_first_counts() {
    let headers = the_route(
        "filters: [{type: RequestHeaderModifier, requestHeaderModifier: \
         {set: [{name: X-One, value: a}, {name: x-one, value: b}], remove: [X-Two]}}]",
    );
    let request = headers.headers.unwrap().request.unwrap();
    assert_eq!(request.set, BTreeMap::from([("x-one".to_owned(), "a".to_owned())]));
    assert_eq!(request.remove, ["X-Two"]);
}

#[test]
fn a_redirect_keeps_the_port_unless_it_names_a_port_or_a_scheme() {
    let redirect = |spec: &str| {
        let rule = format!("filters: [{{type: RequestRedirect, requestRedirect: {{{spec}}}}}]");
        let redirect = the_route(&rule).redirect.unwrap();
        (redirect.port, redirect.derive_port.map(|it| it.as_str()))
    };
    assert_eq!(redirect("hostname: h.example"), (None, Some("FROM_REQUEST_PORT")));
    assert_eq!(redirect("scheme: https"), (None, Some("FROM_PROTOCOL_DEFAULT")));
    assert_eq!(redirect("scheme: https, port: 8443"), (Some(8443), None));
}

#[test]
fn a_redirect_needs_no_backend() {
    let spec = "rules: [{filters: [{type: RequestRedirect, requestRedirect: {statusCode: 301}}]}]";
    let converted = convert(&[gateway(OPEN), route("r", spec)]);
    let http = &converted.virtual_services[0].spec.http[0];
    assert!(http.route.is_empty() && http.direct_response.is_none());
    assert_eq!(http.redirect.as_ref().unwrap().redirect_code, 301);
}

#[test]
fn a_rewrite_of_nothing_is_none() {
    assert_eq!(the_route("filters: [{type: URLRewrite, urlRewrite: {}}]").rewrite, None);
}

#[test]
fn a_mirror_is_a_copy_of_all_requests_unless_it_says_how_many() {
    let share = |spec: &str| {
        let rule = format!(
            "filters: [{{type: RequestMirror, requestMirror: {{backendRef: {{name: b, port: 80}}{spec}}}}}]"
        );
        the_route(&rule).mirrors[0].percentage.as_ref().map(|it| it.value)
    };
    assert_eq!(share(""), None);
    assert_eq!(share(", percent: 0"), Some(0.0));
    assert_eq!(share(", fraction: {numerator: 5}"), Some(5.0));
    assert_eq!(share(", fraction: {numerator: 1, denominator: 1000}"), Some(0.1));
}

#[test]
fn the_time_of_each_try_is_the_whole_time_where_nothing_is_retried() {
    let times = |spec: &str| {
        let it = the_route(spec);
        let per_try = it.retries.and_then(|it| it.per_try_timeout);
        [it.timeout, per_try].map(|it| it.map(|it| it.to_string()))
    };
    let some = |it: &str| Some(it.to_owned());
    assert_eq!(times("timeouts: {request: 2s, backendRequest: 1s}"), [some("1s"), None]);
    assert_eq!(
        times("retry: {attempts: 3}, timeouts: {request: 2s, backendRequest: 1s}"),
        [some("2s"), some("1s")]
    );
    assert_eq!(times("timeouts: {request: 0s}"), [None, None]);
}

#[test]
fn no_attempts_have_no_conditions() {
    let retries = the_route("retry: {attempts: 0, codes: [500]}").retries.unwrap();
    assert_eq!((retries.attempts, retries.retry_on.as_str()), (0, ""));
}

#[test]
fn weights_of_zero_leave_and_an_only_backend_takes_all() {
    let weights = |backends: &str| {
        let converted = convert(&[
            gateway(OPEN),
            route("r", &format!("rules: [{{backendRefs: [{backends}]}}]")),
        ]);
        let route = converted.virtual_services[0].spec.http[0].clone();
        let share = |it: &serin_api::networking::HttpRouteDestination| {
            let host = it.destination.as_ref().unwrap().host.split('.').next().unwrap().to_owned();
            (host, it.weight)
        };
        let shares: Vec<_> = route.route.iter().map(share).collect();
        (shares, route.direct_response.map(|it| it.status))
    };
    let share = |name: &str, weight: i32| (name.to_owned(), weight);
    assert_eq!(
        weights(
            "{name: a, port: 80}, {name: b, port: 80, weight: 3}, {name: c, port: 80, weight: 0}"
        ),
        (vec![share("a", 1), share("b", 3)], None)
    );
    assert_eq!(weights("{name: a, port: 80, weight: 5}"), (vec![share("a", 0)], None));
    assert_eq!(weights("{name: a, port: 80, weight: 0}"), (vec![], Some(500)));
    assert_eq!(weights(""), (vec![], Some(500)));
}

#[test]
fn an_unsupported_filter_makes_the_whole_route_useless() {
    let rule = "filters: [{type: ExtensionRef, extensionRef: {group: g, kind: K, name: it}}]";
    let converted = convert(&[gateway(OPEN), route_with_rule(rule)]);
    assert_eq!(hosts(&converted), [""; 0]);
    let expect = [VALID[0], r#"False InvalidFilter: unsupported filter type "ExtensionRef""#];
    assert_eq!(parents(&converted, "HTTPRoute", "r"), [expect]);
}

#[test]
fn sessions_are_said_to_be_without_effect() {
    let converted =
        convert(&[gateway(OPEN), route_with_rule("sessionPersistence: {sessionName: s}")]);
    let [finding] = converted.findings.as_slice() else { panic!("{:?}", converted.findings) };
    assert_eq!(
        (finding.code.0, finding.field.to_string().as_str()),
        ("SRN0607", "spec.rules[0].sessionPersistence")
    );
}
