//! Which service serves a Gateway, and under which addresses.

use super::*;

fn programmed(spec: &str, port: u32) -> (String, Value) {
    let listeners = format!("listeners: [{{name: l, port: {port}, protocol: HTTP}}]");
    let converted = convert(&[object(
        "Gateway",
        "infra",
        "gw",
        &format!("gatewayClassName: istio, {spec}{listeners}"),
    )]);
    let status = status(&converted, "Gateway", "gw");
    (condition(&status, "Programmed"), status["addresses"].clone())
}

#[test]
fn a_gateway_is_programmed_on_ports_that_its_service_has() {
    let edge = "addresses: [{type: Hostname, value: edge}], ";
    let (condition, addresses) = programmed(edge, 80);
    assert_eq!(
        condition,
        "True Programmed: Resource programmed, assigned to service(s) edge.infra.svc.cluster.local:80"
    );
    assert_eq!(addresses, serde_json::json!([{"type": "IPAddress", "value": "203.0.113.1"}]));
    let failed = |it: &str| {
        let host = "hostname \"edge.infra.svc.cluster.local\"";
        format!(
            "False AddressNotUsable: Failed to assign to any requested addresses: port {}",
            it.replace("HOST", host)
        )
    };
    assert_eq!(
        programmed(edge, 8443).0,
        failed(
            "8443 not found for HOST (hint: the service port should be specified, not the workload port. Did you mean one of these ports: [443]?)"
        )
    );
    assert_eq!(programmed(edge, 81).0, failed("81 not found for HOST"));
}

#[test]
fn the_service_of_a_gateway_without_addresses_has_its_name_and_class() {
    let service = |metadata: &str, spec: &str| {
        let text = object(
            "Gateway",
            "infra",
            "gw",
            &format!("gatewayClassName: istio, {spec}listeners: [{OPEN}]"),
        )
        .replace("namespace: infra", &format!("namespace: infra, annotations: {{{metadata}}}"));
        let annotations = convert(&[text]).gateways[0].meta.annotations.clone();
        ["internal.istio.io/gateway-service", "internal.istio.io/service-account-name"]
            .map(|it| annotations[it].clone())
    };
    let expect =
        |name: &str, account: &str| [format!("{name}.infra.svc.cluster.local"), account.to_owned()];
    assert_eq!(service("", ""), expect("gw-istio", "gw-istio"));
    assert_eq!(
        service("", "addresses: [{type: IPAddress, value: 1.2.3.4}], "),
        expect("gw-istio", "gw-istio")
    );
    assert_eq!(service("gateway.istio.io/name-override: mine", ""), expect("mine", "gw-istio"));
    assert_eq!(service("gateway.istio.io/service-account: mine", ""), expect("gw-istio", "mine"));
    let two = "addresses: [{type: Hostname, value: edge}, {type: Hostname, value: edge.example}], ";
    assert_eq!(
        service("", two),
        ["edge.infra.svc.cluster.local,edge.example".to_owned(), String::new()]
    );
}

#[test]
fn an_address_that_is_no_host_name_serves_nothing() {
    let (condition, addresses) =
        programmed("addresses: [{type: example.com/Fake, value: 1.2.3.4}], ", 80);
    assert_eq!(condition, "False UnsupportedAddress: Failed to assign to any requested addresses");
    assert_eq!(addresses, Value::Null);
}
