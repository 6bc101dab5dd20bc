//! Roles, and what they let users do.

use http::Method;
use serde_json::{Value, json};
use serin_apiserver::{Settings, User};

use super::support::{Client, start};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const REVIEWS: &str = "/apis/authorization.k8s.io/v1";

/// Gives a user a cluster role in a namespace, or everywhere.
async fn grant(client: &Client, user: &str, role: &str, namespace: Option<&str>) {
    let (kind, place) = match namespace {
        Some(namespace) => ("RoleBinding", format!("{RBAC}/namespaces/{namespace}/rolebindings")),
        None => ("ClusterRoleBinding", format!("{RBAC}/clusterrolebindings")),
    };
    let binding = json!({
        "kind": kind, "apiVersion": "rbac.authorization.k8s.io/v1",
        "metadata": {"name": format!("{user}-{role}")},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "User", "name": user}],
    });
    let made = client.post(&place, binding).await;
    assert_eq!(made.code, 201, "{made:?}");
}

fn rule(verbs: &[&str], group: &str, resources: &[&str]) -> Value {
    json!({"verbs": verbs, "apiGroups": [group], "resources": resources})
}

#[tokio::test]
async fn someone_without_roles_may_only_look_around() {
    let client = start(Settings::default()).await;
    let ann = client.acting_as(User::new("ann", &[]));
    for (path, code) in [
        ("/api", 200),
        ("/apis/apps/v1", 200),
        ("/openapi/v3", 200),
        ("/version", 200),
        ("/metrics", 403),
        ("/api/v1/namespaces/default/pods", 403),
    ] {
        assert_eq!(ann.get(path).await.code, code, "{path}");
    }
    let check = async |method: Method, path: &str, text: &str| {
        let refused = ann.send(method, path, Some(json!({}))).await;
        assert_eq!((refused.code, refused.message()), (403, text));
    };
    check(
        Method::GET,
        "/api/v1/namespaces/default/pods",
        "pods is forbidden: User \"ann\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"",
    )
    .await;
    check(
        Method::GET,
        "/api/v1/nodes",
        "nodes is forbidden: User \"ann\" cannot list resource \"nodes\" in API group \"\" at the cluster scope",
    )
    .await;
    check(
        Method::PUT,
        "/apis/apps/v1/namespaces/a/deployments/b/scale",
        "deployments.apps \"b\" is forbidden: User \"ann\" cannot update resource \"deployments/scale\" in API group \
         \"apps\" in the namespace \"a\"",
    )
    .await;
    check(Method::GET, "/logs", "forbidden: User \"ann\" cannot get path \"/logs\"").await;
    let nobody = client.stranger(None);
    let codes = [("/version", 200), ("/healthz", 200), ("/readyz", 200), ("/livez", 200)];
    for (path, code) in codes.into_iter().chain([("/api", 401), ("/api/v1/pods", 401)]) {
        assert_eq!(nobody.get(path).await.code, code, "{path}");
    }
}

#[tokio::test]
async fn a_role_holds_where_it_is_bound() {
    let client = start(Settings::default()).await;
    client.post("/api/v1/namespaces", json!({"metadata": {"name": "other"}})).await;
    grant(&client, "ann", "view", Some("default")).await;
    grant(&client, "eve", "edit", None).await;
    let (ann, eve) =
        (client.acting_as(User::new("ann", &[])), client.acting_as(User::new("eve", &[])));
    let maps = |namespace: &str| format!("/api/v1/namespaces/{namespace}/configmaps");
    let map = json!({"metadata": {"name": "m"}});
    assert_eq!(ann.get(&maps("default")).await.code, 200);
    assert_eq!(ann.get(&maps("other")).await.code, 403);
    assert_eq!(ann.get("/api/v1/configmaps").await.code, 403);
    assert_eq!(ann.get("/api/v1/namespaces/default/secrets").await.code, 403);
    assert_eq!(ann.post(&maps("default"), map.clone()).await.code, 403);
    assert_eq!(eve.post(&maps("other"), map).await.code, 201);
    assert_eq!(eve.get("/api/v1/secrets").await.code, 200);
    assert_eq!(eve.get(&format!("{RBAC}/namespaces/default/roles")).await.code, 403);
    let gone = client.delete(&format!("{RBAC}/clusterrolebindings/eve-edit")).await;
    assert_eq!(gone.code, 200);
    assert_eq!(eve.get("/api/v1/secrets").await.code, 403, "a right ends with its binding");
}

#[tokio::test]
async fn a_binding_of_a_role_that_is_not_there_is_named() {
    let client = start(Settings::default()).await;
    grant(&client, "ann", "nothing", None).await;
    let ann = client.acting_as(User::new("ann", &[]));
    assert_eq!(
        ann.get("/api/v1/nodes").await.message(),
        "nodes is forbidden: User \"ann\" cannot list resource \"nodes\" in API group \"\" at the cluster scope: RBAC: \
         clusterrole.rbac.authorization.k8s.io \"nothing\" not found"
    );
}

