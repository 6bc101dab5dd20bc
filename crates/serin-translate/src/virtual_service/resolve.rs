//! From VirtualServices as written to resolved ones, remembering what was resolved before.

mod names;

use std::collections::HashMap;
use std::sync::Arc;

use serin_api::networking::{HttpRoute, VirtualService};
use serin_api::{FieldPath, Finding, Object};
use serin_routing::model::Origin;

use super::delegate::{Conflict, MatchSource, merge_route};
use names::{destinations, resolve_names};

use super::{GatewayName, HttpRule, ResolvedVirtualService, Semantics, cohort};
use crate::codes::{DELEGATE_CONFLICT, DELEGATE_UNUSABLE};
use crate::host::Host;
use crate::snapshot::{List, order, position};
use crate::visibility::Visibility;

type Written = Arc<Object<VirtualService>>;

/// What the mesh decides about names and visibility.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NameSettings {
    /// The domain of Kubernetes services: `cluster.local`.
    pub(crate) cluster_domain: String,
    /// `exportTo` of VirtualServices that have none (`defaultVirtualServiceExportTo`).
    pub(crate) export_to: Vec<String>,
}

/// VirtualServices that are not delegates, in the order of their objects.
pub(crate) type Resolved = Arc<Vec<Arc<ResolvedVirtualService>>>;

/// More changes than this are not made one by one.
const MANY: usize = 256;

/// Resolves VirtualServices. It remembers the results, so that what has not changed is not done again and is the same `Arc` as
/// before.
#[derive(Debug, Default)]
pub(crate) struct Resolver {
    settings: NameSettings,
    objects: List<VirtualService>,
    resolved: Resolved,
    delegates: DelegateIndex,
    /// By the address of the object.
    known: HashMap<usize, Known>,
}

/// What was resolved and from what. Holding the object keeps its address from being used again.
#[derive(Debug)]
struct Known {
    object: Written,
    delegates: Vec<Delegate>,
    resolved: Arc<ResolvedVirtualService>,
}

/// The delegate of a rule of a root.
#[derive(Clone, Debug)]
struct Delegate {
    namespace: String,
    name: String,
    object: Option<Written>,
}

/// VirtualServices without hosts, by namespace and name.
type DelegateIndex = HashMap<(String, String), Written>;

impl Resolver {
    /// Resolves `objects`. Delegates, which have no hosts, are not among the results.
    pub(crate) fn resolve(
        &mut self,
        objects: &List<VirtualService>,
        settings: &NameSettings,
    ) -> Resolved {
        if self.settings != *settings {
            *self = Self { settings: settings.clone(), ..Self::default() };
        }
        let changes = self.objects.changes(objects);
        let is_delegate = |it: &Written| it.spec.hosts.is_empty();
        let touches_delegates = changes
            .iter()
            .any(|(old, new)| [old, new].into_iter().flatten().any(|it| is_delegate(it)));
        if touches_delegates || changes.len() > MANY || self.objects.is_empty() {
            self.resolve_all(objects);
        } else {
            let changes: Vec<_> =
                changes.into_iter().map(|(old, new)| (old.cloned(), new.cloned())).collect();
            for (old, new) in changes {
                self.exchange(old.as_ref(), new.as_ref());
            }
        }
        self.objects = objects.clone();
        Arc::clone(&self.resolved)
    }

    fn resolve_all(&mut self, objects: &[Written]) {
        let (roots, delegates): (Vec<_>, Vec<_>) =
            objects.iter().partition(|it| !it.spec.hosts.is_empty());
        let name = |it: &Written| (it.meta.namespace.clone(), it.meta.name.clone());
        self.delegates = delegates.into_iter().map(|it| (name(it), Arc::clone(it))).collect();
        let mut known = HashMap::with_capacity(roots.len());
        let mut resolved = Vec::with_capacity(roots.len());
        for root in roots {
            let address = Arc::as_ptr(root).addr();
            let before = self.known.remove(&address);
            let is_same = |it: &Known| it.has_same_delegates(&self.delegates);
            let now = before.filter(is_same).unwrap_or_else(|| self.resolve_one(root));
            resolved.push(Arc::clone(&now.resolved));
            known.insert(address, now);
        }
        self.known = known;
        self.resolved = Arc::new(resolved);
    }

