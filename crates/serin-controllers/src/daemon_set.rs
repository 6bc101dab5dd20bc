//! DaemonSets: one pod on each node that fits. What to do is decided in [`plan`], and done here.

mod plan;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{
    Affinity, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod,
    Toleration,
};
use kube::ResourceExt as _;

use crate::objects::Key;
use crate::queue::Outcome;
use crate::revisions::{self, REVISION, Subject};
use crate::world::World;
use crate::{owner, pods};

const COMPONENT: &str = "daemonset-controller";

/// Looks at a DaemonSet.
pub(crate) async fn reconcile(world: Arc<World>, key: Key) -> Outcome {
    let world = &*world;
    let Some(set) = world.daemon_sets.get(&key) else { return Ok(None) };
    let Some(spec) = set.spec.as_ref().filter(|_| set.metadata.deletion_timestamp.is_none()) else {
        return Ok(None);
    };
    let uid = set.uid().unwrap_or_default();
    let mut candidates = world.pods.tagged(&owner::owned_by(&uid));
    candidates.extend(world.pods.tagged(&owner::orphan_in(&key.namespace)));
    let claim = owner::claim(&set.metadata, &spec.selector, candidates);
    let own = owner::take(&world.daemon_sets, &*set, &world.pods, claim).await?;
    let collisions = set.status.as_ref().and_then(|status| status.collision_count);
    let subject = Subject { selector: &spec.selector, template: &spec.template, collisions };
    let history = revisions::sync(world, &world.daemon_sets, &*set, subject).await?;
    let hash = revisions::hash_of(&history.current);
    let plan = plan::plan(&set, &own, &world.nodes.in_namespace(""), &hash, Timestamp::now());
    for pod in &plan.delete {
        world.pods.delete(pod).await?;
        let message = format!("Deleted pod: {}", pod.name_any());
        world.events.normal(COMPONENT, &*set, "SuccessfulDelete", message);
    }
    for node in &plan.create {
        let created = world.pods.create(&key.namespace, &pod(&set, node, &hash)).await;
        match created {
            Ok(pod) => {
                let message = format!("Created pod: {}", pod.name_any());
                world.events.normal(COMPONENT, &*set, "SuccessfulCreate", message);
            }
            Err(problem) if problem.is_terminating() => {}
            Err(problem) => {
                let message = format!("Error creating: {}", problem.reason());
                world.events.warning(COMPONENT, &*set, "FailedCreate", message);
                return Err(problem);
            }
        }
    }
    let in_use = own.iter().filter_map(|pod| pod.labels().get(REVISION).cloned()).collect();
    revisions::clean(world, &history, &in_use, spec.revision_history_limit).await?;
    if set.status.as_ref() != Some(&plan.status) {
        let mut changed = DaemonSet::clone(&set);
        changed.status = Some(plan.status);
        world.daemon_sets.put_status(&changed).await?;
    }
    Ok(plan.again)
}

/// A pod for a node. It stays there whatever becomes of the node.
fn pod(set: &DaemonSet, node: &str, hash: &str) -> Pod {
    let template = set.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default();
    let mut pod = pods::from_template(&template, owner::reference(set));
    pod.metadata.generate_name = Some(format!("{}-", set.name_any()));
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(REVISION.to_owned(), hash.to_owned());
    let Some(spec) = &mut pod.spec else { return pod };
    let affinity = spec.affinity.get_or_insert_with(Affinity::default);
    let affinity = affinity.node_affinity.get_or_insert_with(NodeAffinity::default);
    let term = NodeSelectorTerm {
        match_fields: Some(vec![NodeSelectorRequirement {
            key: "metadata.name".to_owned(),
            operator: "In".to_owned(),
            values: Some(vec![node.to_owned()]),
        }]),
        match_expressions: None,
    };
    affinity.required_during_scheduling_ignored_during_execution =
        Some(NodeSelector { node_selector_terms: vec![term] });
    let conditions = [
        ("not-ready", "NoExecute"),
        ("unreachable", "NoExecute"),
        ("disk-pressure", "NoSchedule"),
        ("memory-pressure", "NoSchedule"),
        ("pid-pressure", "NoSchedule"),
        ("unschedulable", "NoSchedule"),
    ];
    for (key, effect) in conditions {
        spec.tolerations.get_or_insert_default().push(Toleration {
            key: Some(format!("node.kubernetes.io/{key}")),
            operator: Some("Exists".to_owned()),
            effect: Some(effect.to_owned()),
            ..Toleration::default()
        });
    }
    pod
}

/// The node that a pod is on, or made for.
fn node_of(pod: &Pod) -> Option<&str> {
    let spec = pod.spec.as_ref()?;
    if let Some(node) = spec.node_name.as_deref().filter(|node| !node.is_empty()) {
        return Some(node);
    }
    let affinity = spec.affinity.as_ref()?.node_affinity.as_ref()?;
    let terms = affinity.required_during_scheduling_ignored_during_execution.as_ref()?;
    let fields =
        terms.node_selector_terms.iter().flat_map(|term| term.match_fields.iter().flatten());
    let mut names = fields.filter(|it| it.key == "metadata.name");
    names.find_map(|it| it.values.as_ref()?.first().map(String::as_str))
}
