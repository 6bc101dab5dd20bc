//! What proxies tell of requests: access logs, traces and metrics, as Telemetries and the mesh configuration ask for them.
//!
//! Where Istio's proxies print to their container's standard output, here is a file for each proxy: no pod has a container of its
//! proxy's. Spans go to their collector by OTLP over HTTP, to a Service of the cluster as to anything else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serin_api::Object;
use serin_api::networking::{ClientTlsMode, DestinationRule, PortTrafficPolicy};
use serin_control::{Role, Workload};
use serin_routing::model::WorkloadIdentity;
use serin_telemetry::access_log::{AccessLog, Target, Writer};
use serin_telemetry::customization::Customizations;
use serin_telemetry::trace::{Tracing, Trust};
use serin_translate::{Proxy, ProxyKind, Snapshot};

use crate::gateway::access_log::{self, Current};
use crate::gateway::attributes::Node;
use crate::gateway::metric_changes;

/// Share of requests that are traced where nothing is said, in percent (`PILOT_TRACE_SAMPLING`).
const TRACED: f64 = 1.0;
/// Where a collector takes spans, if its path is not given.
const PATH: &str = "/v1/traces";

/// Connects to `host:port`, in the cluster or outside of it.
pub(super) type Connect = Arc<dyn Fn(&str) -> io::Result<TcpStream> + Send + Sync>;

/// Access logs and traces of all proxies.
pub(super) struct Told {
    folder: PathBuf,
    connect: Connect,
    snapshot: Option<Arc<Snapshot>>,
    /// The thread that writes all logs, as soon as there is one.
    writer: Option<Writer>,
    logs: BTreeMap<String, Current>,
    /// By the URL and whom to trust there.
    collectors: BTreeMap<(String, Trust), Tracing>,
    /// Providers whose traces go nowhere, which is told once.
    refused: BTreeSet<String>,
}

impl Told {
    /// Logs are in `folder`. Those of pods that are gone are removed.
    pub(super) fn new(folder: PathBuf, connect: Connect) -> Self {
        // What cannot be removed is in nobody's way.
        let _ = fs::remove_dir_all(&folder);
        Self {
            folder,
            connect,
            snapshot: None,
            writer: None,
            logs: BTreeMap::new(),
            collectors: BTreeMap::new(),
            refused: BTreeSet::new(),
        }
    }

    /// Takes in what the mesh asks for. Whether it may be something else than before.
    pub(super) fn follow(&mut self, snapshot: &Arc<Snapshot>) -> bool {
        let (mesh, objects) = (&snapshot.settings().mesh, snapshot.objects());
        let is_same = self.snapshot.as_ref().is_some_and(|last| {
            let before = last.objects();
            // How collectors are spoken to is a DestinationRule's matter.
            let is_said_how = before.destination_rules.is(&objects.destination_rules);
            let has_collectors =
                || mesh.extension_providers.iter().any(|it| it.opentelemetry.is_some());
            Arc::ptr_eq(&last.settings().mesh, mesh)
                && before.telemetries.is(&objects.telemetries)
                && (is_said_how || !has_collectors())
        });
        self.snapshot = Some(Arc::clone(snapshot));
        !is_same
    }

    /// What a proxy of the mesh tells.
    pub(super) fn of(
        &mut self,
        key: &str,
        workload: &Workload,
    ) -> (Option<Arc<AccessLog>>, Option<Arc<Tracing>>, Customizations) {
        let Some(snapshot) = self.snapshot.clone().filter(|_| workload.role.is_in_mesh()) else {
            return (None, None, Customizations::default());
        };
        let proxy = proxy(workload);
        let log = self.log(key, workload, &snapshot, &proxy);
        let tracing = self.tracing(workload, &snapshot, &proxy);
        (log, tracing, metric_changes::of(&snapshot, &proxy, &node(workload)))
    }

    /// A proxy is gone, and its log with it.
    pub(super) fn forget(&mut self, key: &str) {
        self.logs.remove(key);
    }

    fn log(
        &mut self,
        key: &str,
        workload: &Workload,
        snapshot: &Snapshot,
        proxy: &Proxy,
    ) -> Option<Arc<AccessLog>> {
        let wanted = access_log::wanted_by_mesh(snapshot, proxy, &node(workload));
        if wanted.is_none() && !self.logs.contains_key(key) {
            return None;
        }
        let path = path(&self.folder, workload);
        let (writer, folder) = (&mut self.writer, &self.folder);
        // Whatever file is asked for would be in the proxy's container.
        let start = |_: &str| {
            fs::create_dir_all(folder)?;
            let target = Target::Limited(path);
            match writer {
                Some(writer) => writer.beside(target),
                none => Ok(none.insert(Writer::start(target)?).clone()),
            }
        };
        self.logs.entry(key.to_owned()).or_default().follow(wanted, start).cloned()
    }

