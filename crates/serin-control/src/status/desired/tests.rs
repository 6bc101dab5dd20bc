use std::sync::Arc;

use serin_api::{Code, FieldPath, ObjectRef};

use super::*;
use crate::proxy::ProxyId;

fn finding(code: &'static str, severity: Severity, message: &str) -> Finding {
    let object = ObjectRef {
        api_version: "networking.istio.io/v1".to_owned(),
        kind: "VirtualService".to_owned(),
        namespace: "default".to_owned(),
        name: "v".to_owned(),
    };
    Finding::new(Code(code), severity, &object, FieldPath::spec().key("hosts"), message)
}

fn written(generation: i64, findings: Vec<Finding>) -> Written {
    Written { generation, status: Arc::default(), version: String::new(), findings }
}

fn live(generation: i64, waiting: &[&str]) -> Live {
    let proxy = |name: &&str| ProxyId::Pod {
        namespace: "default".into(),
        name: (*name).into(),
        uid: "u".into(),
    };
    let waiting: Vec<ProxyId> = waiting.iter().map(proxy).collect();
    Live { generation, live: 5 - waiting.len(), proxies: 5, waiting }
}

/// Each condition as `Type Status Reason: message`.
fn check(known: &Known<'_>, expect: &[&str]) {
    let status = status(known);
    let text = |it: &Value, name: &str| it[name].as_str().unwrap().to_owned();
    let line = |it: &Value| {
        assert_eq!(it["observedGeneration"], known.written.generation);
        let [kind, status, reason, message] =
            ["type", "status", "reason", "message"].map(|name| text(it, name));
        format!("{kind} {status} {reason}: {message}")
    };
    let conditions: Vec<String> =
        status["conditions"].as_array().unwrap().iter().map(line).collect();
    assert_eq!(conditions, expect);
}

const VALID: &str = "Accepted True Accepted: the object is valid";
const THERE: &str = "Resolved True Resolved: what the object names is there";

#[test]
fn an_object_that_every_proxy_decides_by_is_live() {
    let (written, live) = (written(2, Vec::new()), live(2, &[]));
    let known = Known {
        written: &written,
        found: Some(&[]),
        live: Some(&live),
        is_overdue: false,
        unserved: None,
    };
    check(
        &known,
        &[
            VALID,
            THERE,
            "Reconciled True Live: live on 5 of 5 proxies at generation 2",
            "Live True Live: live on 5 of 5 proxies at generation 2",
        ],
    );
}

#[test]
fn what_is_not_known_yet_is_not_told_until_it_takes_too_long() {
    let (written, live) = (written(2, Vec::new()), live(2, &["a", "b", "c", "d"]));
    let mut known = Known {
        written: &written,
        found: None,
        live: Some(&live),
        is_overdue: false,
        unserved: None,
    };
    check(&known, &[VALID]);
    known.is_overdue = true;
    let waiting = "live on 1 of 5 proxies at generation 2; waiting for default/a, default/b, default/c and 1 more";
    check(
        &known,
        &[
            VALID,
            &format!("Reconciled False Waiting: {waiting}"),
            &format!("Live False Waiting: {waiting}"),
        ],
    );
}

#[test]
fn a_refused_generation_is_not_live_but_the_one_before_may_be() {
    let written = written(3, vec![finding("IST0106", Severity::Error, "is wrong")]);
    let live = live(2, &[]);
    let mut known = Known {
        written: &written,
        found: None,
        live: Some(&live),
        is_overdue: false,
        unserved: None,
    };
    let refused = "generation 3 is refused; live on 5 of 5 proxies at generation 2";
    check(
        &known,
        &[
            "Accepted False Invalid: IST0106 spec.hosts: is wrong; generation 2 stays in force",
            &format!("Reconciled False NotAccepted: {refused}"),
            &format!("Live False NotAccepted: {refused}"),
        ],
    );
    known.live = None;
    check(
        &known,
        &[
            "Accepted False Invalid: IST0106 spec.hosts: is wrong",
            "Reconciled False NotAccepted: no proxy decides by the object",
            "Live False NotAccepted: no proxy decides by the object",
        ],
    );
}

#[test]
fn errors_unresolve_and_warnings_are_only_told() {
    let (written, live) = (written(1, Vec::new()), live(1, &["a"]));
    let warning = finding("SRN0401", Severity::Warning, "never matches");
    let error = finding("IST0101", Severity::Error, "is missing");
    let found = [warning.clone()];
    let known = |found| Known {
        written: &written,
        found: Some(found),
        live: Some(&live),
        is_overdue: false,
        unserved: None,
    };
    check(
        &known(&found),
        &[
            VALID,
            "Resolved True Resolved: what the object names is there, but: SRN0401 spec.hosts: never matches",
        ],
    );
    let found = [warning, error];
    check(
        &known(&found),
        &[VALID, "Resolved False ReferencedResourceNotFound: IST0101 spec.hosts: is missing"],
    );
    let messages = status(&known(&found))["validationMessages"].clone();
    let codes: Vec<&str> = messages
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["type"]["code"].as_str().unwrap())
        .collect();
    assert_eq!(codes, ["SRN0401", "IST0101"]);
    assert_eq!(messages[0]["level"], "WARNING");
}

#[test]
fn a_gateway_with_a_port_that_cannot_be_had_is_not_live() {
    let (written, live) = (written(2, Vec::new()), live(2, &[]));
    let why = Some("cannot listen on 127.0.0.1:80");
    let known = Known {
        written: &written,
        found: Some(&[]),
        live: Some(&live),
        is_overdue: false,
        unserved: why,
    };
    let not_live = "Live False PortUnavailable: cannot listen on 127.0.0.1:80";
    check(&known, &[VALID, THERE, &not_live.replace("Live", "Reconciled"), not_live]);
}
