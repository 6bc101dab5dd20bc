//! The pods of a StatefulSet: their names, their labels and their volumes.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Pod, PodTemplateSpec, Volume,
};
use kube::ResourceExt as _;

use crate::revisions::REVISION;
use crate::{owner, pods};

/// The place of a pod in its set, if its name has one.
pub(super) fn ordinal(set: &StatefulSet, pod: &Pod) -> Option<i32> {
    let name = pod.name_any();
    let number = name.strip_prefix(&set.name_any())?.strip_prefix('-')?;
    // `db-01` is nobody's.
    number.parse::<i32>().ok().filter(|it| it.to_string() == number)
}

fn name(set: &StatefulSet, ordinal: i32) -> String {
    format!("{}-{ordinal}", set.name_any())
}

/// The claims for the volumes of a pod.
pub(super) fn claims(set: &StatefulSet, ordinal: i32) -> Vec<PersistentVolumeClaim> {
    let spec = set.spec.as_ref();
    let templates = spec.and_then(|spec| spec.volume_claim_templates.as_ref());
    let selector = spec.and_then(|spec| spec.selector.match_labels.clone()).unwrap_or_default();
    let claim = |template: &PersistentVolumeClaim| {
        let mut claim = template.clone();
        claim.metadata.name = Some(format!("{}-{}", template.name_any(), name(set, ordinal)));
        claim.metadata.namespace.clone_from(&set.metadata.namespace);
        claim.metadata.labels.get_or_insert_default().extend(selector.clone());
        claim.status = None;
        claim
    };
    templates.into_iter().flatten().map(claim).collect()
}

/// A pod of a revision.
pub(super) fn make(
    set: &StatefulSet,
    ordinal: i32,
    template: &PodTemplateSpec,
    revision: &str,
) -> Pod {
    let mut pod = pods::from_template(template, owner::reference(set));
    let name = name(set, ordinal);
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert("statefulset.kubernetes.io/pod-name".to_owned(), name.clone());
    labels.insert("apps.kubernetes.io/pod-index".to_owned(), ordinal.to_string());
    labels.insert(REVISION.to_owned(), revision.to_owned());
    let templates = set.spec.as_ref().and_then(|spec| spec.volume_claim_templates.as_ref());
    if let Some(spec) = &mut pod.spec {
        spec.hostname = Some(name.clone());
        spec.subdomain = set.spec.as_ref().and_then(|spec| spec.service_name.clone());
        for template in templates.into_iter().flatten() {
            let volume = template.name_any();
            let volumes = spec.volumes.get_or_insert_default();
            volumes.retain(|it| it.name != volume);
            volumes.push(Volume {
                persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                    claim_name: format!("{volume}-{name}"),
                    read_only: Some(false),
                }),
                name: volume,
                ..Volume::default()
            });
        }
    }
    pod.metadata.name = Some(name);
    pod
}
