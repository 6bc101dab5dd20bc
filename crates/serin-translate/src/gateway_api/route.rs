//! What the four kinds of routes have in common: how they are attached, what their status says, and what becomes of them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use serin_api::gateway_api::{GrpcRoute, HttpRoute, ParentReference, TcpRoute, TlsRoute};
use serin_api::networking::VirtualService;
use serin_api::{Meta, Object, ObjectRef, Resource};

use super::backend::Backend;
use super::condition::Refusal;
use super::grants::GroupKind;
use super::merge::{self, Piece};
use super::parent::{self, Attachment, GATEWAY_GROUP, ParentKey, ParentKind, Parents};
use super::status::Outcome;
use super::world::World;
use super::{http_route, notice, route_status, rule, stream_route};
use crate::host::Host;

/// The kinds of routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RouteKind {
    Http,
    Grpc,
    Tls,
    Tcp,
}

impl RouteKind {
    pub(super) const GROUP: &'static str = GATEWAY_GROUP;

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Http => HttpRoute::KIND,
            Self::Grpc => GrpcRoute::KIND,
            Self::Tls => TlsRoute::KIND,
            Self::Tcp => TcpRoute::KIND,
        }
    }

    pub(super) const fn group_kind(self) -> GroupKind<'static> {
        (Self::GROUP, self.name())
    }

    pub(super) fn group_version_kind(self) -> String {
        format!("{}/v1/{}", Self::GROUP, self.name())
    }
}

/// The parts of a route that are the same for all kinds.
pub(super) struct RouteView<'a> {
    pub kind: RouteKind,
    pub object: ObjectRef,
    pub meta: &'a Meta,
    pub parent_refs: &'a [ParentReference],
    pub hostnames: &'a [String],
    pub status: &'a Value,
}

impl<'a> RouteView<'a> {
    fn new<T: Resource>(
        kind: RouteKind,
        object: &'a Object<T>,
        parent_refs: &'a [ParentReference],
        hostnames: &'a [String],
    ) -> Self {
        Self {
            kind,
            object: object.reference(),
            meta: &object.meta,
            parent_refs,
            hostnames,
            status: &object.status,
        }
    }

    /// Hosts of the VirtualServices for one attachment. `any` stands for the hosts of a route that names none.
    pub(super) fn hosts(&self, world: &World<'_>, attachment: &Attachment<'_>) -> Vec<String> {
        let key = &attachment.key;
        match key.kind {
            ParentKind::Service => vec![world.host_of_service(&key.name, &key.namespace)],
            ParentKind::ServiceEntry => world
                .service_entry(&key.namespace, &key.name)
                .map(|it| it.spec.hosts.clone())
                .unwrap_or_default(),
            _ if self.hostnames.is_empty() => vec![Host::ANY.to_owned()],
            _ => self.hostnames.to_vec(),
        }
    }
}

/// A rule of a route as far as it could be translated.
pub(super) struct Translated<T> {
    pub rule: T,
    /// What of it could not be; the rest serves.
    pub refusal: Option<Refusal>,
}

/// The rules of a route for one sort of parents.
pub(super) struct Rules<T> {
    pub rules: Vec<T>,
    pub refusal: Option<Refusal>,
}

impl<T> Default for Rules<T> {
    fn default() -> Self {
        Self { rules: Vec::new(), refusal: None }
    }
}

impl<T> FromIterator<Result<Translated<T>, Refusal>> for Rules<T> {
    /// All rules, or none of them if one is refused as a whole. The last refusal is the one that is reported.
    fn from_iter<I: IntoIterator<Item = Result<Translated<T>, Refusal>>>(translated: I) -> Self {
        let mut all = Self::default();
        for result in translated {
            match result {
                Ok(one) => {
                    all.rules.push(one.rule);
                    all.refusal = one.refusal.or(all.refusal);
                }
                Err(refusal) => return Self { rules: Vec::new(), refusal: Some(refusal) },
            }
        }
        all
    }
}

/// A route, attached and translated.
pub(super) struct Attached<'a, T> {
    /// Where it serves, in the order in which VirtualServices are made.
    pub attachments: Vec<Attachment<'a>>,
    mesh: Rules<T>,
    gateway: Rules<T>,
}

impl<T> Attached<'_, T> {
    /// The rules as this attachment has them: the mesh and gateways differ in which backends they may use.
    pub(super) fn rules(&self, attachment: &Attachment<'_>) -> &[T] {
        if attachment.is_mesh() { &self.mesh.rules } else { &self.gateway.rules }
    }
}

/// A backend that a route names, of whatever kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BackendKey {
    pub group: String,
    pub kind: String,
    pub namespace: String,
    pub name: String,
}

/// Namespace and name.
pub(super) type Name = (String, String);

/// What becomes of all routes.
#[derive(Default)]
pub(super) struct Routes {
    pub virtual_services: Vec<Object<VirtualService>>,
    /// The routes attached to each listener.
    pub attached: BTreeMap<(ParentKey, String), BTreeSet<(RouteKind, Name)>>,
    /// The Gateways whose routes name a backend.
    pub ancestors: BTreeMap<BackendKey, BTreeSet<Name>>,
}

