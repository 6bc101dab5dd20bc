//! Which routes are attached to what, and what their status says.

use super::*;

#[test]
fn a_route_says_why_it_is_not_attached() {
    let denied = |parent: &str, rest: &str| {
        let spec = format!(
            "parentRefs: [{{name: gw, namespace: infra, {parent}}}], {rest}rules: [{{backendRefs: [{{name: a, port: 80}}]}}]"
        );
        let converted = convert(&[
            gateway(
                "{name: l, port: 80, protocol: HTTP, hostname: h.example, allowedRoutes: {namespaces: {from: All}}}",
            ),
            object("HTTPRoute", "app", "r", &spec),
        ]);
        let codes: Vec<_> = converted.findings.iter().map(|it| it.code.0).collect();
        (parents(&converted, "HTTPRoute", "r")[0][0].clone(), codes)
    };
    let check = |parent: &str, rest: &str, expect: &str| {
        assert_eq!(denied(parent, rest), (expect.to_owned(), vec!["SRN0601"]), "{parent} {rest}");
    };
    check("sectionName: x", "", r#"False NoMatchingParent: sectionName "x" not found"#);
    check("port: 81", "", "False NoMatchingParent: port 81 not found");
    check(
        "",
        "hostnames: [other.example], ",
        r#"False NoMatchingListenerHostname: no hostnames matched parent hostname "h.example""#,
    );
    assert_eq!(denied("port: 80, sectionName: l", ""), (VALID[0].to_owned(), vec![]));
}

#[test]
fn a_route_whose_parent_is_unknown_has_no_status_and_a_finding() {
    let converted = convert(&[route_with_rule("")]);
    assert_eq!(status(&converted, "HTTPRoute", "r"), serde_json::json!({"parents": []}));
    let [finding] = converted.findings.as_slice() else { panic!("{:?}", converted.findings) };
    assert_eq!(
        (finding.code.0, finding.field.to_string().as_str()),
        ("SRN0601", "spec.parentRefs[0]")
    );
}

#[test]
fn entries_of_other_controllers_stay_and_stale_ones_of_ours_go() {
    let existing = "status: {parents: [\
        {controllerName: other.example/c, parentRef: {name: gw, namespace: infra}, conditions: []}, \
        {controllerName: istio.io/gateway-controller, parentRef: {name: gone, namespace: infra}, conditions: []}, \
        {controllerName: istio.io/gateway-controller, parentRef: {group: gateway.networking.k8s.io, kind: Gateway, name: gw, namespace: infra}, conditions: [\
            {type: Accepted, status: 'True', reason: Accepted, message: old, lastTransitionTime: then}]}]}";
    let text = route_with_rule("");
    let text = format!("{}, {existing}}}", &text[..text.len() - 1]);
    let converted = convert(&[gateway(OPEN), text]);
    let status = status(&converted, "HTTPRoute", "r");
    let entries = status["parents"].as_array().unwrap();
    let controllers: Vec<_> =
        entries.iter().map(|it| it["controllerName"].as_str().unwrap()).collect();
    assert_eq!(controllers, ["other.example/c", "istio.io/gateway-controller"]);
    let accepted = &entries[1]["conditions"][0];
    assert_eq!(
        (&accepted["message"], &accepted["lastTransitionTime"]),
        (&"Route was valid".into(), &"then".into())
    );
}

#[test]
fn routes_of_the_mesh_are_for_the_service_and_need_no_grant() {
    let spec = "parentRefs: [{group: '', kind: Service, name: a, port: 80}], \
                rules: [{matches: [{path: {value: /x}}], backendRefs: [{name: edge, namespace: infra, port: 80}]}, {backendRefs: [{name: b, port: 80}]}]";
    let converted = convert(&[object("HTTPRoute", "app", "r", spec)]);
    assert_eq!(parents(&converted, "HTTPRoute", "r"), [VALID]);
    let made = find(&converted, "app~80~a.app.svc.cluster.local");
    assert_eq!(
        (made.gateways.as_slice(), made.hosts.as_slice()),
        (&["mesh".to_owned()][..], &["a.app.svc.cluster.local".to_owned()][..])
    );
    assert!(made.http.iter().all(|it| it.matches[0].port == Some(80)));
    assert_eq!(
        made.http[0].route[0].destination.as_ref().unwrap().host,
        "edge.infra.svc.cluster.local"
    );
}

#[test]
fn a_route_for_a_service_that_does_not_exist_is_not_accepted() {
    let spec = "parentRefs: [{group: '', kind: Service, name: missing}], rules: [{backendRefs: [{name: b, port: 80}]}]";
    let converted = convert(&[object("HTTPRoute", "app", "r", spec)]);
    assert_eq!(
        parents(&converted, "HTTPRoute", "r")[0][0],
        r#"False NoMatchingParent: parent service: "missing" not found"#
    );
    assert!(converted.virtual_services.is_empty());
}

#[test]
fn a_route_for_all_listeners_counts_at_each_that_takes_it() {
    let listener_of = |name: &str, host: &str| {
        format!(
            "{{name: {name}, port: 80, protocol: HTTP, hostname: '{host}', allowedRoutes: {{namespaces: {{from: All}}}}}}"
        )
    };
    let listeners = [
        listener_of("a", "*.example"),
        listener_of("b", "*.test"),
        listener_of("c", "*.x.example"),
    ];
    let spec = "hostnames: [h.x.example], rules: [{backendRefs: [{name: a, port: 80}]}]";
    let converted = convert(&[gateway(&listeners.join(", ")), route("r", spec)]);
    let counts = [0, 1, 2].map(|it| listener(&converted, it)["attachedRoutes"].as_u64().unwrap());
    assert_eq!(counts, [1, 0, 1]);
    // Requests for the host reach the listener that is closest to it only.
    let gateways: Vec<_> =
        converted.virtual_services.iter().flat_map(|it| &it.spec.gateways).collect();
    assert_eq!(gateways, ["infra/gw~istio-autogenerated-k8s-gateway~c"]);
    assert_eq!(
        parents(&converted, "HTTPRoute", "r")[0][0],
        "True Accepted: Route was valid, bound to 2 parents"
    );
}

#[test]
fn routes_attach_to_listener_sets_by_name() {
    let allowing = gateway(OPEN).replace(
        "gatewayClassName: istio,",
        "gatewayClassName: istio, allowedListeners: {namespaces: {from: All}},",
    );
    let set = object(
        "ListenerSet",
        "app",
        "set",
        "parentRef: {name: gw, namespace: infra}, listeners: [{name: s, port: 80, protocol: HTTP, hostname: s.example}]",
    );
    let spec = "parentRefs: [{group: gateway.networking.k8s.io, kind: ListenerSet, name: set}], rules: [{backendRefs: [{name: a, port: 80}]}]";
    let converted = convert(&[allowing, set, object("HTTPRoute", "app", "r", spec)]);
    assert_eq!(parents(&converted, "HTTPRoute", "r"), [VALID]);
    assert_eq!(status(&converted, "ListenerSet", "set")["listeners"][0]["attachedRoutes"], 1);
    assert_eq!(listener(&converted, 0)["attachedRoutes"], 0);
    assert_eq!(
        converted.virtual_services[0].spec.gateways,
        ["app/set~istio-autogenerated-k8s-gateway~s"]
    );
}

#[test]
fn a_gateway_takes_no_listener_sets_unless_it_says_so() {
    let set = object(
        "ListenerSet",
        "app",
        "set",
        "parentRef: {name: gw, namespace: infra}, listeners: [{name: s, port: 80, protocol: HTTP}]",
    );
    let converted = convert(&[gateway(OPEN), set]);
    let accepted = condition(&status(&converted, "ListenerSet", "set"), "Accepted");
    assert!(accepted.starts_with("False NotAllowed:"), "{accepted}");
    assert_eq!(converted.gateways.len(), 1);
}
