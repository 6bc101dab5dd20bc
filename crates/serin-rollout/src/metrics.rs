//! What Prometheus is asked: the built-in metrics of Istio, and templates.

use std::collections::BTreeMap;

/// What a query is about.
#[derive(Clone, Debug, Default)]
pub struct Subject<'a> {
    /// Name of the Canary.
    pub name: &'a str,
    /// Namespace of the workload.
    pub namespace: &'a str,
    /// Name of the workload; of a Service that is released, that of its canary.
    pub target: &'a str,
    /// Whether it is a Service.
    pub is_service: bool,
    /// Name of the Service.
    pub service: &'a str,
    /// Name of the Ingress.
    pub ingress: &'a str,
    /// Name of the route.
    pub route: &'a str,
    /// How far to look back: `1m`.
    pub interval: &'a str,
}

/// A query of a built-in metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// In PromQL.
    pub text: String,
    /// What its value is multiplied with.
    pub scale: f64,
}

/// Who counted the requests that a built-in metric is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counter {
    /// The callers' proxies: what never reached the workload failed.
    Callers,
    /// The workload's proxies, which is whom Flagger asks. What never reached them is not there.
    Proxies,
    /// The workload's pods themselves, whom Flagger asks where there is no mesh. They count seconds.
    Pods,
}

impl Counter {
    /// The families of requests and of durations, the labels that select the workload's, and that of the status.
    fn names(self, subject: &Subject<'_>) -> [String; 4] {
        let Subject { namespace, target, .. } = subject;
        let kind = if subject.is_service { "service" } else { "workload" };
        let name = if subject.is_service { "_name" } else { "" };
        let reported = |reporter: &str| {
            [
                "istio_requests_total".to_owned(),
                "istio_request_duration_milliseconds_bucket".to_owned(),
                format!(
                    "reporter=\"{reporter}\", destination_{kind}_namespace=\"{namespace}\", \
                     destination_{kind}{name}=~\"{target}\""
                ),
                "response_code".to_owned(),
            ]
        };
        match self {
            Self::Callers => reported("source"),
            Self::Proxies => reported("destination"),
            Self::Pods => [
                "http_request_duration_seconds_count".to_owned(),
                "http_request_duration_seconds_bucket".to_owned(),
                format!(
                    "kubernetes_namespace=\"{namespace}\", \
                     kubernetes_pod_name=~\"{target}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)\""
                ),
                "status".to_owned(),
            ],
        }
    }

    /// The query of a built-in metric; `None` if there is none of this name.
    fn query(self, name: &str, subject: &Subject<'_>) -> Option<Query> {
        let interval = subject.interval;
        let [requests, durations, workload, status] = self.names(subject);
        match name {
            "request-success-rate" => Some(Query {
                text: format!(
                    "sum( rate( {requests}{{ {workload}, {status}!~\"5.*\" }}[{interval}] ) ) / \
                     sum( rate( {requests}{{ {workload} }}[{interval}] ) ) * 100"
                ),
                scale: 1.0,
            }),
            "request-duration" => Some(Query {
                text: format!(
                    "histogram_quantile( 0.99, sum( rate( {durations}{{ {workload} }}[{interval}] ) ) by (le) )"
                ),
                scale: if self == Self::Pods { 1000.0 } else { 1.0 },
            }),
            _ => None,
        }
    }
}

/// The queries of a built-in metric, of which the first that has a value counts; none if there is no metric of this name.
pub fn built_in(name: &str, subject: &Subject<'_>, is_meshed: bool) -> Vec<Query> {
    let counters = if is_meshed {
        &[Counter::Callers, Counter::Proxies][..]
    } else {
        &[Counter::Pods, Counter::Callers, Counter::Proxies]
    };
    counters.iter().filter_map(|it| it.query(name, subject)).collect()
}

