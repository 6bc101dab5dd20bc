//! What every namespace has, and gets again when it is deleted.

use std::pin::Pin;

use serde_json::{Value, json};
use serin_objects::Resource;

use super::tokens::ACCOUNT;
use crate::server::ApiServer;

/// Makes what every namespace has: the account that pods use, and the certificate by which they know the server.
pub(super) fn furnish(
    server: ApiServer,
    namespace: String,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let user = crate::User::component("namespaces");
        let account =
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
        let authority = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "kube-root-ca.crt"},
            "data": {"ca.crt": server.inner.authority.pem()},
        });
        for (plural, object) in [("serviceaccounts", account), ("configmaps", authority)] {
            let path = format!("/api/v1/namespaces/{namespace}/{plural}");
            let made = server.ask(&user, http::Method::POST, &path, Some(&object)).await;
            if let Err(status) = made
                && status.code != 409
            {
                tracing::warn!(namespace, plural, problem = %status.message, "a namespace is not complete");
            }
        }
    })
}

/// What follows when an account or a map goes: the one that every namespace has comes back, and the tokens of an account
/// go with it.
pub(super) async fn gone(server: &ApiServer, resource: &Resource, object: &Value) {
    if !resource.group.is_empty() {
        return;
    }
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    let (name, namespace) = (text("name"), text("namespace"));
    if resource.kind == "ServiceAccount" {
        let store = &server.inner.store;
        let (secrets, _) = store.list("/secrets", &format!("{namespace}/"), None);
        for (key, secret) in secrets {
            if secret.value()["metadata"]["annotations"][ACCOUNT] == name {
                // Someone else may have changed or deleted it meanwhile; its token is worth nothing in any case.
                let _ = store.delete("/secrets", &key, secret.revision()).await;
            }
        }
    }
    let is_needed = matches!(
        (resource.kind.as_str(), name),
        ("ServiceAccount", "default") | ("ConfigMap", "kube-root-ca.crt")
    );
    let open = server.inner.store.object("/namespaces", namespace);
    let open = open.is_some_and(|it| !it.value()["metadata"]["deletionTimestamp"].is_string());
    if is_needed && open {
        furnish(server.clone(), namespace.to_owned()).await;
    }
}
