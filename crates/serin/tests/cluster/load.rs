//! Much of something: load that an autoscaler answers, many pods, many Services.

use std::fmt::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serin_testkit::{PATIENCE, tools};

use crate::machine::Cluster;

/// Waits until kubectl prints something like that.
fn until(cluster: &Cluster, arguments: &[&str], is_it: impl Fn(&str) -> bool) -> String {
    let begin = Instant::now();
    loop {
        let output = cluster.try_kubectl(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() && is_it(&text) {
            println!("{arguments:?} after {:?}: {}", begin.elapsed(), text.trim());
            return text;
        }
        assert!(
            begin.elapsed() < PATIENCE,
            "kubectl {arguments:?} says {text}\n{output:?}\n{}",
            cluster.described()
        );
    }
}

/// Requests one after the other, from a pod, until a file says that it is enough.
struct Load {
    kubectl: Child,
    enough: String,
}

impl Load {
    fn start(cluster: &Cluster, pod: &str, url: &str) -> Self {
        // What stands in for an image has the machine's files: no other test may have left it.
        let enough = format!("/tmp/serin-enough-{}", std::process::id());
        let script = format!(
            "while ! test -e {enough}; do curl -s -m 5 -o /dev/null {url}; done; rm {enough}"
        );
        let mut kubectl = Command::new(tools::find("kubectl").expect("it was there at the start"));
        kubectl.arg("--kubeconfig").arg(cluster.kubeconfig());
        kubectl.args(["exec", pod, "--", "sh", "-c", &script]).stdout(Stdio::null());
        Self { kubectl: kubectl.spawn().unwrap(), enough }
    }

    fn end(mut self, cluster: &Cluster, pod: &str) {
        cluster.kubectl(&["exec", pod, "--", "touch", &self.enough]);
        self.kubectl.wait().unwrap();
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // It may have ended; a cluster that is gone takes the rest with it.
        let _ = self.kubectl.kill();
    }
}

#[test]
fn kubectl_autoscale_answers_to_real_load_and_to_its_end() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    cluster.apply(&["samples/bookinfo/workloads.yaml"]);
    // A request that takes a while of a processor, of which a pod asks for little.
    let reviews = "deployment/reviews-v1";
    cluster.kubectl(&["set", "env", reviews, "SERIN_SAMPLE_BURN=20ms"]);
    cluster.kubectl(&["set", "resources", reviews, "--requests=cpu=10m"]);
    let others = ["deployment/reviews-v2", "deployment/reviews-v3"];
    cluster.kubectl(&["scale", others[0], others[1], "--replicas=0"]);
    cluster.kubectl(&["rollout", "status", reviews]);
    cluster.wait_available();
    let told = cluster.kubectl(&[
        "autoscale",
        "deployment",
        "reviews-v1",
        "--cpu-percent=50",
        "--min=1",
        "--max=3",
    ]);
    assert!(told.contains("horizontalpodautoscaler.autoscaling/reviews-v1 autoscaled"), "{told}");
    let behavior = r#"{"spec":{"behavior":{"scaleDown":{"stabilizationWindowSeconds":0}}}}"#;
    cluster.kubectl(&["patch", "hpa", "reviews-v1", "--type=merge", "-p", behavior]);
    let page = "deploy/productpage-v1";
    let load = Load::start(&cluster, page, "http://reviews:9080/reviews/0");
    let replicas = ["get", reviews, "-o", "jsonpath={.spec.replicas}/{.status.readyReplicas}"];
    until(&cluster, &replicas, |text| text == "3/3");
    // What `top` tells is what was decided by: thousandths of a processor, some of which are not zero.
    let top = ["top", "pods", "-l", "app=reviews,version=v1", "--no-headers"];
    until(&cluster, &top, |text| {
        let used = text.lines().filter_map(|line| line.split_whitespace().nth(1));
        let used: Vec<u32> = used.filter_map(|it| it.strip_suffix('m')?.parse().ok()).collect();
        used.len() == 3 && used.iter().sum::<u32>() > 10
    });
    let seen = cluster.kubectl(&["describe", "hpa", "reviews-v1"]);
    assert!(
        seen.contains("cpu resource utilization (percentage of request) above target"),
        "{seen}"
    );
    load.end(&cluster, page);
    until(&cluster, &replicas, |text| text == "1/1");
    let seen = cluster.kubectl(&["describe", "hpa", "reviews-v1"]);
    assert!(seen.contains("All metrics below target"), "{seen}");
}

#[test]
fn two_hundred_pods_and_a_thousand_services_are_one_mesh() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    cluster.kubectl(&["label", "namespace", "default", "istio-injection=enabled"]);
    let mut manifests = String::new();
    for number in 0..1000 {
        // Ten of them lead to the pods; the others wait for pods that never come.
        let app = if number < 10 { "web".to_owned() } else { format!("s{number}") };
        write!(
            manifests,
            "---\n{{apiVersion: v1, kind: Service, metadata: {{name: s{number}}}, \
             spec: {{selector: {{app: {app}}}, ports: [{{name: http, port: 80}}]}}}}\n"
        )
        .unwrap();
    }
    let file = cluster.folder.path().join("services.yaml");
    std::fs::write(&file, &manifests).unwrap();
    let begin = Instant::now();
    cluster.kubectl(&["create", "-f", file.to_str().unwrap()]);
    println!("1,000 Services after {:?}", begin.elapsed());
    let begin = Instant::now();
    cluster.kubectl(&["create", "deployment", "web", "--image=nginx:1.16.1", "--replicas=200"]);
    cluster.kubectl(&["rollout", "status", "deployment/web"]);
    println!("200 pods ready after {:?}", begin.elapsed());
    let addresses = "jsonpath={.items[*].status.podIP}";
    let addresses = cluster.kubectl(&["get", "pods", "-l", "app=web", "-o", addresses]);
    let addresses: std::collections::BTreeSet<&str> = addresses.split(' ').collect();
    assert_eq!(addresses.len(), 200, "each pod has an address of its own");
    // Whichever Service is asked, the pods answer; a rule for one of them is live at all 200.
    let rule = "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: last}, spec: {hosts: [s9], http: \
                [{match: [{uri: {exact: /told}}], directResponse: {status: 418}}, {route: [{destination: {host: s9}}]}]}}";
    std::fs::write(&file, rule).unwrap();
    let begin = Instant::now();
    cluster.kubectl(&["apply", "-f", file.to_str().unwrap()]);
    cluster.wait_live("virtualservice/last");
    println!("a rule live after {:?}", begin.elapsed());
    let script = "for s in 0 5 9; do curl -s -o /dev/null -w '%{http_code} ' http://s$s/; done; \
                  curl -s -o /dev/null -w '%{http_code}' http://s9/told";
    assert_eq!(cluster.exec("app=web", &["sh", "-c", script]), "200 200 200 418");
    let begin = Instant::now();
    cluster.kubectl(&["scale", "deployment/web", "--replicas=0"]);
    let left = ["get", "pods", "-l", "app=web", "-o", "name"];
    until(&cluster, &left, str::is_empty);
    println!("200 pods gone after {:?}", begin.elapsed());
}