    /// Takes a root out and puts one in.
    fn exchange(&mut self, old: Option<&Written>, new: Option<&Written>) {
        let place = old.and_then(|old| position(&self.resolved, old, |it| &it.object));
        if let Some(old) = old {
            self.known.remove(&Arc::as_ptr(old).addr());
        }
        let new = new.map(|new| self.resolve_one(new));
        let list = Arc::make_mut(&mut self.resolved);
        let resolved = new.as_ref().map(|new| Arc::clone(&new.resolved));
        match (place, resolved) {
            (Some(place), Some(resolved))
                if order(&list[place].object, &resolved.object).is_eq() =>
            {
                list[place] = resolved;
            }
            (place, resolved) => {
                if let Some(place) = place {
                    list.remove(place);
                }
                if let Some(new) = resolved {
                    let place = list.partition_point(|it| order(&it.object, &new.object).is_le());
                    list.insert(place, new);
                }
            }
        }
        if let Some(new) = new {
            self.known.insert(Arc::as_ptr(&new.object).addr(), new);
        }
    }

    fn resolve_one(&self, root: &Written) -> Known {
        let delegates = find_delegates(root, &self.delegates);
        let resolved = Arc::new(resolve(root, &delegates, &self.settings));
        Known { object: Arc::clone(root), delegates, resolved }
    }
}

impl Known {
    fn has_same_delegates(&self, index: &DelegateIndex) -> bool {
        self.delegates.iter().all(|delegate| {
            let now = index.get(&(delegate.namespace.clone(), delegate.name.clone()));
            delegate.object.as_ref().map(Arc::as_ptr) == now.map(Arc::as_ptr)
        })
    }
}

/// The delegates of the rules that have one, in order.
fn find_delegates(root: &Written, index: &DelegateIndex) -> Vec<Delegate> {
    let delegates = root.spec.http.iter().filter_map(|rule| rule.delegate.as_ref());
    delegates
        .map(|delegate| {
            let namespace = match &*delegate.namespace {
                "" => root.meta.namespace.clone(),
                namespace => namespace.to_owned(),
            };
            let name = delegate.name.clone();
            let object = index.get(&(namespace.clone(), name.clone())).cloned();
            Delegate { namespace, name, object }
        })
        .collect()
}

fn resolve(
    object: &Written,
    delegates: &[Delegate],
    settings: &NameSettings,
) -> ResolvedVirtualService {
    let semantics = Semantics::of(&object.meta);
    // What is made from the Gateway API has full names already, among them hosts without a dot that are not short names.
    let names = (semantics != Semantics::Gateway).then_some(settings);
    let spec = resolve_names(object, names);
    let mut findings = Vec::new();
    let mut delegates = delegates.iter();
    let mut http = Vec::with_capacity(spec.http.len());
    for (index, route) in spec.http.into_iter().enumerate() {
        let origin = origin(object, index);
        if route.delegate.is_none() {
            http.push(HttpRule::new(route, &origin));
        } else if let Some(delegate) = delegates.next() {
            let root = RootRule { object, index, route: &route, origin };
            match usable_delegate(&root, delegate, settings) {
                Ok(leaf) => http.extend(merge_rules(&root, leaf, settings, &mut findings)),
                Err(finding) => findings.push(*finding),
            }
        }
    }
    let hosts = spec.hosts.iter().map(|host| Host::new(host)).collect();
    let gateways = match &*spec.gateways {
        [] => vec![GatewayName::mesh()],
        names => {
            names.iter().map(|name| GatewayName::resolve(name, &object.meta.namespace)).collect()
        }
    };
    let destinations = destinations(&http);
    let cohort = cohort::cohort(&object.reference(), &object.meta).unwrap_or_else(|finding| {
        findings.push(*finding);
        None
    });
    let visibility =
        Visibility::new(&object.spec.export_to, &object.meta.namespace, &settings.export_to);
    ResolvedVirtualService {
        object: Arc::clone(object),
        semantics,
        visibility,
        hosts,
        gateways,
        http,
        tls: spec.tls,
        tcp: spec.tcp,
        destinations,
        cohort,
        findings,
    }
}

impl HttpRule {
    /// A rule of an object itself, not of a delegate.
    fn new(route: HttpRoute, origin: &Origin) -> Self {
        let origins = match route.matches.len() {
            0 => vec![origin.clone()],
            count => (0..count).map(|index| origin.with_match(Some(index))).collect(),
        };
        Self { route, origins }
    }
}

/// A root's rule that names a delegate.
struct RootRule<'a> {
    object: &'a Written,
    index: usize,
    route: &'a HttpRoute,
    origin: Origin,
}

impl RootRule<'_> {
    fn field(&self) -> FieldPath {
        FieldPath::spec().key("http").index(self.index)
    }
}

