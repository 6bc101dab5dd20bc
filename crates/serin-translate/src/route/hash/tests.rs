use serde_json::{Value, json};

use super::*;

fn rule() -> DestinationRule {
    let by = |name: &str| json!({"loadBalancer": {"consistentHash": {"httpHeaderName": name}}});
    let by_port = |name: &str| json!({"port": {"number": 80}, "loadBalancer": {"consistentHash": {"httpHeaderName": name}}});
    let with_port = |name: &str, port: &str| {
        let mut policy = by(name);
        policy["portLevelSettings"] = json!([by_port(port)]);
        policy
    };
    serde_json::from_value(json!({
        "host": "a",
        "trafficPolicy": with_port("Rule", "rule-port"),
        "subsets": [
            {"name": "plain"},
            {"name": "own", "trafficPolicy": with_port("subset", "subset-port")},
            {"name": "other", "trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}}},
        ],
    }))
    .unwrap()
}

#[track_caller]
fn check(destination: Value, header: &str) {
    let written: Destination = serde_json::from_value(destination).unwrap();
    let rule = rule();
    let made = of_destination(&rule, &written).and_then(policy).map(|it| it.key);
    assert_eq!(made, Some(HashKey::Header(header.into())), "{written:?}");
}

#[test]
fn the_most_particular_setting_counts_and_ports_only_where_the_destination_names_one() {
    check(json!({"host": "a"}), "rule");
    check(json!({"host": "a", "port": {"number": 80}}), "rule-port");
    check(json!({"host": "a", "port": {"number": 81}}), "rule");
    check(json!({"host": "a", "subset": "plain"}), "rule");
    check(json!({"host": "a", "subset": "plain", "port": {"number": 80}}), "rule-port");
    check(json!({"host": "a", "subset": "own"}), "subset");
    check(json!({"host": "a", "subset": "own", "port": {"number": 80}}), "subset-port");
    check(json!({"host": "a", "subset": "other"}), "rule");
    check(json!({"host": "a", "subset": "missing"}), "rule");
}

#[test]
fn a_service_without_rules_hashes_by_the_setting_of_its_port() {
    let key = |port| port_hash_policy(&rule(), port).map(|it| it.key);
    assert_eq!(key(80), Some(HashKey::Header("rule-port".into())));
    assert_eq!(key(81), Some(HashKey::Header("rule".into())));
}

#[test]
fn every_kind_of_key_is_carried_over() {
    let key = |written: Value| policy(&serde_json::from_value(written).unwrap()).map(|it| it.key);
    assert_eq!(key(json!({"useSourceIp": true})), Some(HashKey::SourceAddress));
    assert_eq!(key(json!({"useSourceIp": false})), None);
    assert_eq!(key(json!({"httpQueryParameterName": "Q"})), Some(HashKey::Query("Q".into())));
    let cookie = json!({"httpCookie": {"name": "c", "ttl": "0s", "path": "/", "attributes": [{"name": "Secure"}]}});
    let expect = HashKey::Cookie {
        name: "c".into(),
        path: Some("/".into()),
        ttl: Some(std::time::Duration::ZERO),
        attributes: vec![("Secure".into(), "".into())],
    };
    assert_eq!(key(cookie), Some(expect));
    assert_eq!(key(json!({})), None);
}
