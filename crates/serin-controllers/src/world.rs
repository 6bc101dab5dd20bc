//! What all controllers share: the objects of each kind, a queue for each controller, and who is woken by which change.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{
    ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet,
};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Endpoints, Node, PersistentVolumeClaim, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use kube::{Client, Resource, ResourceExt as _};

use crate::Settings;
use crate::autoscaler::Memories;
use crate::autoscaler::target::Kinds;
use crate::endpoints::{self, label_tag, slice_tag};
use crate::events::{Events, Writer};
use crate::objects::{Key, Object, Objects};
use crate::owner;
use crate::queue::Queue;

/// The queues, one a controller.
#[derive(Default)]
pub(crate) struct Queues {
    pub(crate) deployments: Queue,
    pub(crate) replica_sets: Queue,
    pub(crate) services: Queue,
    /// Services whose Endpoints are to be looked at.
    pub(crate) endpoints: Queue,
    pub(crate) jobs: Queue,
    pub(crate) cron_jobs: Queue,
    pub(crate) autoscalers: Queue,
    pub(crate) stateful_sets: Queue,
    pub(crate) daemon_sets: Queue,
    pub(crate) budgets: Queue,
}

/// Everything.
pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) settings: Settings,
    pub(crate) events: Events,
    pub(crate) queues: Queues,
    pub(crate) memories: Memories,
    pub(crate) kinds: Kinds,
    pub(crate) pods: Objects<Pod>,
    pub(crate) deployments: Objects<Deployment>,
    pub(crate) replica_sets: Objects<ReplicaSet>,
    pub(crate) services: Objects<Service>,
    pub(crate) endpoints: Objects<Endpoints>,
    pub(crate) slices: Objects<EndpointSlice>,
    pub(crate) jobs: Objects<Job>,
    pub(crate) cron_jobs: Objects<CronJob>,
    pub(crate) autoscalers: Objects<HorizontalPodAutoscaler>,
    pub(crate) stateful_sets: Objects<StatefulSet>,
    pub(crate) daemon_sets: Objects<DaemonSet>,
    pub(crate) revisions: Objects<ControllerRevision>,
    pub(crate) nodes: Objects<Node>,
    pub(crate) budgets: Objects<PodDisruptionBudget>,
}

impl World {
    /// The world as yet unknown, and the writer of its events.
    pub(crate) fn new(client: &Client, settings: Settings) -> (Arc<Self>, Writer) {
        let (events, writer) = Events::new(client.clone());
        let world = Self {
            client: client.clone(),
            settings,
            events,
            queues: Queues::default(),
            memories: Memories::default(),
            kinds: Kinds::default(),
            pods: Objects::new(client, pod_tags),
            deployments: Objects::new(client, |_| Vec::new()),
            replica_sets: Objects::new(client, |set| owner::tags(&set.metadata)),
            services: Objects::new(client, endpoints::service_tags),
            endpoints: Objects::new(client, |_| Vec::new()),
            slices: Objects::new(client, slice_tags),
            jobs: Objects::new(client, |job| owner::tags(&job.metadata)),
            cron_jobs: Objects::new(client, |_| Vec::new()),
            autoscalers: Objects::new(client, |_| Vec::new()),
            stateful_sets: Objects::new(client, |_| Vec::new()),
            daemon_sets: Objects::new(client, |_| Vec::new()),
            revisions: Objects::new(client, |it| owner::tags(&it.metadata)),
            nodes: Objects::new(client, |_| Vec::new()),
            budgets: Objects::new(client, |_| Vec::new()),
        };
        let world = Arc::new(world);
        route(&world);
        (world, writer)
    }

    /// The claims of volumes: they are made, and never looked at.
    pub(crate) fn claims(&self) -> Objects<PersistentVolumeClaim> {
        Objects::new(&self.client, |_| Vec::new())
    }

    /// Follows all kinds until the future is dropped.
    pub(crate) async fn follow(&self) {
        tokio::join!(
            self.pods.follow(),
            self.deployments.follow(),
            self.replica_sets.follow(),
            self.services.follow(),
            self.endpoints.follow(),
            self.slices.follow(),
            self.jobs.follow(),
            self.cron_jobs.follow(),
            self.autoscalers.follow(),
            self.stateful_sets.follow(),
            self.daemon_sets.follow(),
            self.revisions.follow(),
            self.nodes.follow(),
            self.budgets.follow(),
        );
    }

    /// Waits until everything that existed at the start is known.
    pub(crate) async fn complete(&self) {
        tokio::join!(
            self.pods.complete(),
            self.deployments.complete(),
            self.replica_sets.complete(),
            self.services.complete(),
            self.endpoints.complete(),
            self.slices.complete(),
            self.jobs.complete(),
            self.cron_jobs.complete(),
            self.autoscalers.complete(),
            self.stateful_sets.complete(),
            self.daemon_sets.complete(),
            self.revisions.complete(),
            self.nodes.complete(),
            self.budgets.complete(),
        );
    }
}

fn pod_tags(pod: &Pod) -> Vec<String> {
    let mut tags = owner::tags(&pod.metadata);
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    tags.extend(pod.labels().iter().map(|(name, value)| label_tag(namespace, name, value)));
    tags
}

fn slice_tags(slice: &EndpointSlice) -> Vec<String> {
    let service = endpoints::service_of(slice);
    service.map(|key| slice_tag(&key.namespace, &key.name)).into_iter().collect()
}

