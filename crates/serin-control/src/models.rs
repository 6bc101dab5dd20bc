//! A model for each proxy, out of the objects as they are.
//!
//! One snapshot serves all. Proxies of a class share a translator and a model; what has not changed is the same model, by address, so
//! that it need not be published. It does no I/O and may take long: callers run it beside what must not wait.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serin_api::Finding;
use serin_api::mesh_config::MeshConfig;
use serin_routing::Model;
use serin_routing::model::ByName;
use serin_translate::{
    Objects, Settings as MeshSettings, Snapshot, SnapshotBuilder, Translation, Translator,
};

use crate::fleet::{self, Class, Fleet, View};
use crate::gateway::health::Health;
use crate::host::{self, Assigned};
use crate::proxy::{ProxyId, Workload};
use crate::settings::Settings;
use crate::{gateway, plain};

/// What one proxy is to get.
#[derive(Clone, Debug)]
pub(crate) struct Publication {
    pub(crate) model: Arc<Model>,
    pub(crate) workload: Arc<Workload>,
}

impl Publication {
    /// Whether there is nothing to publish after `last`.
    pub(crate) fn is(&self, last: &Self) -> bool {
        Arc::ptr_eq(&self.model, &last.model) && Arc::ptr_eq(&self.workload, &last.workload)
    }
}

/// What all proxies are to get at one time.
#[derive(Clone, Debug)]
pub(crate) struct Push {
    /// The first is 1.
    pub(crate) number: u64,
    pub(crate) snapshot: Arc<Snapshot>,
    /// The model of workloads outside of the mesh.
    pub(crate) plain: Arc<Model>,
    pub(crate) proxies: BTreeMap<ProxyId, Publication>,
    /// What was found while models were made, beside what the snapshot tells.
    pub(crate) findings: Vec<Finding>,
    /// Addresses of load balancers.
    pub(crate) assigned: Arc<Assigned>,
}

/// Makes pushes one after the other.
#[derive(Debug)]
pub(crate) struct Models {
    settings: Arc<Settings>,
    builder: SnapshotBuilder,
    /// What the last push was made from.
    last: Option<Arc<Snapshot>>,
    /// Labels of callers that rules asked for then.
    asked: fleet::Labels,
    fleet: Fleet,
    views: HashMap<Arc<View>, Made>,
    /// Models of classes that keep some traffic out of the mesh.
    excluding: HashMap<Class, Arc<Model>>,
    plain: Arc<Model>,
    gateway: Option<(Made, Arc<Workload>)>,
    health: Health,
    host: (Arc<Model>, Arc<Workload>),
    assigned: Arc<Assigned>,
}

/// A translator and what it made last.
#[derive(Debug)]
struct Made {
    translator: Translator,
    model: Arc<Model>,
    findings: Vec<Finding>,
}

impl Made {
    fn new(translator: Translator) -> Self {
        Self { translator, model: Arc::default(), findings: Vec::new() }
    }

    /// `and`: what else belongs into the model.
    fn follow(&mut self, snapshot: &Arc<Snapshot>, and: impl FnOnce(&mut Model)) {
        let Translation { mut model, findings } = self.translator.translate(snapshot);
        and(&mut model);
        keep(&mut self.model, model);
        self.findings = findings;
    }
}

impl Models {
    /// Nothing is made yet.
    pub(crate) fn new(settings: Arc<Settings>) -> Self {
        let gateway = settings.gateway.as_ref().map(|it| {
            let workload = gateway::workload(it, &settings, &nothing(), &Model::default());
            (Made::new(Translator::new(gateway::proxy(it, &settings))), Arc::new(workload))
        });
        let host = (Arc::default(), Arc::new(host::workload(&settings)));
        Self {
            settings,
            builder: SnapshotBuilder::default(),
            last: None,
            asked: fleet::Labels::new(),
            assigned: Arc::default(),
            fleet: Fleet::new(),
            views: HashMap::new(),
            excluding: HashMap::new(),
            plain: Arc::default(),
            gateway,
            health: Health::new(),
            host,
        }
    }

    /// What proxies are to get where these are the objects.
    pub(crate) fn next(&mut self, number: u64, objects: Objects, mesh: &Arc<MeshConfig>) -> Push {
        let settings = MeshSettings {
            mesh: Arc::clone(mesh),
            cluster_domain: Arc::from(self.settings.cluster_domain.as_str()),
            expects_pods: false,
            injects: true,
        };
        let snapshot = self.builder.build(objects, settings);
        self.follow_workloads(&snapshot);
        self.follow_views(&snapshot);
        self.follow_excluding();
        self.follow_gateway(&snapshot);
        self.last = Some(Arc::clone(&snapshot));
        let made = self.views.values().chain(self.gateway.as_ref().map(|(made, _)| made));
        let findings = made.flat_map(|it| it.findings.iter().cloned()).collect();
        let (proxies, assigned) = (self.publications(), Arc::clone(&self.assigned));
        let plain = Arc::clone(&self.plain);
        Push { number, proxies, snapshot, plain, findings, assigned }
    }