/// The delegate's object, if the root may use it.
fn usable_delegate<'a>(
    root: &RootRule<'_>,
    delegate: &'a Delegate,
    settings: &NameSettings,
) -> Result<&'a Written, Box<Finding>> {
    let Delegate { namespace, name, object } = delegate;
    let unusable = |why: String, help: String| {
        let field = root.field().key("delegate");
        DELEGATE_UNUSABLE.finding(&root.object.reference(), field, why).with_help(help)
    };
    let Some(object) = object else {
        return Err(Box::new(unusable(
            format!(
                "the rule has no effect: there is no delegate VirtualService {namespace}/{name}"
            ),
            format!("create a VirtualService {name} without hosts in namespace {namespace}"),
        )));
    };
    let home = &root.object.meta.namespace;
    if Visibility::new(&object.spec.export_to, namespace, &settings.export_to).includes(home) {
        Ok(object)
    } else {
        let label = format!("namespace {home} is not in this list");
        let exported = FieldPath::spec().key("exportTo");
        Err(Box::new(
            unusable(
                format!("the rule has no effect: the delegate {namespace}/{name} is not exported to namespace {home}"),
                format!("add {home} to exportTo of {namespace}/{name}"),
            )
            .with_related(&object.reference(), exported, label),
        ))
    }
}

/// The delegate's rules as they hold under the root's. Rules that conflict are left out, with a finding on either side.
fn merge_rules(
    root: &RootRule<'_>,
    leaf: &Written,
    settings: &NameSettings,
    findings: &mut Vec<Finding>,
) -> Vec<HttpRule> {
    let mut rules = Vec::new();
    for (index, route) in resolve_names(leaf, Some(settings)).http.iter().enumerate() {
        if route.delegate.is_some() {
            findings.push(nested(leaf, index));
            continue;
        }
        match merge_route(root.route, route) {
            Ok((route, sources)) => {
                let origins = merged_origins(root, &origin(leaf, index), &sources);
                rules.push(HttpRule { route, origins });
            }
            Err(conflict) => findings.extend(conflict_findings(root, leaf, index, &conflict)),
        }
    }
    rules
}

fn merged_origins(root: &RootRule<'_>, leaf: &Origin, sources: &[MatchSource]) -> Vec<Origin> {
    let of_source = |source: &MatchSource| Origin {
        root: Some(Arc::new(root.origin.with_match(source.root))),
        ..leaf.with_match(source.leaf)
    };
    if sources.is_empty() {
        vec![of_source(&MatchSource { root: None, leaf: None })]
    } else {
        sources.iter().map(of_source).collect()
    }
}

fn nested(leaf: &Written, index: usize) -> Finding {
    let field = FieldPath::spec().key("http").index(index).key("delegate");
    let why = "the rule has no effect: a delegate cannot name a further delegate";
    DELEGATE_UNUSABLE
        .finding(&leaf.reference(), field, why)
        .with_help("move the rules of the further delegate here, or name it in the root")
}

/// The conflict as the authors of either side see it.
fn conflict_findings(
    root: &RootRule<'_>,
    leaf: &Written,
    index: usize,
    conflict: &Conflict,
) -> [Finding; 2] {
    let (root_object, leaf_object) = (root.object.reference(), leaf.reference());
    let leaf_field = FieldPath::spec().key("http").index(index);
    let match_field = leaf_field.key("match").index(conflict.leaf);
    let mut properties = conflict.properties.clone();
    properties.dedup();
    let properties = properties.join(", ");
    let help = "a delegate's match must narrow one of the root's: the same text, or a longer one under its prefix; \
                regular expressions cannot be compared";
    let on_leaf = DELEGATE_CONFLICT.finding(
        &leaf_object,
        match_field.clone(),
        format!("the rule has no effect under {root_object}: no match of the root's rule allows this one ({properties})"),
    )
    .with_help(help)
    .with_related(&root_object, root.field(), "the rule that delegates");
    let on_root = DELEGATE_CONFLICT.finding(
        &root_object,
        root.field(),
        format!("rule {leaf_field} of the delegate {leaf_object} is left out: it conflicts with this rule ({properties})"),
    )
    .with_help(help)
    .with_related(&leaf_object, match_field, "the match that is not allowed");
    [on_leaf, on_root]
}

fn origin(object: &Written, index: usize) -> Origin {
    Origin {
        kind: Arc::from("VirtualService"),
        namespace: Arc::from(object.meta.namespace.as_str()),
        name: Arc::from(object.meta.name.as_str()),
        index: u32::try_from(index).ok(),
        match_index: None,
        root: None,
    }
}

/// An origin, narrowed to one match of the rule.
trait WithMatch {
    fn with_match(&self, index: Option<usize>) -> Self;
}

impl WithMatch for Origin {
    fn with_match(&self, index: Option<usize>) -> Self {
        Self { match_index: index.and_then(|index| u32::try_from(index).ok()), ..self.clone() }
    }
}

#[cfg(test)]
mod tests;
