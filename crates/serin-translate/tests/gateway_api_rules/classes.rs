//! Classes of Gateways.

use super::*;

fn of_class(class: &str, listener: &str) -> Converted {
    convert(&[object(
        "Gateway",
        "infra",
        "gw",
        &format!("gatewayClassName: {class}, listeners: [{listener}]"),
    )])
}

#[test]
fn waypoints_have_a_status_but_no_istio_gateway() {
    let converted = of_class("istio-waypoint", "{name: mesh, port: 15008, protocol: HBONE}");
    assert!(converted.gateways.is_empty());
    assert_eq!(condition(&listener(&converted, 0), "Accepted"), "True Accepted: No errors found");
    let programmed = condition(&status(&converted, "Gateway", "gw"), "Programmed");
    assert!(
        programmed.contains(r#"hostname "gw.infra.svc.cluster.local" not found"#),
        "{programmed}"
    );
    let odd = of_class("istio-waypoint", "{name: mesh, port: 80, protocol: HTTP}");
    let accepted = condition(&listener(&odd, 0), "Accepted");
    assert!(
        accepted.starts_with("False UnsupportedProtocol: Expected a single listener"),
        "{accepted}"
    );
}

#[test]
fn a_class_of_another_controller_is_none_of_our_business() {
    let class = "{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: istio}, spec: {controllerName: other.example/c}}";
    let converted = convert(&[class.to_owned(), gateway(OPEN)]);
    assert!(converted.statuses("now").is_empty() && converted.gateways.is_empty());
}