/// Fills in a template: `{{ name }}`, `{{ variables.X }}`.
///
/// # Errors
/// What the template asks for and there is not.
pub fn fill_in(
    template: &str,
    subject: &Subject<'_>,
    variables: &BTreeMap<String, String>,
) -> Result<String, String> {
    let mut parts = template.split("{{");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (action, rest) =
            part.split_once("}}").ok_or("an action that begins with {{ has no }}")?;
        let action = action.trim_matches(['-', ' ', '\t', '\n', '\r']);
        filled.push_str(match action {
            "name" => subject.name,
            "namespace" => subject.namespace,
            "target" => subject.target,
            "service" => subject.service,
            "ingress" => subject.ingress,
            "route" => subject.route,
            "interval" => subject.interval,
            other => other
                .strip_prefix("variables.")
                .and_then(|name| variables.get(name))
                .ok_or_else(|| format!("the template asks for {other:?}, which there is not"))?,
        });
        filled.push_str(rest);
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBJECT: Subject<'_> = Subject {
        name: "podinfo",
        namespace: "default",
        target: "podinfo",
        is_service: false,
        service: "podinfo",
        ingress: "",
        route: "",
        interval: "1m",
    };

    fn check(name: &str, counter: Counter, expect: &str, scale: f64) {
        let expect = Query { text: expect.to_owned(), scale };
        assert_eq!(counter.query(name, &SUBJECT), Some(expect));
    }

    #[test]
    fn built_in_metrics_are_asked_as_flagger_asks() {
        check(
            "request-success-rate",
            Counter::Proxies,
            r#"sum( rate( istio_requests_total{ reporter="destination", destination_workload_namespace="default", destination_workload=~"podinfo", response_code!~"5.*" }[1m] ) ) / sum( rate( istio_requests_total{ reporter="destination", destination_workload_namespace="default", destination_workload=~"podinfo" }[1m] ) ) * 100"#,
            1.0,
        );
        check(
            "request-duration",
            Counter::Proxies,
            r#"histogram_quantile( 0.99, sum( rate( istio_request_duration_milliseconds_bucket{ reporter="destination", destination_workload_namespace="default", destination_workload=~"podinfo" }[1m] ) ) by (le) )"#,
            1.0,
        );
        check(
            "request-success-rate",
            Counter::Pods,
            r#"sum( rate( http_request_duration_seconds_count{ kubernetes_namespace="default", kubernetes_pod_name=~"podinfo-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)", status!~"5.*" }[1m] ) ) / sum( rate( http_request_duration_seconds_count{ kubernetes_namespace="default", kubernetes_pod_name=~"podinfo-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)" }[1m] ) ) * 100"#,
            1.0,
        );
        check(
            "request-duration",
            Counter::Pods,
            r#"histogram_quantile( 0.99, sum( rate( http_request_duration_seconds_bucket{ kubernetes_namespace="default", kubernetes_pod_name=~"podinfo-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)" }[1m] ) ) by (le) )"#,
            1000.0,
        );
        assert_eq!(built_in("latency", &SUBJECT, true), []);
    }

    #[test]
    fn requests_that_never_reach_the_pod_are_counted_by_their_callers() {
        let queries = built_in("request-success-rate", &SUBJECT, true);
        assert!(queries[0].text.contains(r#"reporter="source""#), "{queries:?}");
    }

    #[test]
    fn a_service_that_is_released_is_asked_for_by_its_name() {
        let service = Subject { target: "podinfo-canary", is_service: true, ..SUBJECT };
        let queries = built_in("request-success-rate", &service, true);
        let label = "destination_service_namespace=\"default\", destination_service_name=~\"podinfo-canary\"";
        assert!(queries[0].text.contains(label), "{queries:?}");
    }

    #[test]
    fn templates_are_filled_in() {
        let variables = BTreeMap::from([("limit".to_owned(), "5".to_owned())]);
        let fill = |text| fill_in(text, &SUBJECT, &variables);
        assert_eq!(
            fill("rate(\n  x{ns=\"{{ namespace }}\"}[{{interval}}]) > {{ variables.limit }}")
                .unwrap(),
            "rate(\n  x{ns=\"default\"}[1m]) > 5"
        );
        assert_eq!(
            fill("{{ variables.other }}").unwrap_err(),
            "the template asks for \"variables.other\", which there is not"
        );
        assert!(fill("{{ name").is_err());
    }
}
