//! Which kinds are watched, and what of their objects is kept.
//!
//! What routing does not read is left out before objects are compared, so that a heartbeat of a machine or a status that was written
//! is no change. The status of a custom kind is kept apart from the object: it tells what was written, never what shall be.

use std::sync::Arc;

use serde_json::{Map, Value};
use serin_api::{AnyObject, Kind, Object, delivery};
use serin_translate::Objects;

/// Kinds of Kubernetes itself that models are made of.
const NATIVE: [&str; 7] =
    ["Service", "EndpointSlice", "Pod", "Namespace", "Node", "Secret", "ConfigMap"];

/// Entries of Secrets and ConfigMaps that hold certificates, keys and lists of authorities.
const CERTIFICATES: [&str; 9] =
    ["tls.crt", "tls.key", "tls.ocsp-staple", "ca.crt", "ca.crl", "cert", "key", "cacert", "crl"];

/// Entries of the ConfigMap that holds the mesh configuration.
const MESH: [&str; 2] = ["mesh", "meshNetworks"];

/// Every kind that is watched.
pub(crate) fn watched() -> impl Iterator<Item = &'static Kind> {
    let is_delivery = |kind: &Kind| [delivery::SERIN, delivery::FLAGGER].contains(&kind.group);
    Kind::all().iter().filter(move |kind| match kind.is_custom {
        true => !is_delivery(kind),
        false => NATIVE.contains(&kind.kind),
    })
}

/// Leaves out of an object what is not read, and gives the status of a custom kind.
pub(crate) fn prune(kind: &Kind, object: &mut Value) -> Value {
    let Some(fields) = object.as_object_mut() else { return Value::Null };
    fields.entry("kind").or_insert_with(|| kind.kind.into());
    fields.entry("apiVersion").or_insert_with(|| kind.api_version().into());
    if let Some(meta) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.shift_remove("managedFields");
        meta.shift_remove("resourceVersion");
        if let Some(notes) = meta.get_mut("annotations").and_then(Value::as_object_mut) {
            notes.shift_remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
    match kind.kind {
        "Pod" if !kind.is_custom => prune_pod_status(fields),
        "Service" if !kind.is_custom => keep_only(fields.get_mut("status"), &["loadBalancer"]),
        "Secret" | "ConfigMap" => {
            let entries = CERTIFICATES.iter().chain(&MESH).copied().collect::<Vec<_>>();
            keep_only(fields.get_mut("data"), &entries);
        }
        _ => {
            let status = fields.shift_remove("status");
            return status.filter(|_| kind.is_custom).unwrap_or_default();
        }
    }
    Value::Null
}

fn prune_pod_status(pod: &mut Map<String, Value>) {
    let status = pod.get_mut("status");
    if let Some(conditions) = status.and_then(|it| it.get_mut("conditions")?.as_array_mut()) {
        conditions.retain(|it| it["type"] == "Ready");
        conditions.iter_mut().for_each(|it| keep_only(Some(it), &["type", "status"]));
    }
    let kept = ["phase", "podIP", "podIPs", "hostIP", "conditions"];
    keep_only(pod.get_mut("status"), &kept);
}

fn keep_only(value: Option<&mut Value>, keys: &[&str]) {
    if let Some(fields) = value.and_then(Value::as_object_mut) {
        fields.retain(|key, _| keys.contains(&key.as_str()));
    }
}

macro_rules! by_kind {
    ($($custom:ident($custom_type:ty)),+; $($native:ident($native_type:ty)),+ $(,)?) => {
        /// Takes an object out and puts another of the same kind in.
        pub(crate) fn exchange(
            objects: &mut Objects,
            old: Option<&AnyObject>,
            new: Option<AnyObject>,
        ) {
            match (old, new) {
                $((None, Some(AnyObject::$custom(new))) => objects.exchange(None, Some(new)),
                (Some(AnyObject::$custom(old)), None) => objects.exchange(Some(&**old), None),
                (Some(AnyObject::$custom(old)), Some(AnyObject::$custom(new))) => {
                    objects.exchange(Some(&**old), Some(new));
                })+
                $((None, Some(AnyObject::$native(new))) => objects.exchange(None, Some(new)),
                (Some(AnyObject::$native(old)), None) => objects.exchange(Some(&**old), None),
                (Some(AnyObject::$native(old)), Some(AnyObject::$native(new))) => {
                    objects.exchange(Some(&**old), Some(new));
                })+
                _ => debug_assert!(false, "objects of two kinds are not exchanged"),
            }
        }

        /// The object of the same kind as another with this name, if there is one.
        pub(crate) fn named(
            objects: &Objects,
            like: &AnyObject,
            name: &str,
            namespace: &str,
        ) -> Option<AnyObject> {
            let mut objects = objects.clone();
            match like {
                $(AnyObject::$custom(like) => {
                    find(list_of(&mut objects, like), name, namespace).map(AnyObject::$custom)
                })+
                $(AnyObject::$native(like) => {
                    find(list_of(&mut objects, like), name, namespace).map(AnyObject::$native)
                })+
            }
        }

        /// Whether two objects are the same in everything that is kept of them.
        pub(crate) fn are_equal(one: &AnyObject, other: &AnyObject) -> bool {
            match (one, other) {
                $((AnyObject::$custom(one), AnyObject::$custom(other)) => one == other,)+
                $((AnyObject::$native(one), AnyObject::$native(other)) => one == other,)+
                _ => false,
            }
        }
    };
}

serin_api::for_each_kind!(by_kind);

/// The objects of the same kind as one.
fn list_of<'o, T: serin_translate::Kind>(
    objects: &'o mut Objects,
    _like: &Arc<Object<T>>,
) -> &'o [Arc<Object<T>>] {
    T::list(objects)
}

