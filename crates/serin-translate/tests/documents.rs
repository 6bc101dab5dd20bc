//! The routes that the five documents' manifests give to sidecars. The manifests stand in `data/documents` as written; what is
//! mended says so in its name.

#![allow(clippy::unwrap_used, reason = "tests bring what can be read")]

use std::collections::BTreeMap;

use serin_api::load::Loader;
use serin_routing::explain::Explanation;
use serin_routing::model::Direction;
use serin_routing::simulate::{Call, Values, simulate};
use serin_translate::{Objects, Proxy, ProxyKind, Settings, Snapshot, translate};

const BOOKINFO: &str = include_str!("data/documents/bookinfo.yaml");

fn snapshot(texts: &[&str]) -> Snapshot {
    let mut loader = Loader::new("default");
    for (number, text) in texts.iter().enumerate() {
        loader.add(&format!("{number}.yaml"), text);
    }
    let objects: Objects = loader.finish().objects.into_iter().map(|it| it.object).collect();
    Snapshot::new(objects, Settings { expects_pods: true, ..Settings::default() })
}

fn sidecar(labels: &[(&str, &str)]) -> Proxy {
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Proxy::new(ProxyKind::Sidecar, "default", labels.collect())
}

/// What happens to a request that a workload sends.
fn ask(texts: &[&str], from: &[(&str, &str)], call: Call) -> Explanation {
    let model = translate(&snapshot(texts), &sidecar(from)).model;
    simulate(&model, Direction::Outbound, &call)
}

fn call(authority: &str, port: u16) -> Call {
    Call { authority: Some(authority.to_owned()), port, ..Call::default() }
}

fn with_header(name: &str, value: &str, call: Call) -> Call {
    let headers = BTreeMap::from([(name.to_owned(), Values::One(value.to_owned()))]);
    Call { headers, ..call }
}

/// Clusters with weights, as text.
fn clusters(explanation: &Explanation) -> String {
    let list = explanation.clusters.iter().map(|it| {
        let name = it.name.replace(".default.svc.cluster.local", "").replace("outbound|", "");
        format!("{name} {}", it.weight)
    });
    list.collect::<Vec<_>>().join(", ")
}

#[track_caller]
fn check(explanation: &Explanation, rule: (&str, Option<u32>), expect: &str) {
    assert_eq!(explanation.error, None, "{explanation:?}");
    assert_eq!(clusters(explanation), expect, "{explanation:?}");
    let found = explanation.rule.as_ref().map(|it| (it.name.as_str(), it.index));
    assert_eq!(found, Some(rule), "{explanation:?}");
}

mod session_affinity_canary {
    use super::*;

    const CANARY: &str = include_str!("data/documents/000/canary.yaml");
    const RAMP: &str = include_str!("data/documents/000/ramp.yaml");
    const FINISH: &str = include_str!("data/documents/000/finish.yaml");

    fn ask(rules: &str, cookie: Option<&str>) -> Explanation {
        let subsets = include_str!("data/documents/000/destination-rule.yaml");
        let gateway = include_str!("data/documents/000/gateway.yaml");
        let call = call("reviews:9080", 9080);
        let call = match cookie {
            Some(cookie) => with_header("cookie", cookie, call),
            None => call,
        };
        super::ask(&[BOOKINFO, gateway, subsets, rules], &[("app", "productpage")], call)
    }

    #[test]
    fn a_session_without_the_cookie_is_placed_by_weight_and_gets_the_cookie_from_the_canary() {
        let explanation = ask(CANARY, None);
        check(&explanation, ("reviews", Some(1)), "9080|v1|reviews 90, 9080|v2|reviews 10");
        let json = serde_json::to_string(&explanation).unwrap();
        assert!(json.contains("reviews-cookie=REVIRES-V2; Max-Age=21600"), "{json}");
    }

    #[test]
    fn a_session_with_the_cookie_stays_at_the_canary() {
        let explanation = ask(CANARY, Some("other=1; reviews-cookie=REVIRES-V2"));
        check(&explanation, ("reviews", Some(0)), "9080|v2|reviews 100");
        check(
            &ask(CANARY, Some("reviews-cookie=other")),
            ("reviews", Some(1)),
            "9080|v1|reviews 90, 9080|v2|reviews 10",
        );
    }

