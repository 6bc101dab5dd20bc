//! What authors read in the statuses of their objects.

use serde_json::json;

use crate::world::{INJECTED, World, pod, reference, reviews, service};

fn mesh() -> String {
    let pods = [
        pod("default", "productpage", "productpage", "v1", "10.244.0.1"),
        pod("default", "reviews-v1", "reviews", "v1", "10.244.0.2"),
        pod("default", "reviews-v2", "reviews", "v2", "10.244.0.3"),
    ];
    let service = service("reviews", 9080, &["10.244.0.2", "10.244.0.3"]);
    format!("{INJECTED}{}{service}", pods.concat())
}

#[tokio::test]
async fn a_rule_says_when_it_is_live_everywhere_and_writing_so_begins_no_push() {
    let world = World::new(&mesh()).await;
    let rule = world.apply(&reviews(20)).await;
    let live = world.condition(&rule, "Live", "True").await;
    assert_eq!(live["message"], "live on 4 of 4 proxies at generation 1");
    for name in ["Accepted", "Resolved", "Reconciled"] {
        world.condition(&rule, name, "True").await;
    }
    let changed = world.apply(&reviews(30)).await;
    let again = world.condition(&changed, "Live", "True").await;
    assert_eq!(again["observedGeneration"], 2);
    assert_eq!(again["lastTransitionTime"], live["lastTransitionTime"]);
    let pushes = world.control.push();
    world.live("{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {name: s, namespace: default}, spec: {egress: [{hosts: ['./*']}]}}").await;
    assert_eq!(world.control.push(), pushes + 1, "statuses were written before");
}

#[tokio::test]
async fn a_rule_that_names_what_is_not_there_says_so_and_mends_itself() {
    let world = World::new(&mesh()).await;
    let rule = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ratings, namespace: default}
spec: {hosts: [ratings], http: [{route: [{destination: {host: ratings}}]}]}
";
    let rule = world.apply(rule).await;
    let resolved = world.condition(&rule, "Resolved", "False").await;
    assert_eq!(resolved["reason"], "ReferencedResourceNotFound");
    assert!(resolved["message"].as_str().unwrap().contains("ratings"), "{resolved}");
    world.condition(&rule, "Live", "True").await;
    let messages = world.get(&reference(&rule)).await["status"]["validationMessages"].clone();
    let expect = json!({"type": {"name": "ReferencedResourceNotFound", "code": "IST0101"}, "level": "ERROR",
        "documentationUrl": "https://istio.io/latest/docs/reference/config/analysis/ist0101/"});
    assert_eq!(messages[0], expect);
    world.apply(&service("ratings", 9080, &[])).await;
    world.condition(&rule, "Resolved", "True").await;
}

#[tokio::test]
async fn of_two_rules_for_a_host_each_names_the_other() {
    let world = World::new(&mesh()).await;
    let first = world.apply(&reviews(20)).await;
    let second = world.apply(&reviews(30).replace("name: reviews,", "name: twin,")).await;
    for (rule, other) in [(&first, "twin"), (&second, "reviews")] {
        let resolved = world.condition(rule, "Resolved", "False").await;
        assert!(resolved["message"].as_str().unwrap().contains(other), "{resolved}");
    }
}

#[tokio::test]
async fn an_object_that_istio_would_refuse_is_not_accepted_and_its_last_good_form_stays() {
    let world = World::new(&mesh()).await;
    world.live(&reviews(20)).await;
    let bad = reviews(20).replace(
        "    - {destination: {host: reviews, subset: v1}, weight: 80}\n",
        "    - {destination: {host: reviews, subset: v1}, weight: -1}\n",
    );
    let rule = world.apply(&bad).await;
    let accepted = world.condition(&rule, "Accepted", "False").await;
    assert!(
        accepted["message"].as_str().unwrap().contains("generation 1 stays in force"),
        "{accepted}"
    );
    let live = world.condition(&rule, "Live", "False").await;
    assert_eq!(live["reason"], "NotAccepted");
    let way = world.way("default/productpage", "reviews:9080", "/").await;
    assert_eq!(way[0].1, 80);
}

#[tokio::test]
async fn a_rule_that_waits_for_a_proxy_says_for_which() {
    let world = World::new(&mesh()).await;
    world.live(&reviews(20)).await;
    world.recorder.hold("default/productpage");
    let rule = world.apply(&reviews(30)).await;
    let live = world.condition(&rule, "Live", "False").await;
    let expect = "live on 3 of 4 proxies at generation 2; waiting for default/productpage";
    assert_eq!(
        (live["reason"].as_str(), live["message"].as_str()),
        (Some("Waiting"), Some(expect))
    );
    world.recorder.release();
    world.condition(&rule, "Live", "True").await;
}

#[tokio::test]
async fn conditions_of_others_stay() {
    let world = World::new(&mesh()).await;
    let rule = reviews(20);
    let theirs = "status: {conditions: [{type: Theirs, status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z'}]}\n---\n";
    let rule = world.apply(&format!("{}{theirs}", rule.strip_suffix("---\n").unwrap())).await;
    world.condition(&rule, "Live", "True").await;
    let conditions = world.get(&reference(&rule)).await["status"]["conditions"].clone();
    assert_eq!(conditions[0]["type"], "Theirs");
}
