//! The mesh of this process, as the dashboard asks for it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use serin_api::{Finding, ObjectRef};
use serin_control::{Control, ProxyId};
use serin_dashboard::{
    Dashboard, Explained, Live, Mesh, Question, Request, Rule, Sender, Settings,
};
use serin_proxy::{Observer, Seen};
use serin_routing::Model;
use serin_routing::model::Direction;
use serin_telemetry::Traffic;
use serin_translate::{Proxy, ProxyKind, Snapshot, analysis};

use crate::cli::{DashboardAddress, UpArgs};
use crate::explain;

/// Serves the dashboard where the arguments want it.
pub(super) async fn start(
    args: &UpArgs,
    client: &kube::Client,
    observer: Observer,
    control: Arc<Control>,
) -> anyhow::Result<Option<Dashboard>> {
    let mut settings = Settings::default();
    let is_chosen = match args.dashboard_address {
        Some(DashboardAddress::Off) => return Ok(None),
        Some(DashboardAddress::At(address)) => {
            settings.address = address;
            true
        }
        None => false,
    };
    let mesh = Arc::new(Watched { observer, control, findings: Mutex::default() });
    match Dashboard::start(client.clone(), Arc::clone(&mesh) as _, &settings).await {
        Err(error) if !is_chosen => {
            tracing::warn!(%error, "the dashboard takes a free port");
            settings.address.set_port(0);
            Ok(Some(Dashboard::start(client.clone(), mesh, &settings).await?))
        }
        started => Ok(Some(started?)),
    }
}

/// The link that lets whoever has it in.
pub(super) fn link(dashboard: &Dashboard) -> String {
    let mut address = dashboard.address();
    if address.ip().is_unspecified() {
        address = SocketAddr::from(([127, 0, 0, 1], address.port()));
    }
    format!("http://{address}/?token={}", dashboard.token())
}

/// What proxies and control plane know.
struct Watched {
    observer: Observer,
    control: Arc<Control>,
    /// The last analysis.
    findings: Mutex<Option<Found>>,
}

/// What was found, and in which snapshot.
type Found = (Arc<Snapshot>, Arc<Vec<Finding>>);

impl Watched {
    /// The names of proxies by the keys under which they are served.
    fn names(&self) -> BTreeMap<String, ProxyId> {
        let proxies = self.control.proxies().into_iter();
        proxies.map(|(id, _)| (super::fleet::key(&id), id)).collect()
    }
}

impl Mesh for Watched {
    fn traffic(&self) -> BoxFuture<'_, Vec<Traffic>> {
        Box::pin(self.observer.traffic())
    }

    fn requests(&self) -> BoxFuture<'_, Vec<Request>> {
        Box::pin(async {
            let names = self.names();
            let seen = self.observer.sample().await.into_iter();
            seen.map(|it| {
                let source = names.get(&*it.workload).map(ToString::to_string);
                request(it, source.unwrap_or_default())
            })
            .collect()
        })
    }

    fn live(&self, object: &ObjectRef) -> Option<Live> {
        let live = self.control.live(object)?;
        let waiting = live.waiting.iter().take(10).map(ToString::to_string).collect();
        Some(Live { generation: live.generation, live: live.live, proxies: live.proxies, waiting })
    }

    fn findings(&self) -> Arc<Vec<Finding>> {
        let Some(snapshot) = self.control.snapshot() else { return Arc::default() };
        // An analysis of many objects takes its time, which others need not wait for.
        tokio::task::block_in_place(|| {
            let mut known = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((of, findings)) = &*known
                && Arc::ptr_eq(of, &snapshot)
            {
                return Arc::clone(findings);
            }
            let findings = Arc::new(analysis::analyze(analysis::Input::new(&snapshot)));
            *known = Some((snapshot, Arc::clone(&findings)));
            findings
        })
    }

    fn senders(&self) -> Vec<Sender> {
        let mut senders: Vec<Sender> = self
            .names()
            .into_iter()
            .filter(|(_, id)| !matches!(id, ProxyId::Node { .. }))
            .map(|(key, id)| Sender {
                key,
                name: id.to_string(),
                is_gateway: matches!(id, ProxyId::Gateway { .. }),
            })
            .collect();
        senders.sort_by(|a, b| (!a.is_gateway, &a.name).cmp(&(!b.is_gateway, &b.name)));
        senders
    }

    fn model(&self, sender: &str) -> Option<Arc<Model>> {
        Some(self.observer.in_force_of(sender)?.model)
    }

    fn explain(&self, question: &Question) -> Result<Explained, String> {
        let gone = "whoever is to send it is not there any more; choose another";
        let names = self.names();
        let id = names.get(&question.sender).ok_or(gone)?;
        let model = self.model(&question.sender).ok_or(gone)?;
        let call = explain::from_url(&question.url).and_then(|mut call| {
            call.method = Some(question.method.clone());
            explain::with_headers(call, &question.headers)
        });
        let call = call.map_err(|error| format!("{error:#}"))?;
        let direction = match id {
            ProxyId::Gateway { .. } => Direction::Gateway,
            ProxyId::Node { .. } | ProxyId::Pod { .. } => Direction::Outbound,
        };
        let snapshot = self.control.snapshot();
        let made_for = snapshot.as_deref().and_then(|it| Some((it, proxy(it, id)?)));
        let made_for = made_for.as_ref().map(|(snapshot, proxy)| (*snapshot, proxy));
        Ok(explain::told(&model, direction, &call, made_for))
    }
}

/// The proxy of a pod, as its model was made for it.
fn proxy(snapshot: &Snapshot, id: &ProxyId) -> Option<Proxy> {
    let ProxyId::Pod { namespace, name, .. } = id else { return None };
    let mut pods = snapshot.objects().pods.iter();
    let pod = pods.find(|pod| *pod.meta.namespace == **namespace && *pod.meta.name == **name)?;
    Some(Proxy::new(ProxyKind::Sidecar, &pod.meta.namespace, pod.meta.labels.clone()))
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
        details: seen.details.to_owned(),
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
