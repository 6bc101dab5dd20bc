//! What routes can be attached to, and whether a route may be.
//!
//! A parent is a listener of a Gateway or of a ListenerSet, or the mesh, which stands for every Service and ServiceEntry.

use std::collections::BTreeMap;
use std::sync::Arc;

use serin_api::Meta;
use serin_api::gateway_api::ParentReference;

use super::condition::Refusal;
use super::grants::GroupKind;
use super::names;
use super::route::{RouteKind, RouteView};
use super::world::World;
use crate::host::Host;

pub(super) const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";
const EXPERIMENTAL_GROUP: &str = "gateway.networking.x-k8s.io";
const ISTIO_GROUP: &str = "networking.istio.io";

/// Kinds that a route can name as its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ParentKind {
    Gateway,
    ListenerSet,
    XListenerSet,
    Service,
    ServiceEntry,
}

impl ParentKind {
    const ALL: [Self; 5] =
        [Self::Gateway, Self::ListenerSet, Self::XListenerSet, Self::Service, Self::ServiceEntry];

    pub(super) const fn group_kind(self) -> GroupKind<'static> {
        match self {
            Self::Gateway => (GATEWAY_GROUP, "Gateway"),
            Self::ListenerSet => (GATEWAY_GROUP, "ListenerSet"),
            Self::XListenerSet => (EXPERIMENTAL_GROUP, "XListenerSet"),
            Self::Service => ("", "Service"),
            Self::ServiceEntry => (ISTIO_GROUP, "ServiceEntry"),
        }
    }

    /// Whether routes attached to it are for the proxies of the mesh.
    pub(super) const fn is_mesh(self) -> bool {
        matches!(self, Self::Service | Self::ServiceEntry)
    }
}

/// An object that routes can name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ParentKey {
    pub kind: ParentKind,
    pub namespace: String,
    pub name: String,
}

impl ParentKey {
    /// The object that `reference` of an object in `namespace` means; none if it is of a kind that is not ours.
    pub(super) fn of(reference: &ParentReference, namespace: &str) -> Option<Self> {
        let written = group_kind(reference);
        let kind = ParentKind::ALL.into_iter().find(|kind| kind.group_kind() == written)?;
        let namespace = reference.namespace.as_deref().unwrap_or(namespace).to_owned();
        Some(Self { kind, namespace, name: reference.name.clone() })
    }
}

/// The object that listeners stand in.
pub(super) struct Owner<'a> {
    pub kind: ParentKind,
    pub meta: &'a Meta,
}

impl Owner<'_> {
    pub(super) fn key(&self) -> ParentKey {
        ParentKey {
            kind: self.kind,
            namespace: self.meta.namespace.clone(),
            name: self.meta.name.clone(),
        }
    }

    /// Who refers to what the listeners name.
    pub(super) fn referrer(&self) -> (GroupKind<'static>, &str) {
        (self.kind.group_kind(), &self.meta.namespace)
    }
}

fn group_kind(reference: &ParentReference) -> GroupKind<'_> {
    (
        reference.group.as_deref().unwrap_or(GATEWAY_GROUP),
        reference.kind.as_deref().unwrap_or("Gateway"),
    )
}

/// A parent reference as a text that is the same however defaults are written. Lists of parents are ordered by it.
pub(super) fn reference_text(reference: &ParentReference, namespace: &str) -> String {
    let (group, kind) = group_kind(reference);
    let section = reference.section_name.as_deref().unwrap_or_default();
    let port = reference.port.unwrap_or_default();
    let namespace = reference.namespace.as_deref().unwrap_or(namespace);
    format!("{group}/{kind}/{}/{section}/{port}.{namespace}", reference.name)
}

/// A listener that routes can be attached to.
#[derive(Clone, Debug)]
pub(super) struct Parent {
    /// The Istio Gateway made of the listener, as VirtualServices name it, or `mesh`.
    pub internal_name: String,
    /// Kinds of routes that it takes.
    pub kinds: Vec<RouteKind>,
    /// Host names with the namespaces that may use them, as in an Istio Gateway.
    pub hosts: Vec<String>,
    /// The host name as written; empty for all.
    pub hostname: String,
    /// Name of the listener.
    pub section: String,
    /// Its port.
    pub port: u32,
    /// Its protocol.
    pub protocol: String,
    /// Host names of the other listeners of the same object on the same port that speak the same protocol.
    pub rivals: Vec<Host>,
}

impl Parent {
    /// What stands for all services.
    fn mesh() -> Self {
        Self {
            internal_name: names::MESH.to_owned(),
            kinds: vec![RouteKind::Http, RouteKind::Grpc, RouteKind::Tcp, RouteKind::Tls],
            hosts: Vec::new(),
            hostname: String::new(),
            section: String::new(),
            port: 0,
            protocol: String::new(),
            rivals: Vec::new(),
        }
    }

    /// Whether requests for `host` reach this listener: none of its siblings may be closer to it (listener isolation).
    pub(super) fn serves(&self, host: &str) -> bool {
        let (host, own) = (Host::new(host), Host::new(&self.hostname));
        if !own.is_empty() {
            if !own.is_wildcard() {
                return true;
            }
            if !host.matches(&own) {
                return false;
            }
        }
        !self.rivals.iter().any(|rival| own.len() <= rival.len() && host.is_subset_of(rival))
    }
}