fn find<T>(list: &[Arc<Object<T>>], name: &str, namespace: &str) -> Option<Arc<Object<T>>> {
    list.iter().find(|it| it.meta.name == name && it.meta.namespace == namespace).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(kind: (&str, &str), mut object: Value, expect: &Value) {
        let kind = Kind::find(kind.0, kind.1).unwrap();
        let status = prune(kind, &mut object);
        object["taken"] = status;
        let mut expect = expect.clone();
        expect["kind"] = kind.kind.into();
        expect["apiVersion"] = kind.api_version().into();
        assert_eq!(object, expect);
    }

    #[test]
    fn a_status_that_was_written_and_a_heartbeat_are_left_out() {
        check(
            ("networking.istio.io", "VirtualService"),
            json!({"metadata": {"name": "a", "resourceVersion": "7", "managedFields": []}, "status": {"conditions": []}}),
            &json!({"metadata": {"name": "a"}, "taken": {"conditions": []}}),
        );
        check(
            ("", "Node"),
            json!({"metadata": {"name": "n"}, "status": {"conditions": [{"type": "Ready"}]}}),
            &json!({"metadata": {"name": "n"}, "taken": null}),
        );
    }

    #[test]
    fn of_a_pod_remains_whether_and_where_it_runs() {
        check(
            ("", "Pod"),
            json!({"metadata": {}, "status": {"phase": "Running", "podIP": "10.0.0.1", "startTime": "t",
                "conditions": [{"type": "Ready", "status": "True", "lastProbeTime": null}, {"type": "Initialized"}]}}),
            &json!({"metadata": {}, "taken": null, "status": {"phase": "Running", "podIP": "10.0.0.1",
                "conditions": [{"type": "Ready", "status": "True"}]}}),
        );
    }

    #[test]
    fn of_a_secret_remain_certificates() {
        check(
            ("", "Secret"),
            json!({"metadata": {}, "data": {"tls.crt": "a", "token": "b"}}),
            &json!({"metadata": {}, "taken": null, "data": {"tls.crt": "a"}}),
        );
    }

    #[test]
    fn canaries_and_deployments_are_not_watched() {
        let kinds: Vec<&str> = watched().map(|kind| kind.kind).collect();
        assert!(kinds.contains(&"VirtualService") && kinds.contains(&"HTTPRoute"), "{kinds:?}");
        assert!(!kinds.contains(&"Canary") && !kinds.contains(&"Deployment"), "{kinds:?}");
    }
}
