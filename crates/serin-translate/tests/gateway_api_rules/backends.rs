//! What becomes of backends that can be used and of those that cannot.

use super::*;

/// What the status says of a backend, and whether it has a destination.
fn resolved(backend: &str) -> (String, Option<bool>) {
    let converted = convert(&[
        gateway(OPEN),
        route("r", &format!("rules: [{{backendRefs: [{{{backend}}}]}}]")),
    ]);
    let route = converted
        .virtual_services
        .first()
        .map(|it| it.spec.http[0].route[0].destination.clone().unwrap());
    (parents(&converted, "HTTPRoute", "r")[0][1].clone(), route.map(|it| !it.host.is_empty()))
}

#[test]
fn what_cannot_be_used_says_so_and_takes_its_share_nowhere() {
    let check = |backend: &str, expect: &str, destination: Option<bool>| {
        assert_eq!(resolved(backend), (expect.to_owned(), destination), "{backend}");
    };
    check("name: a, port: 80", VALID[1], Some(true));
    check(
        "name: missing, port: 80",
        "False BackendNotFound: backend(missing.app.svc.cluster.local) not found",
        Some(true),
    );
    check(
        "name: edge, namespace: infra, port: 80",
        "False RefNotPermitted: backendRef edge/infra not accessible to a HTTPRoute in namespace \"app\" (missing a ReferenceGrant?)",
        Some(false),
    );
    check(
        "group: g.example, kind: Thing, name: a, port: 80",
        "False InvalidKind: referencing unsupported backendRef: group \"g.example\" kind \"Thing\"",
        Some(false),
    );
    check("name: a", "False InvalidDestination: port is required in backendRef", None);
    check(
        "name: a.app, port: 80",
        "False InvalidDestination: service name invalid; the name of the Service must be used, not the hostname.",
        None,
    );
    check(
        "group: networking.istio.io, kind: Hostname, name: h.example, port: 80",
        "False BackendNotFound: backend(h.example) not found",
        Some(true),
    );
}

#[test]
fn a_grant_opens_a_namespace_to_one_kind_of_route() {
    let grant = |kind: &str, name: &str| {
        let spec = format!(
            "from: [{{group: gateway.networking.k8s.io, kind: {kind}, namespace: app}}], to: [{{group: '', kind: Service{name}}}]"
        );
        object("ReferenceGrant", "infra", "g", &spec)
    };
    let granted = |grant: String| {
        let spec = "rules: [{backendRefs: [{name: edge, namespace: infra, port: 80}]}]";
        let converted = convert(&[gateway(OPEN), route("r", spec), grant]);
        parents(&converted, "HTTPRoute", "r")[0][1] == VALID[1]
    };
    assert!(granted(grant("HTTPRoute", "")));
    assert!(granted(grant("HTTPRoute", ", name: edge")));
    assert!(!granted(grant("HTTPRoute", ", name: other")));
    assert!(!granted(grant("GRPCRoute", "")));
}