#[tokio::test]
async fn a_role_gathers_the_rules_of_others_by_label() {
    let client = start(Settings::default()).await;
    let path = format!("{RBAC}/clusterroles");
    let role = json!({
        "metadata": {"name": "things", "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
        "rules": [rule(&["get"], "example.com", &["things"])],
    });
    assert_eq!(client.post(&path, role).await.code, 201);
    for role in ["view", "edit", "admin"] {
        let rules = client.get(&format!("{path}/{role}")).await.body["rules"].clone();
        let found = rules.as_array().unwrap().iter().any(|it| it["resources"][0] == "things");
        assert!(found, "{role} gathers it");
    }
    client.delete(&format!("{path}/things")).await;
    let rules = client.get(&format!("{path}/admin")).await.body["rules"].to_string();
    assert!(!rules.contains("things"));
}

#[tokio::test]
async fn nobody_gives_what_they_do_not_have() {
    let client = start(Settings::default()).await;
    let roles = format!("{RBAC}/namespaces/default/roles");
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    grant(&client, "ann", "admin", Some("default")).await;
    let ann = client.acting_as(User::new("ann", &[]));
    let role = |name: &str, rules: Value| json!({"metadata": {"name": name}, "rules": rules});
    let own = role("own", json!([rule(&["get", "list"], "", &["pods"])]));
    assert_eq!(ann.post(&roles, own).await.code, 201);
    let more = role("more", json!([rule(&["get", "list"], "", &["pods", "nodes"])]));
    let refused = ann.post(&roles, more.clone()).await;
    assert_eq!(refused.code, 403);
    assert_eq!(
        refused.message(),
        "roles.rbac.authorization.k8s.io \"more\" is forbidden: user \"ann\" (groups=[\"system:authenticated\"]) is attempting \
         to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"nodes\"], Verbs:[\"get\" \"list\"]}"
    );
    let binding = |role: &str| {
        json!({
            "metadata": {"name": role},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "User", "name": "bob"}],
        })
    };
    assert_eq!(ann.post(&bindings, binding("view")).await.code, 201);
    assert_eq!(ann.post(&bindings, binding("cluster-admin")).await.code, 403);
    assert_eq!(ann.post(&bindings, binding("absent")).await.code, 404);
    // With the verbs for it, it is allowed.
    let verbs = role(
        "verbs",
        json!([rule(
            &["bind", "escalate"],
            "rbac.authorization.k8s.io",
            &["roles", "clusterroles"]
        )]),
    );
    let everywhere = format!("{RBAC}/clusterroles");
    assert_eq!(client.post(&everywhere, verbs).await.code, 201);
    grant(&client, "ann", "verbs", Some("default")).await;
    assert_eq!(ann.post(&roles, more).await.code, 201);
    assert_eq!(ann.post(&bindings, binding("cluster-admin")).await.code, 201);
}

#[tokio::test]
async fn access_is_reviewed() {
    let client = start(Settings::default()).await;
    grant(&client, "ann", "view", Some("default")).await;
    let ann = client.acting_as(User::new("ann", &[]));
    let asked = json!({"spec": {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"}}});
    let own = ann.post(&format!("{REVIEWS}/selfsubjectaccessreviews"), asked.clone()).await;
    assert_eq!(own.code, 201);
    assert_eq!(
        own.body["status"],
        json!({"allowed": true, "reason": "RBAC: allowed by RoleBinding \"ann-view/default\" of ClusterRole \"view\" to User \"ann\""})
    );
    let other = ann.post(&format!("{REVIEWS}/subjectaccessreviews"), asked.clone()).await;
    assert_eq!(other.code, 403, "one may ask for oneself only");
    let about = |user: &str, verb: &str| {
        let mut asked = asked.clone();
        asked["spec"]["user"] = user.into();
        asked["spec"]["resourceAttributes"]["verb"] = verb.into();
        asked
    };
    let review = async |asked: Value| {
        let path = format!("{REVIEWS}/subjectaccessreviews");
        client.post(&path, asked).await
    };
    assert_eq!(review(about("ann", "list")).await.body["status"]["allowed"], true);
    assert_eq!(review(about("ann", "delete")).await.body["status"], json!({"allowed": false}));
    assert_eq!(review(asked.clone()).await.code, 422);
    let path = json!({"spec": {"nonResourceAttributes": {"verb": "get", "path": "/version"}}});
    let own = ann.post(&format!("{REVIEWS}/selfsubjectaccessreviews"), path).await;
    assert_eq!(own.body["status"]["allowed"], true);
    let local = format!("{REVIEWS}/namespaces/other/localsubjectaccessreviews");
    assert_eq!(client.post(&local, about("ann", "get")).await.code, 422);
    let rules = ann
        .post(
            &format!("{REVIEWS}/selfsubjectrulesreviews"),
            json!({"spec": {"namespace": "default"}}),
        )
        .await
        .body;
    let some = |list: &str| rules["status"][list].as_array().unwrap().len();
    assert!(some("resourceRules") > 5 && some("nonResourceRules") >= 1, "{rules}");
}
