//! Gateways and ListenerSets: each listener becomes an Istio Gateway with one server, and something that routes can be
//! attached to.

mod report;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use serin_api::gateway_api::{
    FromNamespaces, FrontendTlsValidation, Gateway, Listener, ListenerEntry, ListenerSet,
    XListenerSet,
};
use serin_api::networking;
use serin_api::{Meta, Object, ObjectRef, Resource};

use super::address::{self, Services};
use super::class::{self, Class};
use super::conflict::{self, Conflicts};
use super::listener::{self, Verdict};
use super::parent::{GATEWAY_GROUP, Owner, Parent, ParentKey, ParentKind, Parents};
use super::status::Outcome;
use super::world::World;
use super::{names, route};

/// What becomes of all Gateways and ListenerSets.
pub(super) struct Edge<'a> {
    pub gateways: Vec<Object<networking::Gateway>>,
    pub parents: Parents,
    pub statuses: Statuses<'a>,
}

/// Statuses that only lack the routes attached.
pub(super) struct Statuses<'a>(Vec<Draft<'a>>);

enum Draft<'a> {
    Remote(&'a Object<Gateway>),
    Gateway(Box<GatewayDraft<'a>>),
    Set(Box<SetDraft<'a>>),
}

struct GatewayDraft<'a> {
    object: &'a Object<Gateway>,
    class: Class,
    services: Services,
    listeners: Listeners,
    /// Ports of valid listeners that ListenerSets add.
    added_ports: BTreeSet<u32>,
    /// ListenerSets with a valid listener.
    attached_sets: usize,
}

struct SetDraft<'a> {
    set: SetView<'a>,
    verdict: SetVerdict<'a>,
}

enum SetVerdict<'a> {
    /// The class of the Gateway takes no ListenerSets.
    Unsupported(&'a str),
    /// The Gateway does not take this one.
    NotAllowed,
    Attached {
        gateway: &'a Object<Gateway>,
        class: Class,
        listeners: Listeners,
    },
}

/// Listeners of one object, looked at.
#[derive(Default)]
struct Listeners {
    verdicts: Vec<Verdict>,
    /// Ports of those that do not conflict.
    ports: BTreeSet<u32>,
    /// How many can serve.
    valid: usize,
}

/// A ListenerSet of either kind.
struct SetView<'a> {
    kind: ParentKind,
    object: ObjectRef,
    meta: &'a Meta,
    spec: &'a ListenerSet,
    status: &'a Value,
    listeners: Vec<Listener>,
}

impl<'a> SetView<'a> {
    fn new<T: Resource>(kind: ParentKind, object: &'a Object<T>, spec: &'a ListenerSet) -> Self {
        let listeners = spec.listeners.iter().map(listener_of).collect();
        Self {
            kind,
            object: object.reference(),
            meta: &object.meta,
            spec,
            status: &object.status,
            listeners,
        }
    }

    const fn owner(&self) -> Owner<'a> {
        Owner { kind: self.kind, meta: self.meta }
    }

    fn is_for(&self, gateway: &Meta) -> bool {
        self.spec.parent_ref.as_ref().is_some_and(|it| {
            it.group.as_deref().is_none_or(|group| group == GATEWAY_GROUP)
                && it.kind.as_deref().is_none_or(|kind| kind == Gateway::KIND)
                && it.name == gateway.name
                && it.namespace.as_deref().unwrap_or(&self.meta.namespace) == gateway.namespace
        })
    }
}

fn listener_of(entry: &ListenerEntry) -> Listener {
    Listener {
        name: entry.name.clone(),
        hostname: entry.hostname.clone(),
        port: entry.port,
        protocol: entry.protocol.clone(),
        tls: entry.tls.clone(),
        allowed_routes: entry.allowed_routes.clone(),
    }
}

/// ListenerSets of both kinds, oldest first.
fn sets<'a>(world: &World<'a>) -> Vec<SetView<'a>> {
    let stable = world.input.objects.listener_sets.iter();
    let stable = stable.map(|it| SetView::new(ParentKind::ListenerSet, it, &it.spec));
    let experimental = world.input.objects.x_listener_sets.iter();
    let experimental =
        experimental.map(|it| SetView::new(ParentKind::XListenerSet, it, inner(&it.spec)));
    let mut all: Vec<_> = stable.chain(experimental).collect();
    all.sort_by(|one, other| {
        let key =
            |it: &SetView<'a>| (&it.meta.creation_timestamp, &it.meta.namespace, &it.meta.name);
        key(one).cmp(&key(other))
    });
    all
}

