//! The environment of a container: Services of its namespace, the image's, and what the pod says, with `$(NAME)` filled in.
//!
//! Pure: what it may look up is handed in.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, EnvVarSource, ObjectFieldSelector, Pod, ResourceFieldSelector, Secret,
    Service,
};

use crate::quantity;

/// What the environment is made of beside the pod.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// ConfigMaps of the pod's namespace that it names.
    pub config_maps: BTreeMap<String, ConfigMap>,
    /// Secrets of the pod's namespace that it names.
    pub secrets: BTreeMap<String, Secret>,
    /// Services of the pod's namespace, and the API's.
    pub services: Vec<Service>,
    /// The pod's address.
    pub pod_ip: String,
    /// The node's.
    pub host_ip: String,
    /// Processors of the machine in thousandths, and memory in bytes: limits where none are set.
    pub machine: (i128, i128),
}

/// All variables of a container, in the order in which they were first set.
///
/// # Errors
/// Something is named that does not exist; the message is a kubelet's.
pub(crate) fn environment(
    pod: &Pod,
    container: &Container,
    image: &[(String, String)],
    sources: &Sources,
) -> Result<Vec<(String, String)>, String> {
    // A namespace with a thousand Services gives every container eight thousand variables. One that is set again keeps its place.
    let mut all = IndexMap::new();
    for (name, value) in image {
        all.insert(name.clone(), value.clone());
    }
    let given = pod.spec.as_ref().and_then(|spec| spec.hostname.clone());
    let name = given.or_else(|| pod.metadata.name.clone()).unwrap_or_default();
    all.insert("HOSTNAME".to_owned(), name);
    let mut known = BTreeMap::new();
    for (name, value) in services(pod, &sources.services) {
        known.insert(name.clone(), value.clone());
        all.insert(name, value);
    }
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        if let Some(from) = &source.config_map_ref {
            match sources.config_maps.get(&from.name) {
                Some(map) => {
                    for (key, value) in map.data.iter().flatten() {
                        known.insert(format!("{prefix}{key}"), value.clone());
                        all.insert(format!("{prefix}{key}"), value.clone());
                    }
                }
                None if from.optional == Some(true) => {}
                None => return Err(format!("configmap \"{}\" not found", from.name)),
            }
        }
        if let Some(from) = &source.secret_ref {
            match sources.secrets.get(&from.name) {
                Some(secret) => {
                    for (key, value) in secret.data.iter().flatten() {
                        let value = String::from_utf8_lossy(&value.0).into_owned();
                        known.insert(format!("{prefix}{key}"), value.clone());
                        all.insert(format!("{prefix}{key}"), value);
                    }
                }
                None if from.optional == Some(true) => {}
                None => return Err(format!("secret \"{}\" not found", from.name)),
            }
        }
    }
    for variable in container.env.iter().flatten() {
        let value = match (&variable.value, &variable.value_from) {
            (_, Some(from)) => value_from(pod, container, from, sources)?,
            (value, None) => Some(expand(value.as_deref().unwrap_or_default(), &known)),
        };
        if let Some(value) = value {
            known.insert(variable.name.clone(), value.clone());
            all.insert(variable.name.clone(), value);
        }
    }
    Ok(all.into_iter().collect())
}

fn value_from(
    pod: &Pod,
    container: &Container,
    from: &EnvVarSource,
    sources: &Sources,
) -> Result<Option<String>, String> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    if let Some(field) = &from.field_ref {
        return self::field(pod, field, sources).map(Some);
    }
    if let Some(resource) = &from.resource_field_ref {
        return self::resource(pod, Some(container), resource, sources).map(Some);
    }
    if let Some(key) = &from.config_map_key_ref {
        let optional = key.optional == Some(true);
        let Some(map) = sources.config_maps.get(&key.name) else {
            return missing(optional, format!("configmap \"{}\" not found", key.name));
        };
        return match map.data.as_ref().and_then(|data| data.get(&key.key)) {
            Some(value) => Ok(Some(value.clone())),
            None => missing(
                optional,
                format!("couldn't find key {} in ConfigMap {namespace}/{}", key.key, key.name),
            ),
        };
    }
    if let Some(key) = &from.secret_key_ref {
        let optional = key.optional == Some(true);
        let Some(secret) = sources.secrets.get(&key.name) else {
            return missing(optional, format!("secret \"{}\" not found", key.name));
        };
        return match secret.data.as_ref().and_then(|data| data.get(&key.key)) {
            Some(value) => Ok(Some(String::from_utf8_lossy(&value.0).into_owned())),
            None => missing(
                optional,
                format!("couldn't find key {} in Secret {namespace}/{}", key.key, key.name),
            ),
        };
    }
    Ok(None)
}

fn missing(optional: bool, message: String) -> Result<Option<String>, String> {
    if optional { Ok(None) } else { Err(message) }
}

