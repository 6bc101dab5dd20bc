use super::*;
use crate::Snapshot;
use crate::testing::{cluster, cluster_with, labels, sidecar};

/// A DestinationRule named after what tells it apart: its subset.
fn rule(place: &str, host: &str, subset: &str, more: &str) -> String {
    let (namespace, name) = place.split_once('/').unwrap();
    format!(
        "---\nkind: DestinationRule\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         spec: {{host: {host}, subsets: [{{name: {subset}}}]{}{more}}}\n",
        if more.is_empty() { "" } else { ", " },
    )
}

fn subsets(rules: &[&Arc<MergedRule>]) -> String {
    let of = |rule: &&Arc<MergedRule>| {
        let names: Vec<_> = rule.spec.subsets.iter().map(|it| it.name.as_str()).collect();
        names.join("+")
    };
    rules.iter().map(of).collect::<Vec<_>>().join(" ")
}

/// The subsets that a client sees of `svc` in namespace `server`.
fn seen(snapshot: &Snapshot, client: &str, host: &str) -> String {
    subsets(&snapshot.destination_rules().lookup(client, "server", &Host::new(host)))
}

const SVC: &str = "svc.server.svc.cluster.local";

#[test]
fn a_rule_is_looked_for_with_the_client_then_the_service_then_the_root() {
    let client = rule("client/a", SVC, "client", "");
    let server = rule("server/b", "svc", "server", "");
    let root = rule("istio-system/c", SVC, "root", "");
    let check = |objects: &[&str], namespace: &str, expect: &str| {
        assert_eq!(
            seen(&cluster(&objects.concat()), namespace, SVC),
            expect,
            "{objects:?} {namespace}"
        );
    };
    check(&[&client, &server, &root], "client", "client");
    check(&[&client, &server, &root], "other", "server");
    check(&[&client, &server, &root], "server", "server");
    check(&[&client, &root], "other", "root");
    check(&[&client], "other", "");
    // In the root namespace, rules of the service's namespace go before those for the whole mesh.
    check(&[&client, &server, &root], "istio-system", "server");
    let private = rule("istio-system/d", SVC, "private", "exportTo: ['.']");
    check(&[&server, &private], "istio-system", "private");
    check(&[&private], "other", "");
}

#[test]
fn only_exported_rules_are_found_elsewhere() {
    let check = |export_to: &str, client: &str, expect: &str| {
        let server = rule("server/b", "svc", "server", &format!("exportTo: [{export_to}]"));
        assert_eq!(seen(&cluster(&server), client, SVC), expect, "{export_to} {client}");
    };
    check("'.'", "server", "server");
    check("'.'", "other", "");
    check("'*'", "other", "server");
    check("a", "a", "server");
    check("a", "b", "");
    check("a", "server", "");
    check("server, a", "server", "server");
    check("'~'", "server", "");
    let by_default = rule("server/b", "svc", "server", "");
    let private = |mesh: &mut serin_api::mesh_config::MeshConfig| {
        mesh.default_destination_rule_export_to = vec![".".to_owned()];
    };
    assert_eq!(seen(&cluster_with(&by_default, private), "other", SVC), "");
    assert_eq!(seen(&cluster_with(&by_default, private), "server", SVC), "server");
}

#[test]
fn the_most_specific_host_holds() {
    let all = rule("client/a", "'*'", "all", "");
    let domain = rule("client/b", "'*.server.svc.cluster.local'", "domain", "");
    let exact = rule("client/c", SVC, "exact", "");
    let snapshot = cluster(&[all, domain, exact].concat());
    assert_eq!(seen(&snapshot, "client", SVC), "exact");
    assert_eq!(seen(&snapshot, "client", "other.server.svc.cluster.local"), "domain");
    assert_eq!(seen(&snapshot, "client", "example.com"), "all");
}

#[test]
fn rules_of_one_namespace_and_host_are_merged() {
    let v1 = rule("server/a", "svc", "v1", "trafficPolicy: {loadBalancer: {simple: RANDOM}}");
    let v2 = rule("server/b", SVC, "v2", "trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}");
    let again = rule("server/c", "svc", "v1", "");
    let snapshot = cluster(&[again, v2, v1].concat());
    let rules = snapshot.destination_rules().lookup("client", "server", &Host::new(SVC));
    assert_eq!(subsets(&rules), "v1+v2");
    let names: Vec<_> = rules[0].from.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let balancer = rules[0].policy(80, None).load_balancer.unwrap();
    assert_eq!(balancer.simple, Some(serin_api::networking::SimpleLb::Random));
    let found: Vec<_> = snapshot.findings().map(|it| (it.code.0, it.field.to_string())).collect();
    assert_eq!(
        found,
        [("SRN0302", "spec.trafficPolicy".to_owned()), ("SRN0301", "spec.subsets[0]".to_owned())]
    );
}

#[test]
fn rules_of_different_reach_stay_apart_but_the_wider_completes_the_narrower() {
    let wide = rule("server/b", "svc", "wide", "exportTo: [a, b]");
    let narrow = rule("server/a", "svc", "narrow", "exportTo: [a]");
    let snapshot = cluster(&[narrow, wide].concat());
    assert_eq!(seen(&snapshot, "a", SVC), "narrow+wide wide");
    assert_eq!(seen(&snapshot, "b", SVC), "wide");
}