const fn inner(set: &XListenerSet) -> &ListenerSet {
    &set.0
}

/// Looks at all Gateways and the ListenerSets attached to them.
pub(super) fn convert<'a>(world: &World<'a>) -> Edge<'a> {
    let mut edge = Pass::default();
    let mut sets = sets(world);
    for object in &world.input.objects.kubernetes_gateways {
        let object: &'a Object<Gateway> = object;
        let Some(class) = class::find(world, &object.spec.gateway_class_name) else { continue };
        let own: Vec<_> = sets.extract_if(.., |it| it.is_for(&object.meta)).collect();
        if class == Class::Remote {
            edge.drafts.push(Draft::Remote(object));
        } else {
            edge.add(world, object, class, own);
        }
    }
    let Pass { gateways, listeners, drafts } = edge;
    Edge { gateways, parents: Parents::new(listeners), statuses: Statuses(drafts) }
}

#[derive(Default)]
struct Pass<'a> {
    gateways: Vec<Object<networking::Gateway>>,
    listeners: BTreeMap<ParentKey, Vec<Parent>>,
    drafts: Vec<Draft<'a>>,
}

impl<'a> Pass<'a> {
    fn add(
        &mut self,
        world: &World<'a>,
        object: &'a Object<Gateway>,
        class: Class,
        sets: Vec<SetView<'a>>,
    ) {
        let services = address::services(object, class, world.input.domain);
        let mut draft = GatewayDraft {
            object,
            class,
            services,
            listeners: Listeners::default(),
            added_ports: BTreeSet::new(),
            attached_sets: 0,
        };
        let (allowed, refused) = partition(world, object, class, sets);
        let conflicts = conflicts(object, &allowed);
        // Without a service there is no proxy to listen.
        if !draft.services.hosts.is_empty() {
            let owner = Owner { kind: ParentKind::Gateway, meta: &object.meta };
            let listeners = &object.spec.listeners;
            draft.listeners = self.listen(world, &draft, &owner, listeners, &conflicts);
        }
        for set in allowed {
            let listeners = self.listen(world, &draft, &set.owner(), &set.listeners, &conflicts);
            if listeners.valid > 0 {
                draft.attached_sets += 1;
                draft.added_ports.extend(&listeners.ports);
            }
            let verdict = SetVerdict::Attached { gateway: object, class, listeners };
            self.drafts.push(Draft::Set(Box::new(SetDraft { set, verdict })));
        }
        self.drafts.extend(refused.into_iter().map(|it| Draft::Set(Box::new(it))));
        self.drafts.push(Draft::Gateway(Box::new(draft)));
    }

    /// Looks at listeners of the Gateway or of a ListenerSet of it, and makes what they become.
    fn listen(
        &mut self,
        world: &World<'a>,
        draft: &GatewayDraft<'a>,
        owner: &Owner<'_>,
        listeners: &[Listener],
        conflicts: &Conflicts,
    ) -> Listeners {
        let mut all = Listeners::default();
        for it in listeners {
            if let Some(reason) = conflicts.get(&(owner.key(), it.name.clone())) {
                all.verdicts.push(listener::conflicted(it, reason));
                continue;
            }
            let built =
                listener::build(world, owner, draft.class, it, client_validation(draft.object, it));
            all.ports.extend(u32::try_from(it.port));
            all.valid += usize::from(built.valid);
            all.verdicts.push(built.verdict);
            // Proxies that speak HBONE are not configured by Istio Gateways.
            if !draft.class.is_tunnel() {
                let gateway = istio_gateway(draft, owner, it, built.server);
                self.listeners.entry(owner.key()).or_default().push(parent(it, &gateway));
                if built.valid {
                    self.gateways.push(gateway);
                }
            }
        }
        all
    }
}

impl Statuses<'_> {
    /// Reports the status of every Gateway and ListenerSet.
    pub(super) fn report(self, world: &World<'_>, routes: &route::Routes, outcome: &mut Outcome) {
        for draft in self.0 {
            match draft {
                Draft::Remote(object) => report::remote(world, object, outcome),
                Draft::Gateway(draft) => draft.report(world, routes, outcome),
                Draft::Set(draft) => draft.report(world, routes, outcome),
            }
        }
    }
}

