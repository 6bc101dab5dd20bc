//! The roles and bindings that are there before anyone made any.

use serde_json::{Map, Value, json};

use super::aggregation::gathered;

/// The ClusterRoles, as objects to create.
pub(crate) fn cluster_roles(table: &Value) -> Vec<Value> {
    let mut roles: Vec<Value> = list(table, "roles")
        .map(|role| {
            let labels = role.get("labels").and_then(Value::as_object).cloned().unwrap_or_default();
            let mut out = object("ClusterRole", &role["name"], labels);
            if let Some(aggregate) = role.get("aggregate").and_then(Value::as_array) {
                let selectors: Vec<Value> = aggregate
                    .iter()
                    .filter_map(Value::as_str)
                    .map(|label| json!({"matchLabels": {label: "true"}}))
                    .collect();
                out["aggregationRule"] = json!({"clusterRoleSelectors": selectors});
            }
            out["rules"] = role.get("rules").cloned().unwrap_or_else(|| json!([]));
            out
        })
        .chain(controllers(table))
        .collect();
    // Some gather from others that gather.
    loop {
        let all = roles.clone();
        let mut changed = false;
        for role in &mut roles {
            if let Some(rules) = gathered(role, &all) {
                role["rules"] = rules.into();
                changed = true;
            }
        }
        if !changed {
            return roles;
        }
    }
}

/// The rule that lets a controller tell what it did.
fn events() -> Value {
    json!({"apiGroups": ["", "events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch", "update"]})
}

/// The ClusterRoles of controllers.
fn controllers(table: &Value) -> impl Iterator<Item = Value> + '_ {
    list(table, "controllers").map(|it| {
        let name = controller(it);
        let mut rules = it["rules"].as_array().cloned().unwrap_or_default();
        rules.extend((it["events"] != false).then(events));
        let mut out = object("ClusterRole", &json!(name), Map::new());
        out["rules"] = rules.into();
        out
    })
}

fn controller(it: &Value) -> String {
    format!("system:controller:{}", it["name"].as_str().unwrap_or_default())
}

/// The ClusterRoleBindings, as objects to create.
pub(crate) fn cluster_role_bindings(table: &Value) -> Vec<Value> {
    let general = list(table, "bindings").map(|it| {
        binding("ClusterRoleBinding", &it["name"], ("ClusterRole", &it["role"]), &it["to"])
    });
    let of_controllers = list(table, "controllers").map(|it| {
        let name = json!(controller(it));
        let to = json!([format!("s:{}", it["name"].as_str().unwrap_or_default())]);
        binding("ClusterRoleBinding", &name, ("ClusterRole", &name), &to)
    });
    general.chain(of_controllers).collect()
}

/// The Roles of a namespace and their bindings, as objects to create.
pub(crate) fn namespaced(table: &Value, namespace: &str) -> (Vec<Value>, Vec<Value>) {
    let here = || list(table, "namespaced").filter(move |it| it["namespace"] == namespace);
    let roles = here().map(|it| {
        let mut out = object("Role", &it["name"], Map::new());
        out["rules"] = it["rules"].clone();
        out
    });
    let bindings = here().map(|it| {
        let name = it.get("binding").unwrap_or(&it["name"]);
        binding("RoleBinding", name, ("Role", &it["name"]), &it["to"])
    });
    (roles.collect(), bindings.collect())
}

fn binding(kind: &str, name: &Value, (of, role): (&str, &Value), to: &Value) -> Value {
    const GROUP: &str = "rbac.authorization.k8s.io";
    let mut out = object(kind, name, Map::new());
    out["roleRef"] = json!({"apiGroup": GROUP, "kind": of, "name": role});
    let to = to.as_array().into_iter().flatten().filter_map(Value::as_str);
    let subjects: Vec<Value> = to
        .filter_map(|it| {
            Some(match it.split_once(':')? {
                ("g", name) => json!({"apiGroup": GROUP, "kind": "Group", "name": name}),
                ("u", name) => json!({"apiGroup": GROUP, "kind": "User", "name": name}),
                (_, name) => {
                    json!({"kind": "ServiceAccount", "name": name, "namespace": "kube-system"})
                }
            })
        })
        .collect();
    if !subjects.is_empty() {
        out["subjects"] = subjects.into();
    }
    out
}

fn object(kind: &str, name: &Value, mut labels: Map<String, Value>) -> Value {
    labels.insert("kubernetes.io/bootstrapping".into(), json!("rbac-defaults"));
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {
            "name": name,
            "labels": labels,
            "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
        },
    })
}

/// The table of roles and bindings.
pub(crate) fn table() -> Value {
    let stream = serin_api::yaml::read(include_str!("../roles.yaml"));
    stream.documents.first().map(|document| document.root.to_json()).unwrap_or_default()
}

/// A list of the table.
fn list<'t>(table: &'t Value, name: &str) -> impl Iterator<Item = &'t Value> + use<'t> {
    table[name].as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_roles_is_read() {
        let table = table();
        let roles = cluster_roles(&table);
        assert!(roles.iter().any(|role| role["metadata"]["name"] == "cluster-admin"));
        assert!(
            roles
                .iter()
                .all(|role| !role["rules"].is_null() && role["metadata"]["name"].is_string())
        );
        let admin = roles.iter().find(|role| role["metadata"]["name"] == "admin").unwrap();
        let rules = admin["rules"].as_array().unwrap();
        assert!(rules.iter().any(|rule| rule["resources"][0] == "rolebindings"), "its own");
        assert!(rules.iter().any(|rule| rule["resources"][0] == "endpointslices"), "those of view");
        let bindings = cluster_role_bindings(&table);
        assert_eq!(bindings[3]["subjects"].as_array().map(Vec::len), Some(2));
        assert!(bindings.iter().any(|it| it["subjects"][0]["name"] == "job-controller"));
        let (roles, bindings) = namespaced(&table, "kube-system");
        assert_eq!(roles[0]["metadata"]["name"], "extension-apiserver-authentication-reader");
        assert_eq!(bindings[0]["subjects"][1]["name"], "system:kube-scheduler");
        assert_eq!(namespaced(&table, "kube-public").0.len(), 1);
    }
}
