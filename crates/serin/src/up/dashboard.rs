//! The mesh of this process, as the dashboard asks for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serin_api::{Finding, ObjectRef};
use serin_control::{Control, ProxyId};
use serin_dashboard::{Dashboard, Explained, Live, Mesh, Question, Request, Rule, Sender};
use serin_proxy::{Observer, Seen};
use serin_routing::Model;
use serin_telemetry::Traffic;
use serin_translate::ProxyKind;

use crate::cli::UpArgs;
use crate::dashboard::{Known, known, serving};

/// Serves the dashboard where the arguments want it.
pub(super) async fn start(
    args: &UpArgs,
    client: &kube::Client,
    observer: Observer,
    control: Arc<Control>,
) -> anyhow::Result<Option<Dashboard>> {
    let mesh = Arc::new(Watched { observer, known: Known::new(control) });
    Ok(serving::start(args.dashboard_address, client, mesh, None).await?)
}

/// What proxies and control plane know.
struct Watched {
    observer: Observer,
    known: Known,
}

impl Watched {
    /// The names of proxies by the keys under which they are served.
    fn names(&self) -> BTreeMap<String, ProxyId> {
        let proxies = self.known.control().proxies().into_iter();
        proxies.map(|(id, _)| (super::fleet::key(&id), id)).collect()
    }
}

impl Mesh for Watched {
    fn traffic(&self) -> BoxFuture<'_, Result<Vec<Traffic>, String>> {
        Box::pin(async { Ok(self.observer.traffic().await) })
    }

    fn requests(&self) -> BoxFuture<'_, Option<Vec<Request>>> {
        Box::pin(async {
            let names = self.names();
            let seen = self.observer.sample().await.into_iter();
            let requests = seen.map(|it| {
                let source = names.get(&*it.workload).map(ToString::to_string);
                request(it, source.unwrap_or_default())
            });
            Some(requests.collect())
        })
    }

    fn hits(&self) -> BoxFuture<'_, Option<BTreeMap<Rule, u64>>> {
        let rule = |it: serin_telemetry::Rule| Rule {
            kind: it.kind.to_string(),
            namespace: it.namespace.to_string(),
            name: it.name.to_string(),
            index: it.index,
        };
        Box::pin(async move {
            let hits = self.observer.hits().await.into_iter();
            Some(hits.map(|(it, count)| (rule(it), count)).collect())
        })
    }

    fn live(&self, object: &ObjectRef) -> Option<Live> {
        let live = self.known.control().live(object)?;
        let waiting = live.waiting.iter().take(10).map(ToString::to_string).collect();
        Some(Live { generation: live.generation, live: live.live, proxies: live.proxies, waiting })
    }

    fn findings(&self) -> Arc<Vec<Finding>> {
        self.known.findings()
    }

    fn senders(&self) -> Vec<Sender> {
        let names = self.names().into_iter();
        let senders = names.filter(|(_, id)| !matches!(id, ProxyId::Node { .. }));
        let sender = |(key, id): (String, ProxyId)| Sender {
            key,
            name: id.to_string(),
            is_gateway: matches!(id, ProxyId::Gateway { .. }),
        };
        known::in_order(senders.map(sender).collect())
    }

    fn model(&self, sender: &str) -> Option<Arc<Model>> {
        Some(self.observer.in_force_of(sender)?.model)
    }

    fn explain(&self, question: &Question) -> Result<Explained, String> {
        let names = self.names();
        let id = names.get(&question.sender).ok_or(known::GONE)?;
        let model = self.model(&question.sender).ok_or(known::GONE)?;
        let kind = match id {
            ProxyId::Gateway { .. } => ProxyKind::Gateway,
            ProxyId::Node { .. } | ProxyId::Pod { .. } => ProxyKind::Sidecar,
        };
        self.known.explain(question, (id, kind), &model)
    }
}

fn request(seen: Seen, source: String) -> Request {
    let cluster = seen.cluster.unwrap_or_default();
    let (destination, subset) = match cluster.split('|').collect::<Vec<_>>()[..] {
        ["outbound" | "outbound_", port, subset, host] => {
            let host = host.split(".svc.").next().unwrap_or(host);
            (format!("{host}:{port}"), subset.to_owned())
        }
        _ => (cluster.clone(), String::new()),
    };
    Request {
        started: seen.started,
        method: seen.method,
        host: seen.authority,
        path: seen.path,
        status: seen.status,
        flags: seen.flags,
        details: seen.details.into_owned(),
        milliseconds: seen.duration.as_secs_f64() * 1000.0,
        attempts: seen.attempts,
        source,
        destination,
        subset,
        endpoint: seen.endpoint.unwrap_or_default(),
        rule: seen.rule.as_deref().and_then(rule),
    }
}

/// Reads `VirtualService default/reviews, rule 0`.
fn rule(text: &str) -> Option<Rule> {
    let (kind, rest) = text.split_once(' ')?;
    let (object, index) = match rest.split_once(", rule ") {
        Some((object, index)) => (object, index.parse().ok()),
        None => (rest, None),
    };
    let (namespace, name) = object.split_once('/')?;
    Some(Rule { kind: kind.into(), namespace: namespace.into(), name: name.into(), index })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_samples_are_read() {
        let found = rule("VirtualService default/reviews, rule 2").unwrap();
        let expect = ("VirtualService", "default", "reviews", Some(2));
        assert_eq!((&*found.kind, &*found.namespace, &*found.name, found.index), expect);
        assert_eq!(rule("Service default/reviews").unwrap().index, None);
        assert_eq!(rule("none"), None);
    }
}
