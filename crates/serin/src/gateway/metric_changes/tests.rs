use std::collections::BTreeMap;

use serin_api::load;
use serin_routing::format::Facts;
use serin_telemetry::exposition::Text;
use serin_telemetry::{Metrics as Counters, Path};
use serin_translate::{ProxyKind, Settings};

use super::*;

/// The changes for a workload `till` of the namespace `shop`.
fn changes(telemetries: &str) -> Customizations {
    let loaded = load::load("telemetry.yaml", telemetries, "default");
    assert!(loaded.findings.is_empty(), "{:?}", loaded.findings);
    let snapshot = Snapshot::new(
        loaded.objects.into_iter().map(|it| it.object).collect(),
        Settings::default(),
    );
    let labels = BTreeMap::from([("app".to_owned(), "till".to_owned())]);
    of(&snapshot, &Proxy::new(ProxyKind::Sidecar, "shop", labels), &Node::default())
}

struct Nothing;

impl Facts for Nothing {
    fn request_header(&self, _: &str) -> Option<&[u8]> {
        None
    }
}

/// A connection's metrics.
fn text(rules: &Arc<Customization>) -> String {
    let mut counters = Counters::default();
    let custom = counters.customized(rules, &Nothing);
    counters.opened(Path { custom, ..Path::default() });
    let mut text = Text::default();
    text.istio([&counters].into_iter());
    text.finish()
}

fn telemetry(namespace: &str, rest: &str) -> String {
    let name = rest.len();
    format!(
        "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {{name: t{name}, namespace: {namespace}}}\nspec: {{{rest}}}\n---\n"
    )
}

#[test]
fn without_telemetries_metrics_are_istios() {
    let changes = changes("");
    assert!(changes.sent.is_empty() && changes.received.is_empty());
}

#[test]
fn a_change_is_for_one_side_or_for_both() {
    let check = |mode: &str, expect: (bool, bool)| {
        let rest = format!("metrics: [{{overrides: [{{match: {{{mode}}}, disabled: true}}]}}]");
        let changes = changes(&telemetry("shop", &rest));
        let is_there = |rules: &Arc<Customization>| !text(rules).is_empty();
        assert_eq!((is_there(&changes.sent), is_there(&changes.received)), expect, "{mode}");
    };
    check("mode: CLIENT", (false, true));
    check("mode: SERVER", (true, false));
    check("mode: CLIENT_AND_SERVER", (false, false));
    check("metric: REQUEST_COUNT", (true, true));
    check("metric: ALL_METRICS", (false, false));
}

#[test]
fn the_nearest_telemetry_has_the_last_word_and_the_others_go_on() {
    let all = [
        telemetry(
            "istio-system",
            "metrics: [{overrides: [{disabled: true, tagOverrides: {source_app: {operation: REMOVE}, zone: {value: \"'mesh'\"}}}]}]",
        ),
        telemetry("shop", "metrics: [{overrides: [{tagOverrides: {zone: {value: \"'shop'\"}}}]}]"),
        telemetry(
            "shop",
            "selector: {matchLabels: {app: till}}, metrics: [{overrides: [{match: {metric: TCP_OPENED_CONNECTIONS}, disabled: false}]}]",
        ),
        telemetry(
            "shop",
            "selector: {matchLabels: {app: other}}, metrics: [{overrides: [{disabled: true}]}]",
        ),
        telemetry(
            "elsewhere",
            "metrics: [{overrides: [{tagOverrides: {zone: {value: \"'no'\"}}}]}]",
        ),
    ];
    let text = text(&changes(&all.concat()).sent);
    let series: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(series.len(), 1, "{text}");
    assert!(series[0].starts_with("istio_tcp_connections_opened_total{"), "{text}");
    assert!(!text.contains("source_app=") && text.contains("zone=\"shop\""), "{text}");
}

#[test]
fn changes_for_other_providers_are_not_for_these_metrics() {
    let rest = "metrics: [{providers: [{name: elsewhere}], overrides: [{disabled: true}]}, {overrides: [{disabled: true}]}]";
    assert!(changes(&telemetry("shop", rest)).sent.is_empty());
    let rest = "metrics: [{providers: [{name: prometheus}], overrides: [{disabled: true}]}]";
    assert!(!changes(&telemetry("shop", rest)).sent.is_empty());
}

#[test]
fn a_metric_may_be_called_by_its_name() {
    let rest = "metrics: [{overrides: [{match: {customMetric: istio_tcp_connections_opened_total}, disabled: true}]}]";
    let text = text(&changes(&telemetry("shop", rest)).sent);
    assert!(!text.contains("opened_total") && text.contains("closed_total"), "{text}");
}