/// Says which changes wake whom.
fn route(world: &Arc<World>) {
    // The objects belong to the world, so the routes must not keep it alive.
    macro_rules! on {
        ($objects:ident, |$world:ident, $old:ident, $new:ident| $body:expr) => {{
            let weak = Arc::downgrade(world);
            world.$objects.route(move |$old, $new| {
                if let Some($world) = weak.upgrade() {
                    $body
                }
            });
        }};
    }
    on!(deployments, |world, old, new| wake(&world.queues.deployments, old.or(new)));
    on!(replica_sets, |world, old, new| {
        wake(&world.queues.replica_sets, new.or(old));
        let sets = [old, new].into_iter().flatten();
        sets.for_each(|set| wake_owners_of_set(&world, set));
    });
    on!(services, |world, old, new| wake(&world.queues.services, new.or(old)));
    on!(endpoints, |world, old, new| wake(&world.queues.services, new.or(old)));
    on!(slices, |world, old, new| {
        let slices = [old, new].into_iter().flatten();
        slices.filter_map(endpoints::service_of).for_each(|key| world.queues.services.add(key));
    });
    on!(jobs, |world, old, new| {
        wake(&world.queues.jobs, new.or(old));
        for job in [old, new].into_iter().flatten() {
            wake_owners(&world.queues.cron_jobs, &world.cron_jobs, job, |_| None);
        }
    });
    on!(cron_jobs, |world, old, new| wake(&world.queues.cron_jobs, new.or(old)));
    on!(autoscalers, |world, old, new| {
        // It looks at its interval; what it writes itself is no reason to look earlier.
        if old.map(|it| &it.spec) != new.map(|it| &it.spec) {
            wake(&world.queues.autoscalers, new.or(old));
        }
    });
    on!(stateful_sets, |world, old, new| wake(&world.queues.stateful_sets, new.or(old)));
    on!(daemon_sets, |world, old, new| wake(&world.queues.daemon_sets, new.or(old)));
    on!(budgets, |world, old, new| wake(&world.queues.budgets, new.or(old)));
    on!(nodes, |world, old, new| {
        // A node tells often that it lives.
        let place = |it: &Node| (it.metadata.labels.clone(), it.spec.clone());
        if old.map(place) != new.map(place) {
            let all = world.daemon_sets.all();
            all.iter().for_each(|set| world.queues.daemon_sets.add(Key::of(&**set)));
        }
    });
    on!(pods, |world, old, new| {
        for pod in [old, new].into_iter().flatten() {
            wake_owners_of_pod(&world, pod);
            wake_services(&world, pod);
            wake_budgets(&world, pod);
        }
        wake_recreated(&world, old, new);
    });
}

fn wake<K: Object>(queue: &Queue, object: Option<&K>) {
    if let Some(object) = object {
        queue.add(Key::of(object));
    }
}

fn wake_owners_of_set(world: &World, set: &ReplicaSet) {
    let selector = |it: &Deployment| it.spec.as_ref().map(|spec| spec.selector.clone());
    wake_owners(&world.queues.deployments, &world.deployments, set, selector);
}

fn wake_owners_of_pod(world: &World, pod: &Pod) {
    let queues = &world.queues;
    let selector = |it: &ReplicaSet| it.spec.as_ref().map(|spec| spec.selector.clone());
    wake_owners(&queues.replica_sets, &world.replica_sets, pod, selector);
    let selector = |it: &Job| it.spec.as_ref().and_then(|spec| spec.selector.clone());
    wake_owners(&queues.jobs, &world.jobs, pod, selector);
    let selector = |it: &StatefulSet| it.spec.as_ref().map(|spec| spec.selector.clone());
    wake_owners(&queues.stateful_sets, &world.stateful_sets, pod, selector);
    let selector = |it: &DaemonSet| it.spec.as_ref().map(|spec| spec.selector.clone());
    wake_owners(&queues.daemon_sets, &world.daemon_sets, pod, selector);
}

/// Wakes the owner of an object, or, where it has none, those that may take it in.
fn wake_owners<O: Object>(
    queue: &Queue,
    owners: &Objects<O>,
    object: &impl Resource,
    selector: impl Fn(&O) -> Option<LabelSelector>,
) {
    let meta: &ObjectMeta = object.meta();
    let namespace = meta.namespace.clone().unwrap_or_default();
    if let Some(owner) = owner::controller(meta) {
        if owner.kind == O::kind(&()) {
            queue.add(Key::new(namespace, owner.name.clone()));
        }
        return;
    }
    let none = BTreeMap::new();
    let labels = meta.labels.as_ref().unwrap_or(&none);
    for owner in owners.in_namespace(&namespace) {
        if selector(&owner).is_some_and(|selector| owner::selects(&selector, labels)) {
            queue.add(Key::of(&*owner));
        }
    }
}

/// A Deployment that first removes all pods waits for their end.
fn wake_recreated(world: &World, old: Option<&Pod>, new: Option<&Pod>) {
    let ended = new.is_none_or(crate::pods::is_finished);
    let owner = old.and_then(|pod| owner::controller(&pod.metadata)).filter(|_| ended);
    let Some(owner) = owner.filter(|owner| owner.kind == "ReplicaSet") else { return };
    let namespace = old.and_then(|pod| pod.namespace()).unwrap_or_default();
    let set = world.replica_sets.get(&Key::new(namespace, owner.name.clone()));
    if let Some(set) = set {
        wake_owners_of_set(world, &set);
    }
}

fn wake_services(world: &World, pod: &Pod) {
    let namespace = pod.namespace().unwrap_or_default();
    for (name, value) in pod.labels() {
        for service in world.services.tagged(&label_tag(&namespace, name, value)) {
            world.queues.services.add(Key::of(&*service));
        }
    }
}

fn wake_budgets(world: &World, pod: &Pod) {
    for budget in world.budgets.in_namespace(&pod.namespace().unwrap_or_default()) {
        let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        if selector.is_some_and(|selector| owner::selects(selector, pod.labels())) {
            world.queues.budgets.add(Key::of(&*budget));
        }
    }
}
