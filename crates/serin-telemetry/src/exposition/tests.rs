use std::sync::Arc;
use std::time::Duration;

use serin_routing::format::Facts;
use serin_routing::model::{Cluster, Discovery, WorkloadIdentity};
use serin_routing::response::Flag;

use super::*;
use crate::customization::{CustomId, Customization, Expression};
use crate::destination::{Destination, Workload};
use crate::metrics::{Path, Request};

fn destination() -> Destination {
    let cluster = Cluster {
        service_host: "reviews.shop.svc.cluster.local".into(),
        service_namespace: "shop".into(),
        ..Cluster::new("outbound|9080||reviews.shop.svc.cluster.local".into(), Discovery::Listed)
    };
    let labels = [("app", "reviews"), ("version", "v2")];
    let identity = WorkloadIdentity {
        workload: "reviews-v2".into(),
        namespace: "shop".into(),
        labels: labels.map(|(key, value)| (Arc::from(key), Arc::from(value))).into(),
        ..WorkloadIdentity::default()
    };
    Destination::new(&cluster, Some(&identity), "Kubernetes")
}

fn request(metrics: &mut Metrics) -> Request {
    Request {
        reporter: Reporter::Source,
        source: metrics.source(Workload::default()),
        destination: metrics.destination(destination()),
        protocol: Protocol::Http,
        status: 200,
        flags: Flags::NONE,
        is_mirror: false,
        custom: CustomId::default(),
        duration: Duration::from_millis(7),
        request_bytes: 0,
        response_bytes: 100,
        request_messages: 0,
        response_messages: 0,
    }
}

fn text(cores: &[Metrics]) -> String {
    let mut text = Text::default();
    text.istio(cores.iter());
    text.finish()
}

fn lines<'t>(text: &'t str, start: &str) -> Vec<&'t str> {
    text.lines().filter(|line| line.starts_with(start)).collect()
}

