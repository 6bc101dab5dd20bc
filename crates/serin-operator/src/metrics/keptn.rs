//! Keptn: a metric that it keeps in the cluster, or an analysis that it is asked for there.

use std::time::Duration;

use serde_json::{Map, Value, json};
use serin_rollout::Answer;

use crate::cluster::Cluster;
use crate::json;
use crate::kind::Kind;

/// So often is looked whether an analysis is done.
const LOOKS: u32 = 10;
const PAUSE: Duration = Duration::from_secs(1);
/// The time that an analysis looks back where nothing is said.
const LOOK_BACK: &str = "1m";

/// What is asked: `keptnmetric/NAMESPACE/NAME` or `analysis/NAMESPACE/NAME/DURATION/KEY=VALUE;…`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Selector {
    is_analysis: bool,
    namespace: String,
    name: String,
    look_back: String,
    arguments: Map<String, Value>,
}

impl Selector {
    pub(super) fn parse(query: &str) -> Result<Self, String> {
        let mut parts = query.trim().splitn(5, '/');
        let mut next = || parts.next().unwrap_or_default();
        let (kind, namespace, name) = (next().to_lowercase(), next(), next());
        let (look_back, arguments) = (next(), next());
        let is_analysis = match kind.as_str() {
            "keptnmetric" | "keptnmetrics" => false,
            "analysis" | "analyses" => true,
            other => {
                return Err(format!(
                    "the query asks Keptn for {other:?}; it can be asked for keptnmetric/NAMESPACE/NAME and for \
                     analysis/NAMESPACE/NAME/DURATION/KEY=VALUE;…"
                ));
            }
        };
        if namespace.is_empty() || name.is_empty() {
            return Err(format!("the query {query:?} names no namespace, or no name in it"));
        }
        let pairs = arguments.split(';').filter_map(|pair| pair.split_once('='));
        Ok(Self {
            is_analysis,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            look_back: if look_back.is_empty() { LOOK_BACK } else { look_back }.to_owned(),
            arguments: pairs.map(|(key, value)| (key.to_owned(), json!(value))).collect(),
        })
    }
}

/// Asks.
pub(super) async fn ask(cluster: &Cluster, selector: &Selector) -> Answer {
    let answer = if selector.is_analysis {
        analysis(cluster, selector).await
    } else {
        metric(cluster, selector).await
    };
    match answer {
        Ok(value) => value.map_or(Answer::NoValue, Answer::Value),
        Err(why) => Answer::Failed(why),
    }
}

async fn metric(cluster: &Cluster, selector: &Selector) -> Result<Option<f64>, String> {
    let Selector { namespace, name, .. } = selector;
    let found = cluster.read(Kind::KeptnMetric, namespace, name).await;
    let found = found.map_err(|error| error.to_string())?;
    let found = found.ok_or_else(|| format!("KeptnMetric {namespace}/{name} is not there"))?;
    match json::text(&found, "status/value") {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| format!("the value {text:?} is no number")),
    }
}

/// 1 for an analysis that passes, 0 for one that does not. It goes when its answer is there.
async fn analysis(cluster: &Cluster, selector: &Selector) -> Result<Option<f64>, String> {
    let Selector { namespace, name, .. } = selector;
    let mut short = crate::chance::unique();
    short.truncate(6);
    let own = format!("{name}-{short}");
    let object = json!({
        "metadata": json::metadata(namespace, &own),
        "spec": {
            "analysisDefinition": {"name": name},
            "timeframe": {"recent": selector.look_back},
            "args": selector.arguments,
        },
    });
    let failed = |error: crate::ApiError| error.to_string();
    cluster.create(Kind::KeptnAnalysis, &object).await.map_err(failed)?;
    let mut answer = Err(format!("Keptn has not ended the analysis {namespace}/{own} in time"));
    for _ in 0..LOOKS {
        tokio::time::sleep(PAUSE).await;
        let found = cluster.read(Kind::KeptnAnalysis, namespace, &own).await;
        let found = found.map_err(failed)?.unwrap_or_default();
        if json::text(&found, "status/state") == "Completed" {
            let has_passed = json::at(&found, "status/pass").as_bool().unwrap_or(false);
            answer = Ok(Some(f64::from(u8::from(has_passed))));
            break;
        }
    }
    if let Err(error) = cluster.delete(Kind::KeptnAnalysis, namespace, &own).await {
        tracing::warn!(analysis = own, %error, "an analysis of Keptn stays behind");
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_or_an_analysis_is_named() {
        let metric = Selector::parse("keptnmetric/shop/errors\n").unwrap();
        assert_eq!((metric.is_analysis, metric.name.as_str()), (false, "errors"));
        let analysis = Selector::parse("Analysis/shop/slo/5m/app=Web;tier=1").unwrap();
        assert_eq!((analysis.is_analysis, analysis.look_back.as_str()), (true, "5m"));
        assert_eq!(Value::Object(analysis.arguments), json!({"app": "Web", "tier": "1"}));
        assert_eq!(Selector::parse("analysis/a/b").unwrap().look_back, "1m");
        assert!(Selector::parse("slo/a/b").unwrap_err().contains("keptnmetric/NAMESPACE/NAME"));
        assert!(Selector::parse("keptnmetric/a").is_err());
    }
}
