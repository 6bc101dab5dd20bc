//! What the server has: groups, versions and resources, in the old form and in the aggregated one.

use serde_json::{Value, json};
use serin_objects::{Catalog, Resource, Subresource, catalog};

use crate::server::aggregate::Served;

/// Aggregated discovery of the core group, or of all others. `version` is that of the form: `v2` or `v2beta1`.
pub(crate) fn aggregated(catalog: &Catalog, served: &[Served], version: &str, core: bool) -> Value {
    let groups = catalog.groups().iter().filter(|group| group.name.is_empty() == core);
    let mut items: Vec<Value> = groups
        .map(|group| {
            let versions: Vec<Value> = group
                .versions
                .iter()
                .map(|version| {
                    let resources: Vec<Value> =
                        version.resources.values().map(|resource| discovered(resource)).collect();
                    json!({"version": version.name, "resources": resources, "freshness": "Current"})
                })
                .collect();
            json!({"metadata": {"name": group.name, "creationTimestamp": null}, "versions": versions})
        })
        .collect();
    for served in served.iter().filter(|_| !core) {
        let entry =
            json!({"version": served.version, "resources": listed(served), "freshness": "Current"});
        add(
            &mut items,
            "/metadata/name",
            &served.group,
            entry,
            || json!({"metadata": {"name": served.group, "creationTimestamp": null}, "versions": []}),
        );
    }
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {},
        "items": items,
    })
}

/// Adds a version to its group, which is made where it is not there.
fn add(
    groups: &mut Vec<Value>,
    at: &str,
    name: &str,
    version: Value,
    make: impl FnOnce() -> Value,
) {
    let found =
        groups.iter().position(|group| group.pointer(at).and_then(Value::as_str) == Some(name));
    let place = found.unwrap_or_else(|| {
        groups.push(make());
        groups.len() - 1
    });
    if let Some(versions) = groups.get_mut(place).and_then(|group| group["versions"].as_array_mut())
    {
        versions.push(version);
    }
}

/// The resources of another service in the aggregated form.
fn listed(served: &Served) -> Vec<Value> {
    let entries = || served.list["resources"].as_array().into_iter().flatten();
    let kind = |entry: &Value| {
        let text = |name: &str, other: &str| {
            let own = entry[name].as_str().filter(|text| !text.is_empty());
            own.unwrap_or(other).to_owned()
        };
        json!({"group": text("group", &served.group), "version": text("version", &served.version), "kind": entry["kind"]})
    };
    let whole = entries().filter(|entry| !entry["name"].as_str().unwrap_or_default().contains('/'));
    whole
        .map(|entry| {
            let name = entry["name"].as_str().unwrap_or_default();
            let mut out = json!({
                "resource": name,
                "responseKind": kind(entry),
                "scope": if entry["namespaced"] == true { "Namespaced" } else { "Cluster" },
                "singularResource": entry["singularName"],
                "verbs": entry["verbs"],
            });
            for field in ["shortNames", "categories"] {
                if entry[field].is_array() {
                    out[field] = entry[field].clone();
                }
            }
            let parts: Vec<Value> = entries()
                .filter_map(|part| {
                    let sub = part["name"].as_str()?.strip_prefix(name)?.strip_prefix('/')?;
                    Some(json!({"subresource": sub, "responseKind": kind(part), "verbs": part["verbs"]}))
                })
                .collect();
            if !parts.is_empty() {
                out["subresources"] = Value::Array(parts);
            }
            out
        })
        .collect()
}

fn discovered(resource: &Resource) -> Value {
    let kind = |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    let mut out = json!({
        "resource": resource.plural,
        "responseKind": kind(&resource.group, &resource.version, &resource.kind),
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": resource.verbs,
    });
    put_names(&mut out, resource);
    let subresources: Vec<Value> = resource
        .subresources
        .iter()
        .map(|sub| {
            let (group, version) = kind_of(resource, sub);
            json!({
                "subresource": sub.name,
                "responseKind": kind(group, version, &sub.kind),
                "verbs": sub.verbs,
            })
        })
        .collect();
    if !subresources.is_empty() {
        out["subresources"] = Value::Array(subresources);
    }
    out
}