/// The ListenerSets that the Gateway takes, and a verdict on those that it does not take.
fn partition<'a>(
    world: &World<'a>,
    object: &'a Object<Gateway>,
    class: Class,
    sets: Vec<SetView<'a>>,
) -> (Vec<SetView<'a>>, Vec<SetDraft<'a>>) {
    let (mut allowed, mut refused) = (Vec::new(), Vec::new());
    for set in sets {
        if !class.takes_listener_sets() {
            let verdict = SetVerdict::Unsupported(&object.spec.gateway_class_name);
            refused.push(SetDraft { set, verdict });
        } else if takes_sets_of(world, object, &set.meta.namespace) {
            allowed.push(set);
        } else {
            refused.push(SetDraft { set, verdict: SetVerdict::NotAllowed });
        }
    }
    (allowed, refused)
}

fn takes_sets_of(world: &World<'_>, gateway: &Object<Gateway>, namespace: &str) -> bool {
    let allowed = gateway.spec.allowed_listeners.as_ref().and_then(|it| it.namespaces.as_ref());
    let Some(allowed) = allowed else { return false };
    match allowed.from {
        Some(FromNamespaces::All) => true,
        Some(FromNamespaces::Same) => namespace == gateway.meta.namespace,
        Some(FromNamespaces::None) => false,
        Some(FromNamespaces::Selector) | None => {
            let labels = world.namespace(namespace);
            allowed
                .selector
                .as_ref()
                .zip(labels)
                .is_some_and(|(selector, labels)| selector.matches(labels))
        }
    }
}

fn conflicts(object: &Object<Gateway>, sets: &[SetView<'_>]) -> Conflicts {
    let key = Owner { kind: ParentKind::Gateway, meta: &object.meta }.key();
    let keys: Vec<ParentKey> = sets.iter().map(|it| it.owner().key()).collect();
    let own = object.spec.listeners.iter().map(|it| (&key, it));
    let added =
        keys.iter().zip(sets).flat_map(|(key, set)| set.listeners.iter().map(move |it| (key, it)));
    conflict::find(own.chain(added))
}

/// How clients of a listener are checked: as the Gateway says for its port, or else for all.
fn client_validation<'g>(
    gateway: &'g Object<Gateway>,
    listener: &Listener,
) -> Option<&'g FrontendTlsValidation> {
    let frontend = gateway.spec.tls.as_ref()?.frontend.as_ref()?;
    let of_port =
        frontend.per_port.iter().find(|it| it.port == listener.port).map(|it| it.tls.as_ref());
    of_port.unwrap_or(frontend.default.as_ref())?.validation.as_ref()
}

fn istio_gateway(
    draft: &GatewayDraft<'_>,
    owner: &Owner<'_>,
    listener: &Listener,
    server: networking::Server,
) -> Object<networking::Gateway> {
    let (_, kind) = owner.kind.group_kind();
    let mut meta = Meta {
        name: names::gateway(&owner.meta.name, &listener.name),
        namespace: owner.meta.namespace.clone(),
        creation_timestamp: owner.meta.creation_timestamp.clone(),
        ..Meta::default()
    };
    let mut annotate = |key: &str, value: String| meta.annotations.insert(key.to_owned(), value);
    annotate(names::PARENTS, names::parent_listener(kind, owner.meta, &listener.name));
    annotate(names::GATEWAY_SEMANTICS, names::SEMANTICS.to_owned());
    annotate(names::GATEWAY_SERVICE, draft.services.hosts.join(","));
    annotate(names::SERVICE_ACCOUNT, draft.services.account.clone());
    if owner.kind != ParentKind::Gateway {
        annotate(names::PARENT_NAMESPACE, draft.object.meta.namespace.clone());
    }
    let spec = networking::Gateway { servers: vec![server], ..networking::Gateway::default() };
    Object { api_version: "networking.istio.io/v1".to_owned(), meta, spec, ..Object::default() }
}

fn parent(listener: &Listener, gateway: &Object<networking::Gateway>) -> Parent {
    let (kinds, _) = listener::supported_kinds(listener);
    Parent {
        internal_name: format!("{}/{}", gateway.meta.namespace, gateway.meta.name),
        kinds,
        hosts: gateway.spec.servers.iter().flat_map(|it| it.hosts.clone()).collect(),
        hostname: listener.hostname.clone().unwrap_or_default(),
        section: listener.name.clone(),
        port: u32::try_from(listener.port).unwrap_or_default(),
        protocol: listener.protocol.clone(),
        rivals: Vec::new(),
    }
}
