//! A real Prometheus that scrapes the cluster, and releases that are decided by what it says.

use std::fs;
use std::net::TcpListener;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use serin_testkit::{PATIENCE, Process, tools};

use crate::machine::Cluster;
use crate::releases::{Shop, canary, decisions};

/// A Prometheus that scrapes a cluster each second.
pub(crate) struct Prometheus {
    _process: Process,
    address: String,
}

impl Prometheus {
    pub(crate) fn start(cluster: &Cluster, address: &str) -> Option<Self> {
        let program = tools::find("prometheus")?;
        let folder = cluster.folder.path().join("prometheus");
        fs::create_dir(&folder).unwrap();
        let target = format!("{}:15020", cluster.gateway);
        let config = json!({
            "global": {"scrape_interval": "1s"},
            "scrape_configs": [{
                "job_name": "serin", "metrics_path": "/stats/prometheus", "static_configs": [{"targets": [target]}],
            }],
        });
        fs::write(folder.join("prometheus.yml"), config.to_string()).unwrap();
        let mut command = Command::new(program);
        command.arg(format!("--config.file={}", folder.join("prometheus.yml").display()));
        command.arg(format!("--storage.tsdb.path={}", folder.join("data").display()));
        command.arg(format!("--web.listen-address={address}"));
        let process = Process::start(&mut command);
        process.wait_for(|line| line.contains("Server is ready to receive web requests"));
        Some(Self { _process: process, address: address.to_owned() })
    }

    /// The value of a query, once it has one that is as it should be.
    pub(crate) fn ask_until(&self, query: &str, is_it: impl Fn(f64) -> bool) -> f64 {
        let until = Instant::now() + PATIENCE;
        loop {
            let mut command = Command::new("curl");
            command.args(["-sG", "--data-urlencode", &format!("query={query}")]);
            command.arg(format!("http://{}/api/v1/query", self.address));
            let answer: Value =
                serde_json::from_slice(&command.output().unwrap().stdout).unwrap_or_default();
            let value =
                answer["data"]["result"][0]["value"][1].as_str().and_then(|it| it.parse().ok());
            if let Some(value) = value.filter(|it| is_it(*it)) {
                return value;
            }
            assert!(Instant::now() < until, "{query}: {answer}");
            thread::park_timeout(Duration::from_millis(200));
        }
    }
}

#[test]
fn a_release_is_decided_through_a_prometheus() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let server = format!("http://{address}");
    let metric = |name: &str, more: Value| {
        let mut metric = json!({"name": name, "interval": "5s"});
        metric.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        metric
    };
    let spec = json!({
        "metricsServer": server,
        "analysis": {
            "interval": "3s", "threshold": 2, "stepWeights": [20, 30, 40, 50],
            "metrics": [
                metric("request-success-rate", json!({"thresholdRange": {"min": 99}})),
                metric("request-duration", json!({"thresholdRange": {"max": 500}})),
                metric("errors", json!({
                    "templateRef": {"name": "errors"}, "templateVariables": {"codes": "5.."}, "thresholdRange": {"max": 1},
                })),
            ],
        },
    });
    let Some(shop) = Shop::open(canary("serin.dev/v1alpha1", spec)) else { return };
    let query = "100 * (sum(rate(istio_requests_total{reporter=\"source\", destination_workload=\"{{ target }}\", \
                 response_code=~\"{{ variables.codes }}\"}[{{ interval }}])) or vector(0)) \
                 / sum(rate(istio_requests_total{reporter=\"source\", destination_workload=\"{{ target }}\"}[{{ interval }}]))";
    shop.apply(vec![json!({
        "apiVersion": "serin.dev/v1alpha1", "kind": "MetricTemplate", "metadata": {"name": "errors"},
        "spec": {"provider": {"type": "prometheus", "address": server}, "query": query},
    })]);
    let Some(prometheus) = Prometheus::start(&shop.cluster, &address) else { return };
    let users = shop.users(50);
    prometheus.ask_until("flagger_canary_status{name=\"hello\"}", |it| it == 1.0);
    let of_primary = "sum(rate(istio_requests_total{destination_workload=\"hello-primary\"}[5s]))";
    prometheus.ask_until(of_primary, |it| it > 10.0);

    let before = shop.release("v2", &[]);
    let shown = shop.end(&before);
    assert_eq!(shown["phase"], "Succeeded", "{shown:#}");
    let success = "flagger_canary_metric_analysis{name=\"hello\", metric=\"request-success-rate\"}";
    prometheus.ask_until(success, |it| it == 100.0);
    prometheus.ask_until("flagger_canary_successes_total{name=\"hello\"}", |it| it == 1.0);
    let duration = "flagger_canary_metric_analysis{name=\"hello\", metric=\"request-duration\"}";
    prometheus.ask_until(duration, |it| (10.0..500.0).contains(&it));
    shop.is_with_primary("v2");

    let before = shop.release("v3", &[("SERIN_SAMPLE_ERRORS", "30%")]);
    let shown = shop.end(&before);
    assert_eq!(shown["phase"], "Failed", "{shown:#}");
    let halted = "Halt hello.default advancement success rate";
    assert!(decisions(&shown).iter().any(|it| it.starts_with(halted)), "{shown:#}");
    prometheus.ask_until("flagger_canary_failures_total{name=\"hello\"}", |it| it == 1.0);
    users.stop();
    shop.is_with_primary("v2");
}
