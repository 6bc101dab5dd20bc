//! Which endpoints take mutual TLS, as far as PeerAuthentications say.

use std::collections::HashMap;
use std::sync::Arc;

use serin_api::Object;
use serin_api::security::{MutualTlsMode, PeerAuthentication};
use serin_routing::model::{EndpointAddress, EndpointTls};

use crate::mesh::{Mode, Modes};
use crate::registry::ServiceEndpoint;
use crate::snapshot::Snapshot;

/// PeerAuthentications, by namespace.
#[derive(Debug)]
pub(super) struct Peers<'a> {
    root_namespace: &'a str,
    by_namespace: HashMap<&'a str, Vec<Arc<Object<PeerAuthentication>>>>,
    /// Whether one of them turns mutual TLS off: without any, endpoints need not be looked at.
    some_disable: bool,
}

impl<'a> Peers<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        let policies = &snapshot.objects().peer_authentications;
        let mut by_namespace = HashMap::<_, Vec<_>>::new();
        for policy in policies {
            by_namespace.entry(&*policy.meta.namespace).or_default().push(Arc::clone(policy));
        }
        let disables = |policy: &Arc<Object<PeerAuthentication>>| {
            let modes = policy.spec.mtls.iter().chain(policy.spec.port_level_mtls.values());
            modes.into_iter().any(|it| it.mode == MutualTlsMode::Disable)
        };
        let some_disable = policies.iter().any(disables);
        Self {
            root_namespace: &snapshot.settings().mesh.root_namespace,
            by_namespace,
            some_disable,
        }
    }

    /// Whether an endpoint takes mutual TLS: it has a proxy, and no policy turns it off.
    pub(super) fn tls_of(&self, endpoint: &ServiceEndpoint) -> EndpointTls {
        let workload = &endpoint.workload;
        if workload.tls == EndpointTls::Plain || !self.some_disable {
            return workload.tls;
        }
        let port = match endpoint.address {
            EndpointAddress::Socket(_, port) | EndpointAddress::Name(_, port) => port,
            EndpointAddress::Unix(_) => 0,
        };
        let namespace = &*workload.identity.namespace;
        let modes = Modes::of(
            namespace,
            |labels| workload.has_labels(labels),
            &self.relevant_to(namespace),
            self.root_namespace,
        );
        if modes.of_port(port) == Mode::Disable { EndpointTls::Plain } else { EndpointTls::Mesh }
    }

    /// The mode that a namespace, else the mesh, sets for all its workloads.
    pub(super) fn mode_of_namespace(&self, namespace: &str) -> Mode {
        Modes::of(namespace, |_| false, &self.relevant_to(namespace), self.root_namespace).general()
    }

    fn relevant_to(&self, namespace: &str) -> Vec<Arc<Object<PeerAuthentication>>> {
        let own = [namespace, self.root_namespace];
        let wanted = if namespace == self.root_namespace { &own[..1] } else { &own[..] };
        wanted.iter().filter_map(|it| self.by_namespace.get(it)).flatten().cloned().collect()
    }
}