#[test]
fn a_rule_for_some_workloads_goes_before_the_general_one() {
    let some = rule("client/a", SVC, "some", "workloadSelector: {matchLabels: {app: a}}");
    let all = rule("client/b", SVC, "all", "exportTo: ['.']");
    let snapshot = cluster(&[all, some].concat());
    let check = |workload: &str, outbound: &str, inbound: &str| {
        let proxy = sidecar("client", workload);
        let (rules, host) = (snapshot.destination_rules(), Host::new(SVC));
        let one =
            |rule: Option<&Arc<MergedRule>>| rule.map(|it| subsets(&[it])).unwrap_or_default();
        assert_eq!(one(rules.for_outbound(&proxy, "server", &host)), outbound, "{workload}");
        assert_eq!(one(rules.for_inbound(&proxy, "server", &host)), inbound, "{workload}");
    };
    check("app=a", "some+all", "all");
    check("app=b", "all", "all");
}

#[test]
fn a_rule_for_some_workloads_is_for_its_own_namespace() {
    let some = rule(
        "server/a",
        "svc",
        "some",
        "workloadSelector: {matchLabels: {app: a}}, exportTo: ['*']",
    );
    let snapshot = cluster(&some);
    let proxy = Proxy { labels: labels("app=a"), ..sidecar("client", "") };
    assert_eq!(snapshot.destination_rules().for_outbound(&proxy, "server", &Host::new(SVC)), None);
}

#[test]
fn a_users_rule_holds_over_a_policys_whichever_is_older() {
    let policy = |name: &str| {
        format!(
            "---\nkind: DestinationRule\nmetadata: {{name: {name}, namespace: server, \
             annotations: {{internal.istio.io/parents: x}}}}\n\
             spec: {{host: svc, trafficPolicy: {{tls: {{mode: SIMPLE}}, loadBalancer: {{simple: RANDOM}}, \
             portLevelSettings: [{{port: {{number: 80}}, tls: {{mode: SIMPLE}}}}]}}}}\n"
        )
    };
    let user =
        rule("server/m", "svc", "v1", "trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}");
    for name in ["a", "z"] {
        let snapshot = cluster(&(policy(name) + &user));
        let rules = snapshot.destination_rules().lookup("server", "server", &Host::new(SVC));
        let policy = rules[0].spec.traffic_policy.clone().unwrap();
        assert_eq!(
            policy.load_balancer.unwrap().simple,
            Some(serin_api::networking::SimpleLb::RoundRobin)
        );
        assert!(policy.tls.is_some());
        assert_eq!(policy.port_level_settings.len(), 1);
        assert_eq!(snapshot.findings().count(), 0);
    }
}

/// Which parts of the policy for a port and subset come from where; each part is marked by its `maxConnections` or the like.
fn check_policy(policy: &str, subset: &str, port: u16, expect: &str) {
    let subset =
        if subset.is_empty() { String::new() } else { format!(", trafficPolicy: {subset}") };
    let text = format!(
        "kind: DestinationRule\nmetadata: {{name: a}}\n\
         spec: {{host: svc, trafficPolicy: {policy}, subsets: [{{name: s{subset}}}]}}\n"
    );
    let snapshot = cluster(&text);
    let rules = snapshot.destination_rules().lookup(
        "default",
        "default",
        &Host::resolve("svc", "default", "cluster.local"),
    );
    let rule = rules[0];
    let policy = rule.policy(port, rule.subset("s"));
    let pool = policy.connection_pool.and_then(|it| it.tcp.as_ref()).map(|it| it.max_connections);
    let ejection = policy.outlier_detection.and_then(|it| it.consecutive_5xx_errors);
    let tls = policy.tls.map(|it| it.mode.as_str());
    let proxy = policy.proxy_protocol.map(|it| it.version.as_str());
    assert_eq!(format!("{pool:?} {ejection:?} {tls:?} {proxy:?}"), expect, "{text} {port}");
}

const WHOLE: &str = "{connectionPool: {tcp: {maxConnections: 1}}, outlierDetection: {consecutive5xxErrors: 1}, \
     tls: {mode: SIMPLE}, proxyProtocol: {version: V1}";

#[test]
fn a_subset_replaces_parts_of_the_rules_policy_as_a_whole() {
    let rule = format!("{WHOLE}}}");
    check_policy(&rule, "", 80, r#"Some(1) Some(1) Some("SIMPLE") Some("V1")"#);
    check_policy(
        &rule,
        "{tls: {mode: DISABLE}}",
        80,
        r#"Some(1) Some(1) Some("DISABLE") Some("V1")"#,
    );
    check_policy(
        &rule,
        "{connectionPool: {http: {}}}",
        80,
        r#"None Some(1) Some("SIMPLE") Some("V1")"#,
    );
    check_policy(
        &rule,
        "{proxyProtocol: {version: V2}}",
        80,
        r#"Some(1) Some(1) Some("SIMPLE") Some("V2")"#,
    );
}

#[test]
fn port_level_settings_take_nothing_from_the_level_they_stand_on() {
    let rule = format!(
        "{WHOLE}, portLevelSettings: [{{port: {{number: 80}}, outlierDetection: {{consecutive5xxErrors: 8}}}}]}}"
    );
    check_policy(&rule, "", 80, r#"None Some(8) None Some("V1")"#);
    check_policy(&rule, "", 81, r#"Some(1) Some(1) Some("SIMPLE") Some("V1")"#);
    check_policy(&rule, "{tls: {mode: DISABLE}}", 80, r#"None Some(8) Some("DISABLE") Some("V1")"#);
    let subset = "{tls: {mode: DISABLE}, portLevelSettings: [{port: {number: 80}, connectionPool: {tcp: {maxConnections: 9}}}]}";
    check_policy(&rule, subset, 80, r#"Some(9) None None Some("V1")"#);
    check_policy(&rule, subset, 81, r#"Some(1) Some(1) Some("DISABLE") Some("V1")"#);
}