/// All listeners, by the object they stand in.
pub(super) struct Parents {
    listeners: BTreeMap<ParentKey, Vec<Arc<Parent>>>,
    mesh: [Arc<Parent>; 1],
}

impl Parents {
    /// The parents for these listeners.
    pub(super) fn new(listeners: BTreeMap<ParentKey, Vec<Parent>>) -> Self {
        let settle = |(key, mut siblings): (ParentKey, Vec<Parent>)| {
            find_rivals(&mut siblings);
            (key, siblings.into_iter().map(Arc::new).collect())
        };
        let listeners = listeners.into_iter().map(settle).collect();
        Self { listeners, mesh: [Arc::new(Parent::mesh())] }
    }

    fn get(&self, key: &ParentKey) -> &[Arc<Parent>] {
        if key.kind.is_mesh() {
            return &self.mesh;
        }
        self.listeners.get(key).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Tells each listener the host names of the others on its port that speak its protocol.
fn find_rivals(siblings: &mut [Parent]) {
    let mut hostnames: BTreeMap<(u32, String), Vec<Host>> = BTreeMap::new();
    for it in &*siblings {
        hostnames.entry((it.port, it.protocol.clone())).or_default().push(Host::new(&it.hostname));
    }
    for it in siblings {
        let all = hostnames.get(&(it.port, it.protocol.clone())).into_iter().flatten();
        it.rivals = all.filter(|other| other.as_str() != it.hostname).cloned().collect();
    }
}

/// A route and one of the listeners that a parent reference of it means.
pub(super) struct Attachment<'a> {
    /// Which parent reference, counted from 0.
    pub position: usize,
    /// The reference.
    pub reference: &'a ParentReference,
    /// The object it means.
    pub key: ParentKey,
    /// The listener.
    pub parent: Arc<Parent>,
    /// Why the route is not attached after all.
    pub denied: Option<Refusal>,
}

/// Everything that `route` asks to be attached to, in the order of the references' texts.
pub(super) fn attach<'a>(
    world: &World<'_>,
    parents: &Parents,
    route: &RouteView<'a>,
) -> Vec<Attachment<'a>> {
    let namespace = route.meta.namespace.as_str();
    let mut attachments = Vec::new();
    for (position, reference) in route.parent_refs.iter().enumerate() {
        let Some(key) = ParentKey::of(reference, namespace) else { continue };
        for parent in parents.get(&key) {
            let denied = check(world, route, reference, &key, parent);
            let parent = Arc::clone(parent);
            attachments.push(Attachment { position, reference, key: key.clone(), parent, denied });
        }
    }
    attachments.sort_by_cached_key(|it| reference_text(it.reference, namespace));
    attachments
}

impl Attachment<'_> {
    pub(super) fn is_mesh(&self) -> bool {
        self.key.kind.is_mesh()
    }
}

fn check(
    world: &World<'_>,
    route: &RouteView<'_>,
    reference: &ParentReference,
    key: &ParentKey,
    parent: &Parent,
) -> Option<Refusal> {
    let missing = |what: &str| {
        Some(Refusal::new("NoMatchingParent", format!("parent {what}: {:?} not found", key.name)))
    };
    let refusal = match key.kind {
        ParentKind::Service if world.service(&key.namespace, &key.name).is_none() => {
            missing("service")
        }
        ParentKind::ServiceEntry if world.service_entry(&key.namespace, &key.name).is_none() => {
            missing("service entry")
        }
        ParentKind::Service | ParentKind::ServiceEntry => None,
        _ => check_listener(reference, parent).or_else(|| check_hosts(route, parent)),
    };
    refusal.or_else(|| {
        let message = || format!("kind {} is not allowed", route.kind.group_version_kind());
        (!parent.kinds.contains(&route.kind))
            .then(|| Refusal::new("NotAllowedByListeners", message()))
    })
}

fn check_listener(reference: &ParentReference, parent: &Parent) -> Option<Refusal> {
    let refuse = |message: String| Some(Refusal::new("NoMatchingParent", message));
    if let Some(port) =
        reference.port.filter(|port| *port != 0 && u32::try_from(*port) != Ok(parent.port))
    {
        return refuse(format!("port {port} not found"));
    }
    let section = reference.section_name.as_deref().filter(|section| !section.is_empty());
    section
        .filter(|it| *it != parent.section)
        .and_then(|it| refuse(format!("sectionName {it:?} not found")))
}

/// One host name of the route must be one of the listener's; the rest of them is passed over when it is served.
fn check_hosts(route: &RouteView<'_>, parent: &Parent) -> Option<Refusal> {
    let any = [Host::ANY.to_owned()];
    let hostnames = if route.hostnames.is_empty() { &any } else { route.hostnames };
    let namespace = route.meta.namespace.as_str();
    let mut host_matched = false;
    for host in &parent.hosts {
        let (allowed, host) = host.split_once('/').unwrap_or(("*", host));
        let host = Host::new(host);
        if hostnames.iter().any(|it| host.matches(&Host::new(it))) {
            host_matched = true;
            if allowed == "*" || allowed == namespace {
                return None;
            }
        }
    }
    let hostname = &parent.hostname;
    Some(if host_matched {
        let message = format!(
            "hostnames matched parent hostname {hostname:?}, but namespace {namespace:?} is not allowed by the parent"
        );
        Refusal::new("NotAllowedByListeners", message)
    } else {
        Refusal::new(
            "NoMatchingListenerHostname",
            format!("no hostnames matched parent hostname {hostname:?}"),
        )
    })
}