/// A field of the pod, as the downward API gives it.
pub(crate) fn field(
    pod: &Pod,
    selector: &ObjectFieldSelector,
    sources: &Sources,
) -> Result<String, String> {
    let meta = &pod.metadata;
    let spec = pod.spec.as_ref();
    let path = selector.field_path.as_str();
    if let Some((map, key)) = subscript(path) {
        let map = match map {
            "metadata.labels" => meta.labels.as_ref(),
            "metadata.annotations" => meta.annotations.as_ref(),
            _ => return Err(format!("unsupported fieldPath: {path}")),
        };
        return Ok(map.and_then(|map| map.get(key)).cloned().unwrap_or_default());
    }
    let lines = |map: Option<&BTreeMap<String, String>>| {
        let line = |(key, value): (&String, &String)| format!("{key}={value:?}");
        map.into_iter().flatten().map(line).collect::<Vec<_>>().join("\n")
    };
    Ok(match path {
        "metadata.name" => meta.name.clone().unwrap_or_default(),
        "metadata.namespace" => meta.namespace.clone().unwrap_or_default(),
        "metadata.uid" => meta.uid.clone().unwrap_or_default(),
        "metadata.labels" => lines(meta.labels.as_ref()),
        "metadata.annotations" => lines(meta.annotations.as_ref()),
        "spec.nodeName" => spec.and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
        "spec.serviceAccountName" => {
            spec.and_then(|spec| spec.service_account_name.clone()).unwrap_or_default()
        }
        "status.podIP" | "status.podIPs" => sources.pod_ip.clone(),
        "status.hostIP" | "status.hostIPs" => sources.host_ip.clone(),
        _ => return Err(format!("unsupported fieldPath: {path}")),
    })
}

/// `metadata.labels['key']` in its parts.
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (map, rest) = path.split_once("['")?;
    Some((map, rest.strip_suffix("']")?))
}

/// A request or limit of a container, as the downward API gives it.
pub(crate) fn resource(
    pod: &Pod,
    container: Option<&Container>,
    selector: &ResourceFieldSelector,
    sources: &Sources,
) -> Result<String, String> {
    let named = selector.container_name.as_deref().and_then(|name| super::container(pod, name));
    let container = named.as_ref().map(|(_, container)| container.as_ref()).or(container);
    let container = container.ok_or("no container for the resource field")?;
    let path = selector.resource.as_str();
    let (kind, name) =
        path.split_once('.').ok_or_else(|| format!("unsupported container resource : {path}"))?;
    let resources = container.resources.as_ref();
    let limits = resources.and_then(|all| all.limits.as_ref()).and_then(|all| all.get(name));
    let requests = resources.and_then(|all| all.requests.as_ref()).and_then(|all| all.get(name));
    let quantity = if kind == "limits" { limits } else { requests };
    let value = match (quantity, kind, name) {
        (Some(quantity), ..) => quantity::milli(&quantity.0).unwrap_or(0),
        (None, "limits", "cpu") => sources.machine.0,
        (None, "limits", "memory") => sources.machine.1 * 1000,
        _ => 0,
    };
    let divisor = selector.divisor.as_ref().and_then(|one| quantity::milli(&one.0));
    let divisor = divisor.filter(|divisor| *divisor > 0).unwrap_or(1000);
    Ok((value.div_euclid(divisor) + i128::from(value.rem_euclid(divisor) != 0)).to_string())
}