fn put_names(out: &mut Value, resource: &Resource) {
    if !resource.short_names.is_empty() {
        out["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        out["categories"] = json!(resource.categories);
    }
}

/// Group and version of a subresource's kind.
fn kind_of<'r>(resource: &'r Resource, sub: &'r Subresource) -> (&'r str, &'r str) {
    if sub.version.is_empty() {
        (&resource.group, &resource.version)
    } else {
        (&sub.group, &sub.version)
    }
}

/// `/api`.
pub(crate) fn core_versions(address: &str) -> Value {
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    })
}

/// `/apis`.
pub(crate) fn groups(catalog: &Catalog, served: &[Served]) -> Value {
    let own = catalog.groups().iter().filter(|group| !group.name.is_empty());
    let mut groups: Vec<Value> = own.map(group_value).collect();
    for served in served {
        let version = json!({
            "groupVersion": catalog::api_version(&served.group, &served.version),
            "version": served.version,
        });
        let preferred = version.clone();
        add(
            &mut groups,
            "/name",
            &served.group,
            version,
            || json!({"name": served.group, "preferredVersion": preferred, "versions": []}),
        );
    }
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/GROUP`.
pub(crate) fn group(catalog: &Catalog, served: &[Served], name: &str) -> Option<Value> {
    let all = groups(catalog, served);
    let mut out = all["groups"].as_array()?.iter().find(|group| group["name"] == name)?.clone();
    out["kind"] = json!("APIGroup");
    out["apiVersion"] = json!("v1");
    Some(out)
}

fn group_value(group: &catalog::Group) -> Value {
    let version = |version: &catalog::Version| {
        let name = catalog::api_version(&group.name, &version.name);
        json!({"groupVersion": name, "version": version.name})
    };
    let versions: Vec<Value> = group.versions.iter().map(version).collect();
    json!({"name": group.name, "preferredVersion": versions.first(), "versions": versions})
}

/// `/api/v1` and `/apis/GROUP/VERSION`.
pub(crate) fn resources(catalog: &Catalog, group: &str, version: &str) -> Option<Value> {
    let found = catalog.version(group, version)?;
    let mut resources = Vec::new();
    for resource in found.resources.values() {
        let mut entry = json!({
            "name": resource.plural,
            "singularName": resource.singular,
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": resource.verbs,
        });
        put_names(&mut entry, resource);
        resources.push(entry);
        for sub in &resource.subresources {
            let mut entry = json!({
                "name": format!("{}/{}", resource.plural, sub.name),
                "singularName": "",
                "namespaced": resource.namespaced,
                "kind": sub.kind,
                "verbs": sub.verbs,
            });
            if !sub.version.is_empty() {
                entry["group"] = json!(sub.group);
                entry["version"] = json!(sub.version);
            }
            resources.push(entry);
        }
    }
    Some(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": catalog::api_version(group, version),
        "resources": resources,
    }))
}

/// `/version`. Clients choose what they ask for by it.
pub(crate) fn version() -> Value {
    json!({
        "major": "1",
        "minor": "33",
        "emulationMajor": "1",
        "emulationMinor": "33",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "32",
        "gitVersion": concat!("v1.33.0+serin-", env!("CARGO_PKG_VERSION")),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": "linux/amd64",
    })
}

/// `/`: the paths that can be asked.
pub(crate) fn paths(catalog: &Catalog, served: &[Served]) -> Value {
    let mut paths: Vec<String> =
        vec!["/api".into(), "/api/v1".into(), "/apis".into(), "/apis/".into()];
    for group in catalog.groups().iter().filter(|group| !group.name.is_empty()) {
        paths.push(format!("/apis/{}", group.name));
        paths.extend(group.versions.iter().map(|v| format!("/apis/{}/{}", group.name, v.name)));
    }
    for served in served {
        paths.push(format!("/apis/{}", served.group));
        paths.push(format!("/apis/{}/{}", served.group, served.version));
    }
    let other =
        ["/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/openapi/v3/", "/readyz", "/version"];
    paths.extend(other.map(str::to_owned));
    paths.sort();
    paths.dedup();
    json!({"paths": paths})
}
