use std::sync::Arc;
use std::time::Duration;

use serin_routing::model::{Cluster, Discovery, WorkloadIdentity};
use serin_routing::response::Flag;

use super::*;
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