    #[test]
    fn while_the_weight_is_raised_the_cookie_counts_for_nothing() {
        let raised =
            RAMP.replace("weight: 0 #", "weight: 80 #").replace("weight: 100 #", "weight: 20 #");
        let placed = "9080|v1|reviews 80, 9080|v2|reviews 20";
        check(&ask(&raised, Some("reviews-cookie=REVIRES-V2")), ("reviews", Some(0)), placed);
        check(&ask(RAMP, None), ("reviews", Some(0)), "9080|v2|reviews 100");
    }

    #[test]
    fn in_the_end_everyone_is_at_the_new_version_and_the_cookie_is_withdrawn() {
        let explanation = ask(FINISH, Some("reviews-cookie=REVIRES-V2"));
        check(&explanation, ("reviews", Some(0)), "9080|v2|reviews 100");
        assert!(serde_json::to_string(&explanation).unwrap().contains("Max-Age=-1"));
        check(&ask(FINISH, None), ("reviews", Some(1)), "9080|v2|reviews 100");
    }

    #[test]
    fn t_hostport_the_port_in_the_host_header_is_not_looked_at() {
        for authority in
            ["reviews", "reviews:9080", "reviews:1", "REVIEWS.default.svc.cluster.local."]
        {
            let texts =
                [BOOKINFO, include_str!("data/documents/000/destination-rule.yaml"), CANARY];
            let explanation = super::ask(&texts, &[], call(authority, 9080));
            let host = explanation.virtual_host.as_deref();
            assert_eq!(host, Some("reviews.default.svc.cluster.local:9080"), "{authority}");
        }
    }
}

mod mirroring {
    use super::*;

    #[test]
    fn rules_that_are_bound_to_a_gateway_are_not_for_sidecars() {
        for rules in [
            include_str!("data/documents/001/mirror.yaml"),
            include_str!("data/documents/001/shift.yaml"),
            include_str!("data/documents/001/finish.yaml"),
        ] {
            let texts = [BOOKINFO, include_str!("data/documents/001/destination-rule.yaml"), rules];
            let explanation = ask(&texts, &[("app", "productpage")], call("reviews", 9080));
            check(&explanation, ("reviews", None), "9080||reviews 100");
            assert!(explanation.mirrors.is_empty());
            assert_eq!(explanation.route.as_deref(), Some("default"));
        }
    }

    #[test]
    fn t_mirror_within_the_mesh_a_share_of_100_copies_everything_and_one_of_0_nothing() {
        let bound_to_mesh = |rules: &str| {
            let gateway = "  - reviews-gateway.istio-system.svc.cluster.local";
            rules.replace(gateway, "  - mesh").replace("  - '*'", "  - reviews")
        };
        let subsets = include_str!("data/documents/001/destination-rule.yaml");
        let ask = |rules: &str| {
            let texts = [BOOKINFO, subsets, &bound_to_mesh(rules)];
            ask(&texts, &[("app", "productpage")], call("reviews", 9080))
        };
        let explanation = ask(include_str!("data/documents/001/mirror.yaml"));
        check(&explanation, ("reviews", Some(0)), "9080|v1|reviews 100");
        let [copy] = &*explanation.mirrors else { panic!("{:?}", explanation.mirrors) };
        assert_eq!(copy.name, "outbound|9080|v2|reviews.default.svc.cluster.local");
        let explanation = ask(include_str!("data/documents/001/shift.yaml"));
        check(&explanation, ("reviews", Some(0)), "9080|v1|reviews 80, 9080|v2|reviews 20");
        assert!(explanation.mirrors.is_empty());
    }
}

mod by_query_parameter {
    use super::*;

    fn ask(path: &str) -> Explanation {
        let texts = [
            include_str!("data/documents/002/apps.yaml"),
            include_str!("data/documents/002/rules.yaml"),
        ];
        let call = Call { path: Some(path.to_owned()), ..call("svc-b:8080", 8080) };
        super::ask(&texts, &[("app", "demo-a"), ("version", "v1")], call)
    }