    fn tracing(
        &mut self,
        workload: &Workload,
        snapshot: &Snapshot,
        proxy: &Proxy,
    ) -> Option<Arc<Tracing>> {
        let provider = access_log::trace_provider(snapshot, proxy)?;
        let collector = match collector(snapshot, provider) {
            Ok(collector) => collector,
            Err(reason) => {
                if self.refused.insert(provider.to_owned()) {
                    tracing::warn!(provider, reason, "requests are not traced");
                }
                return None;
            }
        };
        let percent = access_log::sampling(snapshot, proxy).unwrap_or(TRACED);
        let share = percent.clamp(0.0, 100.0) / 100.0;
        let collector = match self.collectors.entry(collector) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(new) => {
                let connect = Arc::clone(&self.connect);
                let connect = Box::new(move |authority: &str| connect(authority));
                let (url, trust) = new.key();
                let started = Tracing::start_by(connect, url, trust, "", share);
                match started {
                    Ok(started) => new.insert(started),
                    Err(error) => {
                        tracing::warn!(provider, %error, "requests are not traced");
                        return None;
                    }
                }
            }
        };
        let name = service_name(workload);
        Some(Arc::new(collector.with_share(share).of_service(&name)))
    }
}

fn proxy(workload: &Workload) -> Proxy {
    let kind = match workload.role {
        Role::Gateway => ProxyKind::Gateway,
        Role::Sidecar | Role::Plain | Role::Node => ProxyKind::Sidecar,
    };
    let identity = &workload.identity;
    let labels = identity.labels.iter().map(|(key, value)| (key.to_string(), value.to_string()));
    Proxy::new(kind, &identity.namespace, labels.collect())
}

fn node(workload: &Workload) -> Node {
    let cluster = serin_proxy::Settings::default().cluster_id;
    Node { identity: WorkloadIdentity::clone(&workload.identity), cluster }
}

/// The file of a proxy: `NAMESPACE/NAME.log` would need folders of its own, and neither name has an underscore.
fn path(folder: &Path, workload: &Workload) -> PathBuf {
    let identity = &workload.identity;
    folder.join(format!("{}_{}.log", identity.namespace, identity.pod))
}

/// What traces call a workload (Istio's `APP_LABEL_AND_NAMESPACE`).
fn service_name(workload: &Workload) -> String {
    let identity = &workload.identity;
    let app = identity.labels.iter().find(|(key, _)| &***key == "app").map(|(_, value)| value);
    format!("{}.{}", app.unwrap_or(&identity.workload), identity.namespace)
}

/// Where the spans of a provider go, and whom to trust there.
fn collector(snapshot: &Snapshot, provider: &str) -> Result<(String, Trust), &'static str> {
    let mut providers = snapshot.settings().mesh.extension_providers.iter();
    let found = providers.find(|it| it.name == provider);
    let found = found.ok_or("the mesh configuration has no extensionProvider of this name")?;
    let collector = found.opentelemetry.as_ref();
    let collector =
        collector.ok_or("spans are sent in OpenTelemetry's form only: set `opentelemetry`")?;
    let http = collector.http.as_ref();
    let http = http.ok_or("spans are sent by HTTP only: set `opentelemetry.http`")?;
    let host = collector.service.rsplit('/').next().unwrap_or_default();
    let path = if http.path.is_empty() { PATH } else { &http.path };
    let (scheme, trust) = match tls(snapshot, host, collector.port)? {
        Some(trust) => ("https", trust),
        None => ("http", Trust::default()),
    };
    let url = format!("{scheme}://{host}:{}/{}", collector.port, path.trim_start_matches('/'));
    Ok((url, trust))
}

/// TLS towards a port of a host, if a DestinationRule originates it. The mesh's own needs none: the collector is reached from within.
fn tls(snapshot: &Snapshot, host: &str, port: u32) -> Result<Option<Trust>, &'static str> {
    let of_host = |rule: &&Arc<Object<DestinationRule>>| {
        let named = rule.spec.host.as_str();
        let of_namespace = format!("{named}.{}.svc.", rule.meta.namespace);
        named == host || (!named.contains('.') && host.starts_with(&of_namespace))
    };
    let rule = snapshot.written_destination_rules().iter().find(of_host);
    let Some(policy) = rule.and_then(|it| it.spec.traffic_policy.as_ref()) else { return Ok(None) };
    let is_port = |it: &&PortTrafficPolicy| it.port.as_ref().is_some_and(|it| it.number == port);
    let of_port = policy.port_level_settings.iter().find(is_port);
    let Some(tls) = of_port.map_or(&policy.tls, |it| &it.tls) else { return Ok(None) };
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    match tls.mode {
        ClientTlsMode::Simple if tls.insecure_skip_verify == Some(true) => {
            Err("collectors are spoken to by TLS only if their certificate is verified")
        }
        ClientTlsMode::Simple if !tls.credential_name.is_empty() => {
            Err("authorities for a collector are read from a file: set `caCertificates`")
        }
        ClientTlsMode::Simple => Ok(Some(Trust {
            authorities: given(&tls.ca_certificates).map(PathBuf::from),
            server_name: given(&tls.sni),
        })),
        ClientTlsMode::Mutual => {
            Err("collectors get no client certificate: use the TLS mode SIMPLE")
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests;
