//! Who may call whom, as users of Istio say it: AuthorizationPolicies and `STRICT` mutual TLS.

use crate::machine::Cluster;

const URL: &str = "http://reviews:9080/reviews/0";

/// The shop in the mesh, and a pod outside of it; `None` where this machine allows no cluster.
fn shop() -> Option<Cluster> {
    let sleep = "sleep:*=sleep 10000";
    let cluster = Cluster::start(&["--image", sleep])?;
    cluster.kubectl(&["label", "namespace", "default", "istio-injection=enabled"]);
    cluster.kubectl(&["create", "namespace", "legacy"]);
    cluster.kubectl(&["run", "outside", "-n", "legacy", "--image=sleep:1"]);
    cluster.apply(&["samples/bookinfo/workloads.yaml"]);
    cluster.wait_available();
    let ready = ["wait", "pod/outside", "-n", "legacy", "--for=condition=Ready"];
    cluster.kubectl(&ready);
    Some(cluster)
}

fn apply(cluster: &Cluster, policy: &str) {
    let file = cluster.folder.path().join("policy.yaml");
    std::fs::write(&file, policy).unwrap();
    cluster.kubectl(&["apply", "-f", file.to_str().unwrap()]);
}

/// What `curl` in a pod prints: the status, and what the answer says.
fn ask(cluster: &Cluster, pod: &[&str], arguments: &str) -> String {
    let script = format!("curl -s -m 10 -w ' %{{http_code}}' {arguments} || true");
    let mut command = vec!["exec"];
    command.extend(pod);
    command.extend(["--", "sh", "-c", &script]);
    cluster.kubectl(&command)
}

const PRODUCTPAGE: &[&str] = &["deploy/productpage-v1"];
const RATINGS: &[&str] = &["deploy/ratings-v1"];
const OUTSIDE: &[&str] = &["-n", "legacy", "outside"];

const VIEWER: &str = "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: reviews-viewer, namespace: default}
spec:
  selector: {matchLabels: {app: reviews}}
  rules:
  - from: [{source: {principals: [cluster.local/ns/default/sa/bookinfo-productpage]}}]
    to: [{operation: {methods: [GET], paths: [/reviews/*]}}]
";

#[test]
fn what_a_policy_allows_comes_through_and_the_rest_is_denied() {
    let Some(cluster) = shop() else { return };
    apply(&cluster, VIEWER);
    cluster.wait_live("authorizationpolicy/reviews-viewer");
    let allowed = ask(&cluster, PRODUCTPAGE, URL);
    assert!(allowed.ends_with(" 200"), "{allowed}");
    let denied = "RBAC: access denied 403";
    assert_eq!(ask(&cluster, RATINGS, URL), denied, "another account");
    assert_eq!(ask(&cluster, PRODUCTPAGE, &format!("-X DELETE {URL}")), denied, "another method");
    assert_eq!(ask(&cluster, PRODUCTPAGE, "http://reviews:9080/health"), denied, "another path");
    // Without a name of the mesh a pod is not known to whom it calls.
    let address = ["get", "pod", "-l", "app=reviews", "-o", "jsonpath={.items[0].status.podIP}"];
    let address = cluster.kubectl(&address);
    let direct = ask(&cluster, PRODUCTPAGE, &format!("http://{address}:9080/reviews/0"));
    assert!(direct.ends_with(" 403") || direct.ends_with(" 000"), "{direct}");
    let plain = ask(&cluster, OUTSIDE, "http://reviews.default:9080/reviews/0");
    assert!(plain.ends_with(" 403") || plain.ends_with(" 000"), "{plain}");
    cluster.kubectl(&["delete", "authorizationpolicy", "reviews-viewer"]);
    cluster.get_from(RATINGS, URL, " 200");
}

#[test]
fn a_policy_of_the_gateway_is_asked_there_and_one_that_denies_goes_first() {
    let Some(cluster) = shop() else { return };
    cluster.apply(&["samples/shopfront/gateway.yaml"]);
    cluster.get_until(&[], "/productpage", |answer| answer.starts_with("HTTP/1.1 200"));
    let policy = "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: edge, namespace: istio-system}
spec:
  selector: {matchLabels: {istio: ingressgateway}}
  action: DENY
  rules:
  - to: [{operation: {hosts: [Blocked.example.com]}}]
  - when: [{key: 'request.headers[x-robot]', values: ['*']}]
";
    apply(&cluster, policy);
    let wait = ["wait", "authorizationpolicy/edge", "-n", "istio-system"];
    cluster.kubectl(&[&wait[..], &["--for=condition=Live"]].concat());
    let get = |header: &str| cluster.get(&["-H", header], "/productpage");
    assert!(get("x-human: yes").starts_with("HTTP/1.1 200"));
    assert!(
        get("host: blocked.example.com").contains("403"),
        "{}",
        get("host: blocked.example.com")
    );
    assert!(get("x-robot: yes").ends_with("RBAC: access denied"), "{}", get("x-robot: yes"));
    let health = cluster.get(&["-H", "x-robot: yes"], ":15021/healthz/ready");
    assert!(health.starts_with("HTTP/1.1 200"), "{health}");
}

#[test]
fn strict_mutual_tls_takes_nobody_from_outside_of_the_mesh() {
    let Some(cluster) = shop() else { return };
    let outside = "http://reviews.default:9080/reviews/0";
    cluster.get_from(OUTSIDE, outside, " 200");
    let policy = "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
";
    apply(&cluster, policy);
    cluster.get_from(OUTSIDE, outside, " 000");
    cluster.get_from(PRODUCTPAGE, URL, " 200");
    cluster.kubectl(&["delete", "peerauthentication", "default", "-n", "istio-system"]);
    cluster.get_from(OUTSIDE, outside, " 200");
}

impl Cluster {
    /// Asks from a pod until the answer ends so.
    fn get_from(&self, pod: &[&str], url: &str, end: &str) {
        let until = std::time::Instant::now() + serin_testkit::PATIENCE;
        loop {
            let answer = ask(self, pod, url);
            if answer.ends_with(end) {
                return;
            }
            assert!(std::time::Instant::now() < until, "{url} answers {answer}");
        }
    }
}
