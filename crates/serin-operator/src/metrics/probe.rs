//! Whether all who will be asked for metrics can be asked: found out before the first release rather than in its midst.

use futures_util::future::join_all;
use serin_api::delivery::CanaryMetric;
use serin_rollout::{Answer, Span, Time};

use super::{MetricProviderType, Source, server, template};
use crate::http::{Call, Caller};
use crate::objects::Scene;

/// A question to which any answer of some statuses is good.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) call: Call,
    /// The statuses of those who would answer a real question.
    pub(super) is_good: fn(u16) -> bool,
}

/// Questions to all whom the metrics of a plan name, with their names; or why one cannot be asked.
#[derive(Debug)]
pub(crate) struct Probes(Result<Vec<(String, Probe)>, String>);

impl Probes {
    /// The questions for a plan's metrics.
    pub(crate) async fn prepare(scene: &Scene<'_>, now: Time) -> Self {
        let mut probes = Vec::new();
        for metric in &scene.plan.metrics {
            match of(scene, metric, now).await {
                Ok(found) => probes.extend(found),
                Err(why) => return Self(Err(why)),
            }
        }
        probes.dedup_by(|(a, of_a), (b, of_b)| a == b && of_a.call.url == of_b.call.url);
        Self(Ok(probes))
    }

    /// Puts all of them at once.
    pub(crate) async fn ask(self, caller: &Caller) -> Answer {
        let probes = match self.0 {
            Ok(probes) => probes,
            Err(why) => return Answer::Failed(why),
        };
        let answers = probes.iter().map(|(_, probe)| caller.call(&probe.call));
        for ((name, probe), answer) in probes.iter().zip(join_all(answers).await) {
            match answer {
                Ok(answer) if (probe.is_good)(answer.status) => {}
                Ok(answer) => return Answer::Failed(format!("{name}: {}", answer.refusal())),
                Err(why) => return Answer::Failed(format!("{name}: {why}")),
            }
        }
        Answer::Yes
    }
}

async fn of(
    scene: &Scene<'_>,
    metric: &CanaryMetric,
    now: Time,
) -> Result<Option<(String, Probe)>, String> {
    let Some(reference) = &metric.template_ref else {
        // Without a server the proxies tell, and they are always there.
        return Ok(server(scene)
            .map(|server| (format!("Prometheus at {}", server.address), server.probe())));
    };
    let (template, secret) = template(scene, reference).await?;
    let provider = template.provider.unwrap_or_default();
    if provider.provider_type == MetricProviderType::Keptn {
        return Ok(None);
    }
    let window = Span::parse(&metric.interval).filter(|it| it.0 > 0).unwrap_or(Span::seconds(60));
    let source = Source { provider: &provider, secret: secret.as_ref(), window, now };
    let name = format!("{} of MetricTemplate {}", provider.provider_type, reference.name);
    let probe = source.probe().map_err(|why| format!("{name}: {why}"))?;
    Ok(Some((name, probe)))
}
