//! What Prometheus is asked: the built-in metrics of Istio, and templates.

use std::collections::BTreeMap;

/// What a query is about.
#[derive(Clone, Debug, Default)]
pub struct Subject<'a> {
    /// Name of the Canary.
    pub name: &'a str,
    /// Namespace of the workload.
    pub namespace: &'a str,
    /// Name of the workload.
    pub target: &'a str,
    /// Name of the Service.
    pub service: &'a str,
    /// Name of the Ingress.
    pub ingress: &'a str,
    /// Name of the route.
    pub route: &'a str,
    /// How far to look back: `1m`.
    pub interval: &'a str,
}

/// Who counted the requests that a built-in metric is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reporter {
    /// The workload itself, as Flagger asks. What never reached it is not there.
    Destination,
    /// Those who called it: what never reached it failed.
    Source,
}

impl Reporter {
    const fn label(self) -> &'static str {
        match self {
            Self::Destination => "destination",
            Self::Source => "source",
        }
    }
}

/// The query of a built-in metric; `None` if there is none of this name.
pub fn built_in(name: &str, subject: &Subject<'_>, reporter: Reporter) -> Option<String> {
    let Subject { namespace, target, interval, .. } = subject;
    let reporter = reporter.label();
    let workload = format!(
        "reporter=\"{reporter}\", destination_workload_namespace=\"{namespace}\", destination_workload=~\"{target}\""
    );
    match name {
        "request-success-rate" => Some(format!(
            "sum( rate( istio_requests_total{{ {workload}, response_code!~\"5.*\" }}[{interval}] ) ) / \
             sum( rate( istio_requests_total{{ {workload} }}[{interval}] ) ) * 100"
        )),
        "request-duration" => Some(format!(
            "histogram_quantile( 0.99, sum( rate( istio_request_duration_milliseconds_bucket{{ {workload} }}[{interval}] ) \
             ) by (le) )"
        )),
        _ => None,
    }
}

/// Fills in a template: `{{ name }}`, `{{ variables.X }}`. White space is collapsed.
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
    Ok(filled.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBJECT: Subject<'_> = Subject {
        name: "podinfo",
        namespace: "default",
        target: "podinfo",
        service: "podinfo",
        ingress: "",
        route: "",
        interval: "1m",
    };

    #[test]
    fn built_in_metrics_are_asked_as_flagger_asks() {
        assert_eq!(
            built_in("request-success-rate", &SUBJECT, Reporter::Destination).unwrap(),
            r#"sum( rate( istio_requests_total{ reporter="destination", destination_workload_namespace="default", destination_workload=~"podinfo", response_code!~"5.*" }[1m] ) ) / sum( rate( istio_requests_total{ reporter="destination", destination_workload_namespace="default", destination_workload=~"podinfo" }[1m] ) ) * 100"#
        );
        assert_eq!(
            built_in("request-duration", &SUBJECT, Reporter::Destination).unwrap(),
            r#"histogram_quantile( 0.99, sum( rate( istio_request_duration_milliseconds_bucket{ reporter="destination", destination_workload_namespace="default", destination_workload=~"podinfo" }[1m] ) ) by (le) )"#
        );
        assert_eq!(built_in("latency", &SUBJECT, Reporter::Destination), None);
    }

    #[test]
    fn requests_that_never_reach_the_pod_are_counted_by_their_callers() {
        let query = built_in("request-success-rate", &SUBJECT, Reporter::Source).unwrap();
        assert!(query.contains(r#"reporter="source""#) && !query.contains("destination\","));
    }

    #[test]
    fn templates_are_filled_in() {
        let variables = BTreeMap::from([("limit".to_owned(), "5".to_owned())]);
        let fill = |text| fill_in(text, &SUBJECT, &variables);
        assert_eq!(
            fill("rate(\n  x{ns=\"{{ namespace }}\"}[{{interval}}]) > {{ variables.limit }}")
                .unwrap(),
            "rate( x{ns=\"default\"}[1m]) > 5"
        );
        assert_eq!(
            fill("{{ variables.other }}").unwrap_err(),
            "the template asks for \"variables.other\", which there is not"
        );
        assert!(fill("{{ name").is_err());
    }
}