/// Fills in `$(NAME)`; `$$` is a dollar sign, and names that are not known stay as they are.
pub(crate) fn expand(text: &str, known: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let after = after.get(1..).unwrap_or_default();
        if let Some(tail) = after.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if let Some((name, tail)) =
            after.strip_prefix('(').and_then(|inner| inner.split_once(')'))
        {
            match known.get(name) {
                Some(value) => out.push_str(value),
                None => {
                    out.push_str("$(");
                    out.push_str(name);
                    out.push(')');
                }
            }
            rest = tail;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

/// The variables that tell of Services: `NAME_SERVICE_HOST` and its like.
fn services(pod: &Pod, services: &[Service]) -> Vec<(String, String)> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let links = pod.spec.as_ref().and_then(|spec| spec.enable_service_links).unwrap_or(true);
    let mut out = Vec::new();
    for service in services {
        let name = service.metadata.name.as_deref().unwrap_or_default();
        let home = service.metadata.namespace.as_deref().unwrap_or_default();
        let is_api = home == "default" && name == "kubernetes";
        if !(is_api || links && home == namespace) {
            continue;
        }
        let Some(spec) = &service.spec else { continue };
        let address = spec.cluster_ip.as_deref().unwrap_or_default();
        let ports = spec.ports.as_deref().unwrap_or_default();
        let (Some(first), false) = (ports.first(), matches!(address, "" | "None")) else {
            continue;
        };
        let prefix = name.to_uppercase().replace(['-', '.'], "_");
        out.push((format!("{prefix}_SERVICE_HOST"), address.to_owned()));
        out.push((format!("{prefix}_SERVICE_PORT"), first.port.to_string()));
        for port in ports {
            if let Some(name) = port.name.as_deref().filter(|name| !name.is_empty()) {
                let name = name.to_uppercase().replace('-', "_");
                out.push((format!("{prefix}_SERVICE_PORT_{name}"), port.port.to_string()));
            }
        }
        let url =
            |protocol: &str, port: i32| format!("{}://{address}:{port}", protocol.to_lowercase());
        let protocol = |name: &Option<String>| name.clone().unwrap_or_else(|| "TCP".to_owned());
        out.push((format!("{prefix}_PORT"), url(&protocol(&first.protocol), first.port)));
        for port in ports {
            let protocol = protocol(&port.protocol);
            let begin = format!("{prefix}_PORT_{}_{protocol}", port.port);
            out.push((begin.clone(), url(&protocol, port.port)));
            out.push((format!("{begin}_PROTO"), protocol.to_lowercase()));
            out.push((format!("{begin}_PORT"), port.port.to_string()));
            out.push((format!("{begin}_ADDR"), address.to_owned()));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_are_filled_in_and_what_is_unknown_stays() {
        let known = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
        let check = |text: &str, expect: &str| assert_eq!(expand(text, &known), expect);
        check("x$(A)y", "x1y");
        check("$(B) $$(A) $", "$(B) $(A) $");
        check("$A $(A", "$A $(A");
        check("$$$(A)", "$1");
    }

    fn pod() -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "shop", "labels": {"app": "web"}},
            "spec": {"nodeName": "serin", "containers": [{
                "name": "a",
                "resources": {"limits": {"cpu": "1500m"}},
                "envFrom": [{"prefix": "C_", "configMapRef": {"name": "map"}}],
                "env": [
                    {"name": "HOST", "value": "$(REVIEWS_SERVICE_HOST):$(REVIEWS_SERVICE_PORT)"},
                    {"name": "ME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                    {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
                    {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                    {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
                    {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "secret", "key": "k"}}},
                    {"name": "NONE", "valueFrom": {"configMapKeyRef": {"name": "map", "key": "z", "optional": true}}},
                    {"name": "BOTH", "value": "$(ME)-$(C_x)-$(NONE)"},
                    {"name": "PATH", "value": "/own"},
                ],
            }]},
        }))
        .unwrap()
    }

    fn sources() -> Sources {
        let object = |value| serde_json::from_value(value).unwrap();
        Sources {
            config_maps: BTreeMap::from([("map".to_owned(), object(json!({"data": {"x": "y"}})))]),
            secrets: BTreeMap::from([(
                "secret".to_owned(),
                serde_json::from_value(json!({"data": {"k": "aGVsbG8="}})).unwrap(),
            )]),
            services: vec![
                serde_json::from_value(json!({
                    "metadata": {"name": "reviews", "namespace": "shop"},
                    "spec": {"clusterIP": "10.96.3.4", "ports": [{"name": "http-web", "port": 9080}]},
                }))
                .unwrap(),
                serde_json::from_value(json!({
                    "metadata": {"name": "headless", "namespace": "shop"},
                    "spec": {"clusterIP": "None", "ports": [{"port": 80}]},
                }))
                .unwrap(),
            ],
            pod_ip: "10.244.0.5".to_owned(),
            ..Sources::default()
        }
    }

    #[test]
    fn a_container_gets_services_maps_secrets_and_fields() {
        let pod = pod();
        let container = &pod.spec.as_ref().unwrap().containers[0];
        let image = [("PATH".to_owned(), "/bin".to_owned()), ("LANG".to_owned(), "C".to_owned())];
        let all = environment(&pod, container, &image, &sources()).unwrap();
        let text: Vec<_> = all.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            text,
            [
                "PATH=/own",
                "LANG=C",
                "HOSTNAME=p",
                "REVIEWS_SERVICE_HOST=10.96.3.4",
                "REVIEWS_SERVICE_PORT=9080",
                "REVIEWS_SERVICE_PORT_HTTP_WEB=9080",
                "REVIEWS_PORT=tcp://10.96.3.4:9080",
                "REVIEWS_PORT_9080_TCP=tcp://10.96.3.4:9080",
                "REVIEWS_PORT_9080_TCP_PROTO=tcp",
                "REVIEWS_PORT_9080_TCP_PORT=9080",
                "REVIEWS_PORT_9080_TCP_ADDR=10.96.3.4",
                "C_x=y",
                "HOST=10.96.3.4:9080",
                "ME=p",
                "APP=web",
                "IP=10.244.0.5",
                "CPU=2",
                "KEY=hello",
                "BOTH=p-y-$(NONE)",
            ]
        );
    }

    #[test]
    fn what_is_missing_is_named_as_a_kubelet_names_it() {
        let pod = pod();
        let container = &pod.spec.as_ref().unwrap().containers[0];
        let mut sources = sources();
        sources.secrets.clear();
        let error = environment(&pod, container, &[], &sources).unwrap_err();
        assert_eq!(error, "secret \"secret\" not found");
        sources.config_maps.clear();
        let error = environment(&pod, container, &[], &sources).unwrap_err();
        assert_eq!(error, "configmap \"map\" not found");
    }
}
