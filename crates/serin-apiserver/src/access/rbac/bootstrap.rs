//! The roles and bindings that are there before anyone made any.

use serde_json::{Map, Value, json};

use super::aggregation::gathered;

/// The ClusterRoles, as objects to create.
pub(crate) fn cluster_roles() -> Vec<Value> {
    let mut roles: Vec<Value> = list("roles")
        .into_iter()
        .map(|role| {
            let mut labels =
                role.get("labels").and_then(Value::as_object).cloned().unwrap_or_default();
            labels.insert("kubernetes.io/bootstrapping".into(), json!("rbac-defaults"));
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

/// The ClusterRoleBindings, as objects to create.
pub(crate) fn cluster_role_bindings() -> Vec<Value> {
    list("bindings")
        .into_iter()
        .map(|binding| {
            let labels = Map::from_iter([("kubernetes.io/bootstrapping".to_owned(), json!("rbac-defaults"))]);
            let mut out = object("ClusterRoleBinding", &binding["name"], labels);
            out["roleRef"] =
                json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": binding["role"]});
            let subject =
                |name: &Value| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": name});
            let groups = [binding.get("group"), binding.get("also")];
            out["subjects"] = groups.into_iter().flatten().map(subject).collect();
            out
        })
        .collect()
}

fn object(kind: &str, name: &Value, labels: Map<String, Value>) -> Value {
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

/// A list of the table of roles.
fn list(name: &str) -> Vec<Value> {
    let stream = serin_api::yaml::read(include_str!("../roles.yaml"));
    let root = stream.documents.first().map(|document| document.root.to_json());
    let found = root.and_then(|root| root.get(name).and_then(Value::as_array).cloned());
    found.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_roles_is_read() {
        let roles = cluster_roles();
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
        assert_eq!(cluster_role_bindings()[3]["subjects"].as_array().map(Vec::len), Some(2));
    }
}