    /// What depends on Services and pods, but not on rules beyond the labels that they ask for.
    fn follow_workloads(&mut self, snapshot: &Snapshot) {
        let registry = std::ptr::from_ref(snapshot.registry());
        let is_same = self.last.as_ref().is_some_and(|it| std::ptr::eq(it.registry(), registry));
        let asked = fleet::labels_asked_for(snapshot);
        if !is_same || asked != self.asked {
            let node = self.settings.node.as_deref();
            self.fleet = fleet::fleet(snapshot, &asked, node, &self.fleet);
            self.asked = asked;
        }
        let takes_same =
            self.last.as_ref().is_some_and(|it| Arc::ptr_eq(it.inbounds(), snapshot.inbounds()));
        if !is_same || !takes_same {
            let node = self.settings.node_port_address.filter(|it| !it.is_loopback());
            let plain = plain::model(snapshot, node, &self.plain);
            keep(&mut self.plain, plain);
            self.assigned = Arc::new(host::assign(snapshot, &self.settings));
            let host = host::model(snapshot, &self.settings, &self.assigned, &self.host.0);
            keep(&mut self.host.0, host);
        }
    }

    fn follow_views(&mut self, snapshot: &Arc<Snapshot>) {
        let mut last = std::mem::take(&mut self.views);
        for member in self.fleet.values() {
            let Class::Mesh { view, .. } = &member.class else { continue };
            if self.views.contains_key(view) {
                continue;
            }
            let made = last.remove(view);
            let mut made = made.unwrap_or_else(|| Made::new(Translator::new(view.proxy())));
            made.follow(snapshot, |_| ());
            self.views.insert(Arc::clone(view), made);
        }
    }

    fn follow_excluding(&mut self) {
        let mut last = std::mem::take(&mut self.excluding);
        for member in self.fleet.values() {
            let Class::Mesh { view, exclusions } = &member.class else { continue };
            if exclusions.are_none() || self.excluding.contains_key(&member.class) {
                continue;
            }
            let Some(made) = self.views.get(view) else { continue };
            let mut model = last.remove(&member.class).unwrap_or_default();
            keep(&mut model, exclusions.apply(&made.model, &self.plain));
            self.excluding.insert(member.class.clone(), model);
        }
    }

    fn follow_gateway(&mut self, snapshot: &Arc<Snapshot>) {
        let (Some(gateway), Some((made, workload))) = (&self.settings.gateway, &mut self.gateway)
        else {
            return;
        };
        made.follow(snapshot, |model| self.health.add_to(model));
        let now = gateway::workload(gateway, &self.settings, snapshot, &made.model);
        if **workload != now {
            *workload = Arc::new(now);
        }
    }

    fn publications(&self) -> BTreeMap<ProxyId, Publication> {
        let mut proxies = BTreeMap::new();
        for (id, member) in &self.fleet {
            let model = match &member.class {
                Class::Plain => Some(&self.plain),
                Class::Mesh { view, exclusions } if exclusions.are_none() => {
                    self.views.get(view).map(|it| &it.model)
                }
                class @ Class::Mesh { .. } => self.excluding.get(class),
            };
            let Some(model) = model.cloned() else { continue };
            let workload = Arc::clone(&member.workload);
            proxies.insert(id.clone(), Publication { model, workload });
        }
        if let (Some(gateway), Some((made, workload))) = (&self.settings.gateway, &self.gateway) {
            let publication =
                Publication { model: Arc::clone(&made.model), workload: Arc::clone(workload) };
            proxies.insert(gateway::id(gateway, &self.settings), publication);
        }
        let (model, workload) = (Arc::clone(&self.host.0), Arc::clone(&self.host.1));
        proxies.insert(host::id(&self.settings), Publication { model, workload });
        proxies
    }
}

/// A mesh without objects.
fn nothing() -> Snapshot {
    Snapshot::new(Objects::default(), MeshSettings::default())
}

/// The new model, unless it is equal: then the one before stays, by address.
fn keep(last: &mut Arc<Model>, new: Model) {
    let is_equal = is_equal(&last.listeners, &new.listeners)
        && is_equal(&last.route_tables, &new.route_tables)
        && is_equal(&last.clusters, &new.clusters)
        && is_equal(&last.endpoints, &new.endpoints)
        && last.authorization == new.authorization
        && (Arc::ptr_eq(&last.inbounds, &new.inbounds) || last.inbounds == new.inbounds);
    if !is_equal {
        *last = Arc::new(new);
    }
}

/// Parts that are the same by address are not compared.
fn is_equal<T: PartialEq>(one: &ByName<T>, other: &ByName<T>) -> bool {
    let mut pairs = one.iter().zip(other.iter());
    let mut are_equal = || {
        pairs.all(|((name, one), (of_other, other))| {
            name == of_other && (Arc::ptr_eq(one, other) || one == other)
        })
    };
    one.is(other) || one.len() == other.len() && are_equal()
}

#[cfg(test)]
mod tests;