#[test]
fn a_request_has_all_labels_of_istio() {
    let mut core = Metrics::default();
    let request = request(&mut core);
    core.count(&request);
    let text = text(&[core]);
    insta::assert_snapshot!(lines(&text, "istio_requests_total").join("\n").replace("\",", "\"\n"), @r#"
    istio_requests_total{reporter="source"
    source_workload="unknown"
    source_canonical_service="unknown"
    source_canonical_revision="latest"
    source_workload_namespace="unknown"
    source_principal="unknown"
    source_app="unknown"
    source_version="unknown"
    source_cluster="unknown"
    destination_workload="reviews-v2"
    destination_workload_namespace="shop"
    destination_principal="unknown"
    destination_app="reviews"
    destination_version="v2"
    destination_service="reviews.shop.svc.cluster.local"
    destination_canonical_service="reviews"
    destination_canonical_revision="v2"
    destination_service_name="reviews"
    destination_service_namespace="shop"
    destination_cluster="Kubernetes"
    request_protocol="http"
    response_flags="-"
    connection_security_policy="unknown"
    response_code="200"
    grpc_response_status=""} 1
    "#);
}

#[test]
fn cores_are_summed_and_label_sets_kept_apart() {
    let (mut one, mut two) = (Metrics::default(), Metrics::default());
    let ok = request(&mut one);
    one.count(&ok);
    one.count(&ok);
    // The same destination may have another number on another core.
    two.destination(Destination { service: "other".into(), ..Destination::default() });
    let ok = request(&mut two);
    two.count(&ok);
    two.count(&Request { status: 503, flags: Flags::NONE.with(Flag::NoHealthyUpstream), ..ok });
    let text = text(&[one, two]);
    let counts: Vec<&str> = lines(&text, "istio_requests_total")
        .into_iter()
        .filter_map(|line| line.rsplit(' ').next())
        .collect();
    assert_eq!(counts, ["3", "1"]);
    assert_eq!(lines(&text, "istio_request_duration_milliseconds_bucket").len(), 2 * 20);
    assert!(text.contains("le=\"5\"} 0\n") && text.contains("le=\"10\"} 3\n"), "{text}");
    assert!(lines(&text, "istio_response_bytes_sum").iter().any(|line| line.ends_with("} 300")));
}

#[test]
fn copies_count_under_metrics_of_their_own() {
    let mut core = Metrics::default();
    let request = request(&mut core);
    core.count(&Request { is_mirror: true, ..request });
    let text = text(&[core]);
    assert!(lines(&text, "istio_requests_total").is_empty());
    assert_eq!(lines(&text, "istio_mirrored_requests_total").len(), 1);
}

#[test]
fn to_the_receiving_side_a_copy_is_a_request_like_any_other() {
    let mut core = Metrics::default();
    let request = request(&mut core);
    core.count(&Request { is_mirror: true, reporter: Reporter::Destination, ..request });
    core.count(&Request { reporter: Reporter::Destination, ..request });
    let text = text(&[core]);
    let seen = lines(&text, "istio_requests_total");
    assert!(seen.len() == 1 && seen[0].ends_with("} 2"), "{text}");
    assert!(lines(&text, "istio_mirrored_requests_total").is_empty());
}

#[test]
fn the_receiving_side_tells_whether_both_ends_are_known() {
    let check = |from: &str, to: &str, expect: &str| {
        let known = |account: &str| Workload::default().in_mesh("cluster.local", account);
        let mut core = Metrics::default();
        let mut request = request(&mut core);
        request.reporter = Reporter::Destination;
        request.source = core.source(known(from));
        let workload = known(to);
        request.destination = core.destination(Destination { workload, ..destination() });
        core.count(&request);
        let text = text(&[core]);
        let policy = format!("connection_security_policy=\"{expect}\"");
        assert!(lines(&text, "istio_requests_total")[0].contains(&policy), "{text}");
    };
    check("one", "two", "mutual_tls");
    check("", "two", "none");
    check("one", "", "none");
}

#[test]
fn messages_are_counted_for_grpc_only() {
    let mut core = Metrics::default();
    let request = request(&mut core);
    core.count(&request);
    core.count(&Request {
        protocol: Protocol::Grpc(Some(0)),
        request_messages: 2,
        response_messages: 3,
        ..request
    });
    let text = text(&[core]);
    assert_eq!(lines(&text, "istio_request_messages_total{").len(), 1);
    let answers = lines(&text, "istio_response_messages_total{");
    assert!(answers[0].contains("grpc_response_status=\"0\"") && answers[0].ends_with(" 3"));
}

#[test]
fn connections_have_metrics_of_their_own() {
    let mut core = Metrics::default();
    let to = Path { destination: core.destination(destination()), ..Path::default() };
    core.opened(to);
    core.closed(to, Flags::NONE, 10, 20);
    let text = text(&[core]);
    for (name, value) in [
        ("connections_opened_total", "1"),
        ("connections_closed_total", "1"),
        ("sent_bytes_total", "10"),
        ("received_bytes_total", "20"),
    ] {
        let found = lines(&text, &format!("istio_tcp_{name}{{"));
        assert!(found.len() == 1 && found[0].ends_with(&format!("}} {value}")), "{name}: {text}");
        assert!(found[0].contains("request_protocol=\"tcp\""));
        assert!(!found[0].contains("response_code"));
    }
}

#[test]
fn values_of_labels_are_escaped() {
    let mut text = Text::default();
    text.value("m", &[("a", "x\"\\\n")], 1);
    assert_eq!(text.finish(), "m{a=\"x\\\"\\\\\\n\"} 1\n");
}

/// Facts that consist of a path.
struct At(&'static str);

impl Facts for At {
    fn request_header(&self, name: &str) -> Option<&[u8]> {
        (name == ":path" && !self.0.is_empty()).then_some(self.0.as_bytes())
    }
}

fn path() -> Expression {
    let evaluate = |facts: &dyn Facts| {
        let path = facts.request_header(":path")?;
        Some(String::from_utf8_lossy(path).into_owned())
    };
    Expression::new("request.path".to_owned(), Box::new(evaluate))
}

#[test]
fn labels_and_metrics_are_left_out_as_users_want() {
    let mut rules = Customization::default();
    rules.remove(&[Metric::Requests], "response_code");
    rules.disable(Metric::RequestBytes, true);
    let mut core = Metrics::default();
    let custom = core.customized(&Arc::new(rules), &At(""));
    let request = Request { custom, ..request(&mut core) };
    core.count(&request);
    core.count(&Request { status: 404, ..request });
    let text = text(&[core]);
    // What differs in nothing else is one series.
    let requests = lines(&text, "istio_requests_total");
    assert!(requests.len() == 1 && requests[0].ends_with("} 2"), "{text}");
    assert!(!requests[0].contains("response_code="), "{text}");
    assert!(!text.contains("istio_request_bytes"), "{text}");
    assert_eq!(lines(&text, "istio_response_bytes_count").len(), 2, "{text}");
    assert!(!text.contains("istio_request_messages_total"), "{text}");
}

#[test]
fn labels_of_users_take_the_place_of_istios_or_come_last() {
    let mut rules = Customization::default();
    rules.upsert(&[Metric::Requests], "a_path", path());
    rules.upsert(&[Metric::Requests], "destination_app", path());
    let rules = Arc::new(rules);
    let mut core = Metrics::default();
    for at in ["/a", "/b", "/a", ""] {
        let custom = core.customized(&rules, &At(at));
        let request = Request { custom, ..request(&mut core) };
        core.count(&request);
    }
    let text = text(&[core]);
    let check = |value: &str, count: u64| {
        let new = format!(",a_path=\"{value}\"}} {count}");
        let found: Vec<_> = lines(&text, "istio_requests_total")
            .into_iter()
            .filter(|it| it.ends_with(&new))
            .collect();
        assert_eq!(found.len(), 1, "{value}: {text}");
        assert!(found[0].contains(&format!("destination_app=\"{value}\"")), "{text}");
    };
    check("/a", 2);
    check("/b", 1);
    check("unknown", 1);
    // Other metrics are as they were, whatever the path.
    assert_eq!(lines(&text, "istio_request_duration_milliseconds_count").len(), 1, "{text}");
}

#[test]
fn what_is_counted_with_and_without_changes_of_no_effect_is_one_series() {
    let mut rules = Customization::default();
    rules.disable(Metric::RequestBytes, true);
    let mut core = Metrics::default();
    let plain = request(&mut core);
    let custom = core.customized(&Arc::new(rules), &At(""));
    core.count(&plain);
    core.count(&Request { custom, ..plain });
    let text = text(&[core]);
    let requests = lines(&text, "istio_requests_total");
    assert!(requests.len() == 1 && requests[0].ends_with("} 2"), "{text}");
    assert_eq!(lines(&text, "istio_request_bytes_count")[0].rsplit(' ').next(), Some("1"));
}

#[test]
fn there_is_an_end_to_the_values_of_labels() {
    let mut rules = Customization::default();
    let (count, next) =
        (std::sync::atomic::AtomicU64::new(0), std::sync::atomic::Ordering::Relaxed);
    let evaluate = move |_: &dyn Facts| Some(count.fetch_add(1, next).to_string());
    let each = Expression::new("each".to_owned(), Box::new(evaluate));
    rules.upsert(&[Metric::Requests], "each", each);
    let rules = Arc::new(rules);
    let mut core = Metrics::default();
    for _ in 0..20_000 {
        let custom = core.customized(&rules, &At(""));
        let request = Request { custom, ..request(&mut core) };
        core.count(&request);
    }
    let text = text(&[core]);
    let requests = lines(&text, "istio_requests_total");
    assert!((9_000..11_000).contains(&requests.len()), "{}", requests.len());
    assert_eq!(requests.iter().filter(|it| it.contains("each=\"unknown\"")).count(), 1);
}

#[test]
fn connections_have_the_labels_of_users_too() {
    let mut rules = Customization::default();
    rules.disable(Metric::TcpSent, true);
    rules.remove(&Metric::ALL, "source_app");
    let mut core = Metrics::default();
    let custom = core.customized(&Arc::new(rules), &At(""));
    let to = Path { destination: core.destination(destination()), custom, ..Path::default() };
    core.opened(to);
    core.closed(to, Flags::NONE, 10, 20);
    let text = text(&[core]);
    assert!(!text.contains("istio_tcp_sent_bytes_total"), "{text}");
    assert_eq!(lines(&text, "istio_tcp_received_bytes_total{").len(), 1, "{text}");
    assert!(!text.contains("source_app"), "{text}");
}
