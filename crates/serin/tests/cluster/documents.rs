//! The stories of the samples, as a user follows them.

use crate::machine::Cluster;

/// Whether a count is within five standard deviations of its share: less than one failure in a million runs.
fn is_share(count: usize, of: usize, share: f64) -> bool {
    let mean = of as f64 * share;
    (count as f64 - mean).abs() <= 5.0 * (mean * (1.0 - share)).sqrt()
}

#[test]
fn a_query_parameter_picks_the_version_two_services_deep() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    cluster.kubectl(&["label", "namespace", "default", "istio-injection=enabled"]);
    cluster.apply(&[
        "samples/greet/workloads.yaml",
        "samples/greet/gateway.yaml",
        "samples/greet/routing.yaml",
    ]);
    cluster.wait_available();
    cluster.wait_live("virtualservice/svc-b");
    cluster.get_until(&[], "/greet?name=xx", |answer| answer.contains("[v2]"));
    for _ in 0..20 {
        let answer = cluster.get(&[], "/greet?name=xx");
        assert!(answer.contains("[svc-b] [v2]") && answer.contains("demo-b-v2-"), "{answer}");
        let answer = cluster.get(&[], "/greet?name=yy");
        assert!(answer.contains("[svc-b] [v1]") && answer.contains("demo-b-v1-"), "{answer}");
    }
}

#[test]
fn a_version_calls_its_own_version() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    cluster.kubectl(&["label", "namespace", "default", "istio-injection=enabled"]);
    cluster.apply(&["samples/chain/workloads", "samples/chain/mended"]);
    cluster.wait_available();
    cluster.wait_live("virtualservice/vs-appb");
    let host = ["-H", "host: 192.168.1.106"];
    cluster.get_until(&host, ":86/", |answer| answer.contains("200 OK"));
    let mut second = 0;
    for _ in 0..100 {
        let answer = cluster.get(&host, ":86/");
        let (v1, v2) = (answer.matches("v1").count(), answer.matches("v2").count());
        assert!((v1 == 0) != (v2 == 0), "a request stays in its version:\n{answer}");
        second += usize::from(v2 > 0);
    }
    assert!(is_share(second, 100, 0.9), "v2 got {second} of 100, not about 90");
}

#[test]
fn a_deployment_is_updated_pod_by_pod_and_goes_back() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    cluster.apply(&["samples/versions/as-written/1-rolling.yaml"]);
    let rolled = cluster.kubectl(&["rollout", "status", "deployment/nginx-deployment"]);
    assert!(rolled.contains("successfully rolled out"), "{rolled}");
    cluster.kubectl(&["set", "image", "deployment/nginx-deployment", "nginx=nginx:1.16.1"]);
    cluster.kubectl(&["rollout", "status", "deployment/nginx-deployment"]);
    let running = || {
        let template = "jsonpath={.spec.template.spec.containers[0].image} {.status.updatedReplicas} {.status.readyReplicas} {.status.replicas}";
        cluster.kubectl(&["get", "deployment", "nginx-deployment", "-o", template])
    };
    assert_eq!(running(), "nginx:1.16.1 3 3 3");
    let undone = cluster.kubectl(&["rollout", "undo", "deployment/nginx-deployment"]);
    assert!(undone.contains("rolled back"), "{undone}");
    cluster.kubectl(&["rollout", "status", "deployment/nginx-deployment"]);
    assert_eq!(running(), "nginx:1.14.2 3 3 3");
}

#[test]
fn bookinfo_is_served_and_its_reviews_are_split() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    cluster.kubectl(&["label", "namespace", "default", "istio-injection=enabled"]);
    cluster.apply(&[
        "samples/bookinfo/workloads.yaml",
        "samples/versions/destination-rule.yaml",
        "samples/versions/weighted",
    ]);
    cluster.wait_available();
    cluster.wait_live("virtualservice/reivews");
    let reviews = |count: usize| {
        let url = "http://reviews:9080/reviews/0";
        let script = format!("for i in $(seq {count}); do curl -s {url}; echo; done");
        cluster.exec("app=productpage", &["sh", "-c", &script])
    };
    let answers = reviews(200);
    let second = answers.lines().filter(|line| line.contains("reviews-v2-")).count();
    assert!(is_share(second, 200, 0.1), "v2 got {second} of 200, not about 20\n{answers}");
}

#[test]
fn who_is_signed_in_as_the_tester_sees_the_new_versions_and_nobody_else_does() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    cluster.kubectl(&["label", "namespace", "default", "istio-injection=enabled"]);
    cluster.apply(&[
        "samples/bookinfo/workloads.yaml",
        "samples/shopfront/gateway.yaml",
        "samples/versions/destination-rule.yaml",
        "samples/versions/by-user",
    ]);
    cluster.wait_available();
    cluster.wait_live("virtualservice/reviews");
    let script = "for i in $(seq 200); do curl -s -H 'end-user: testuser' http://reviews:9080/reviews/0; echo; done";
    let answers = cluster.exec("app=productpage", &["sh", "-c", script]);
    let of = |version: &str| answers.lines().filter(|line| line.contains(version)).count();
    let (first, second, third) = (of("reviews-v1-"), of("reviews-v2-"), of("reviews-v3-"));
    assert_eq!((first, second + third), (0, 200), "{answers}");
    assert!(is_share(second, 200, 0.1), "v2 got {second} of 200, not about 20");
    // The page itself, by whoever is signed in.
    let cookies = cluster.folder.path().join("cookies");
    let cookies = cookies.to_str().unwrap();
    let sign_in = |user: &str| {
        let form = format!("username={user}");
        let signed_in = cluster.get(&["-c", cookies, "-d", &form], "/login");
        assert!(signed_in.starts_with("HTTP/1.1 30"), "{signed_in}");
    };
    let page = || cluster.get(&["-b", cookies], "/productpage");
    cluster.get_until(&[], "/productpage", |answer| answer.contains("reviews-v1-"));
    sign_in("testuser");
    for _ in 0..20 {
        let page = page();
        assert!(page.contains("reviews-v2-") || page.contains("reviews-v3-"), "{page}");
    }
    sign_in("jason");
    for _ in 0..20 {
        let page = page();
        assert!(page.contains("reviews-v1-"), "{page}");
    }
}
