//! What every namespace has, and gets again when it is deleted; and what is told of one that is to go.

use std::collections::BTreeMap;
use std::pin::Pin;

use jiff::Timestamp;
use serde_json::{Value, json};
use serin_objects::Resource;

use super::tokens::ACCOUNT;
use crate::server::ApiServer;

/// What Kubernetes says of the map, word for word: people compare the object.
const DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";

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
            "metadata": {
                "name": "kube-root-ca.crt",
                "annotations": {"kubernetes.io/description": DESCRIPTION},
            },
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

/// Says in the conditions of a namespace that is to go what it still waits for.
pub(super) fn tell<'l>(
    namespace: &mut Value,
    left: impl Iterator<Item = (&'l Resource, &'l Value)>,
) {
    let mut objects: BTreeMap<String, usize> = BTreeMap::new();
    let mut finalizers: BTreeMap<String, usize> = BTreeMap::new();
    for (resource, object) in left {
        *objects.entry(format!("{}.{}", resource.plural, resource.group)).or_default() += 1;
        for name in object["metadata"]["finalizers"].as_array().into_iter().flatten() {
            *finalizers.entry(name.as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
    }
    let counted = |all: &BTreeMap<String, usize>, link: &str| {
        let texts =
            all.iter().map(|(name, count)| format!("{name} {link} {count} resource instances"));
        texts.collect::<Vec<_>>().join(", ")
    };
    let remaining = if objects.is_empty() {
        ("False", "ContentRemoved", "All content successfully removed".to_owned())
    } else {
        let list = counted(&objects, "has");
        ("True", "SomeResourcesRemain", format!("Some resources are remaining: {list}"))
    };
    let held = if finalizers.is_empty() {
        let text = "All content-preserving finalizers finished".to_owned();
        ("False", "ContentHasNoFinalizers", text)
    } else {
        let list = counted(&finalizers, "in");
        let text = format!("Some content in the namespace has finalizers remaining: {list}");
        ("True", "SomeFinalizersRemain", text)
    };
    // The first three are about what can go wrong where other servers have to be asked.
    let fine = |reason, text: &str| ("False", reason, text.to_owned());
    let discovered = fine("ResourcesDiscovered", "All resources successfully discovered");
    let parsed = fine("ParsedGroupVersions", "All legacy kube types successfully parsed");
    let deleted = "All content successfully deleted, may be waiting on finalization";
    let all = [
        ("NamespaceDeletionDiscoveryFailure", discovered),
        ("NamespaceDeletionGroupVersionParsingFailure", parsed),
        ("NamespaceDeletionContentFailure", fine("ContentDeleted", deleted)),
        ("NamespaceContentRemaining", remaining),
        ("NamespaceFinalizersRemaining", held),
    ];
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let before = namespace["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let conditions = all.map(|(name, (status, reason, message))| {
        let old = before.iter().find(|it| it["type"] == name && it["status"] == status);
        let since = old.map_or_else(|| json!(now), |it| it["lastTransitionTime"].clone());
        json!({"lastTransitionTime": since, "message": message, "reason": reason, "status": status, "type": name})
    });
    namespace["status"]["conditions"] = json!(conditions);
}