    #[test]
    fn requests_with_the_parameter_go_to_the_new_version_and_the_others_to_the_old() {
        check(&ask("/hello?name=xx"), ("svc-b", Some(0)), "8080|v2|svc-b 100");
        check(&ask("/hello?a=b&name=xx"), ("svc-b", Some(0)), "8080|v2|svc-b 100");
        let explanation = ask("/hello?name=xxx");
        check(&explanation, ("svc-b", Some(1)), "8080|v1|svc-b 100");
        assert_eq!(explanation.rejected.len(), 1);
        check(&ask("/hello"), ("svc-b", Some(1)), "8080|v1|svc-b 100");
    }

    #[test]
    fn rules_for_the_gateway_leave_the_mesh_alone() {
        let texts = [
            include_str!("data/documents/002/apps.yaml"),
            include_str!("data/documents/002/gateway.yaml"),
        ];
        let explanation = super::ask(&texts, &[], call("svc-a", 8080));
        check(&explanation, ("svc-a", None), "8080||svc-a 100");
    }
}

mod full_link {
    use super::*;

    const V1: &str = include_str!("data/documents/003/v1.yaml");
    const V2: &str = include_str!("data/documents/003/v2.yaml");
    const WRITTEN: &str = include_str!("data/documents/003/routing.yaml");
    const MENDED: &str = include_str!("data/documents/003/routing-mended.yaml");

    /// Both files declare the Services; applied one after the other they are one.
    fn apps() -> String {
        let deployments = V2.split("---").filter(|it| it.contains("kind: Deployment"));
        format!("{V1}\n---\n{}", deployments.collect::<Vec<_>>().join("---"))
    }

    fn ask(rules: &str, version: &str, host: &str) -> Explanation {
        let texts = [&*apps(), rules];
        super::ask(&texts, &[("app", "appa"), ("version", version)], call(host, 8000))
    }

    #[test]
    fn each_version_calls_its_own_version_of_the_next_service() {
        check(&ask(MENDED, "v1", "appb"), ("vs-appb", Some(0)), "8000|v1|appb 100");
        check(&ask(MENDED, "v2", "appb"), ("vs-appb", Some(1)), "8000|v2|appb 100");
    }

    #[test]
    fn other_callers_are_taken_by_the_last_rule() {
        check(&ask(MENDED, "v3", "appb"), ("vs-appb", Some(2)), "8000|v1|appb 100");
    }

    #[test]
    fn t_src_without_the_last_rule_other_callers_reach_every_version() {
        let cut = &MENDED[..MENDED.rfind("    - route:").unwrap()];
        check(&ask(cut, "v2", "appb"), ("vs-appb", Some(1)), "8000|v2|appb 100");
        check(&ask(cut, "v3", "appb"), ("appb", None), "8000||appb 100");
    }

    #[test]
    fn within_the_mesh_the_delegates_rule_for_the_mesh_holds() {
        let explanation = ask(MENDED, "v1", "appa.default.svc.cluster.local");
        check(&explanation, ("vs-appa", Some(1)), "8000|v1|appa 100");
        let root = explanation.rule.unwrap().root.unwrap();
        assert_eq!(
            (root.namespace.as_str(), root.name.as_str()),
            ("istio-system", "vs-gateway-appa")
        );
    }

    #[test]
    fn the_second_form_of_the_delegate_shares_among_versions_in_the_mesh() {
        let other = include_str!("data/documents/003/any-caller.yaml");
        let without = MENDED.split("\n---\n").filter(|it| !it.contains("name: vs-appa\nspec"));
        let rules = format!("{}\n---\n{other}", without.collect::<Vec<_>>().join("\n---\n"));
        let explanation = ask(&rules, "v1", "appa.default.svc.cluster.local");
        check(&explanation, ("vs-appa", Some(2)), "8000|v1|appa 80, 8000|v2|appa 20");
    }

    #[test]
    fn as_written_the_last_object_cannot_be_read_and_the_others_hold() {
        check(&ask(WRITTEN, "v1", "appa"), ("vs-appa", Some(1)), "8000|v1|appa 100");
        check(&ask(WRITTEN, "v1", "appb"), ("appb", None), "8000||appb 100");
    }
}