/// Translates all routes.
pub(super) fn convert(world: &World<'_>, parents: &Parents, outcome: &mut Outcome) -> Routes {
    let mut pass = Pass { world, parents, outcome, routes: Routes::default() };
    let mut pieces: Vec<Piece<'_>> = Vec::new();
    for object in &world.input.objects.http_routes {
        let view = RouteView::new(
            RouteKind::Http,
            object,
            &object.spec.parent_refs,
            &object.spec.hostnames,
        );
        let rules = rule::of_http(&object.spec);
        let sessions =
            object.spec.rules.iter().flatten().map(|it| it.session_persistence.is_some());
        notice::of_sessions(&view.object, sessions, pass.outcome);
        pieces.extend(pass.requests(&view, &rules));
    }
    for object in &world.input.objects.grpc_routes {
        let view = RouteView::new(
            RouteKind::Grpc,
            object,
            &object.spec.parent_refs,
            &object.spec.hostnames,
        );
        let rules = rule::of_grpc(&object.spec);
        let sessions = object.spec.rules.iter().map(|it| it.session_persistence.is_some());
        notice::of_sessions(&view.object, sessions, pass.outcome);
        pieces.extend(pass.requests(&view, &rules));
    }
    pass.routes.virtual_services.extend(merge::merge(pieces));
    for object in &world.input.objects.tls_routes {
        let view = RouteView::new(
            RouteKind::Tls,
            object,
            &object.spec.parent_refs,
            &object.spec.hostnames,
        );
        pass.add_ancestors(&view, stream_route::backends(&object.spec.rules));
        let translate = |mesh| {
            object
                .spec
                .rules
                .iter()
                .map(|it| stream_route::translate_tls(world, &view, it, mesh))
                .collect()
        };
        let attached = pass.attach(&view, translate);
        pass.routes.virtual_services.extend(stream_route::tls(world, &view, &attached));
    }
    for object in &world.input.objects.tcp_routes {
        let view = RouteView::new(RouteKind::Tcp, object, &object.spec.parent_refs, &[]);
        pass.add_ancestors(&view, stream_route::backends(&object.spec.rules));
        let translate = |mesh| {
            object
                .spec
                .rules
                .iter()
                .map(|it| stream_route::translate_tcp(world, &view, it, mesh))
                .collect()
        };
        let attached = pass.attach(&view, translate);
        pass.routes.virtual_services.extend(stream_route::tcp(world, &view, &attached));
    }
    pass.routes
}

struct Pass<'p, 'w> {
    world: &'p World<'w>,
    parents: &'p Parents,
    outcome: &'p mut Outcome,
    routes: Routes,
}

impl Pass<'_, '_> {
    /// A route for HTTP requests.
    fn requests<'r>(&mut self, view: &RouteView<'r>, rules: &[rule::Rule<'_>]) -> Vec<Piece<'r>> {
        self.add_ancestors(
            view,
            rules.iter().flat_map(|it| it.backends.iter().map(|it| it.backend)),
        );
        let world = self.world;
        let attached = self.attach(view, |mesh| {
            rules.iter().map(|it| http_route::translate(world, view, it, mesh)).collect()
        });
        http_route::pieces(world, view, &attached)
    }

    /// Attaches a route and reports its status.
    fn attach<'r, T>(
        &mut self,
        view: &RouteView<'r>,
        translate: impl Fn(bool) -> Rules<T>,
    ) -> Attached<'r, T> {
        let mut attachments = parent::attach(self.world, self.parents, view);
        let rules = |mesh| {
            if attachments.iter().any(|it| it.is_mesh() == mesh) {
                translate(mesh)
            } else {
                Rules::default()
            }
        };
        let (mesh, gateway) = (rules(true), rules(false));
        let refusal =
            |it: &Attachment<'_>| if it.is_mesh() { &mesh } else { &gateway }.refusal.as_ref();
        let parents =
            route_status::parents(self.world.report(view.meta), view, &attachments, &refusal);
        notice::of_route(view, &attachments, &refusal, self.outcome);
        self.outcome.push(view.object.clone(), view.status, |status| {
            status.insert("parents".to_owned(), parents);
        });
        attachments.retain(|it| it.denied.is_none());
        attachments.sort_by(|one, other| one.parent.internal_name.cmp(&other.parent.internal_name));
        let name = || (view.meta.namespace.clone(), view.meta.name.clone());
        for it in attachments.iter().filter(|it| !it.is_mesh()) {
            let listener = (it.key.clone(), it.parent.section.clone());
            self.routes.attached.entry(listener).or_default().insert((view.kind, name()));
        }
        Attached { attachments, mesh, gateway }
    }

    fn add_ancestors<'b>(
        &mut self,
        view: &RouteView<'_>,
        backends: impl Iterator<Item = Backend<'b>>,
    ) {
        let own = view.meta.namespace.as_str();
        let keys = view.parent_refs.iter().filter_map(|it| ParentKey::of(it, own));
        let gateways: Vec<_> = keys.filter(|it| it.kind == ParentKind::Gateway).collect();
        if gateways.is_empty() {
            return;
        }
        for backend in backends {
            let (group, kind) = backend.group_kind();
            let key = BackendKey {
                group: group.to_owned(),
                kind: kind.to_owned(),
                namespace: backend.namespace.unwrap_or(own).to_owned(),
                name: backend.name.to_owned(),
            };
            let names = gateways.iter().map(|it| (it.namespace.clone(), it.name.clone()));
            self.routes.ancestors.entry(key).or_default().extend(names);
        }
    }
}
