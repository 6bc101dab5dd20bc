//! The start: keys, what has to be there, and the controllers inside.

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::Method;
use serde_json::{Value, json};
use serin_objects::{Catalog, Status};
use tokio::sync::watch;

use super::{ApiServer, Inner, Settings, StartError, aggregate, furniture, keys, store_settings};
use crate::access::User;
use crate::access::audit::Audit;
use crate::access::rbac::{Rbac, bootstrap as roles};
use crate::documents::Documents;
use crate::store::Store;
use crate::verbs::{collect, definitions, services};

/// The namespaces of the system.
const NAMESPACES: &[&str] = &["default", "kube-system", "kube-public", "kube-node-lease"];

pub(super) async fn start(settings: Settings) -> Result<ApiServer, StartError> {
    let audit = match &settings.audit_log {
        Some(path) => Some(
            Audit::open(path).map_err(|source| StartError::Audit { path: path.clone(), source })?,
        ),
        None => None,
    };
    let store = Store::open(store_settings(&settings))?;
    let (authority, authn) = keys::load(&store).await?;
    let inner = Inner {
        rbac: Rbac::new(store.clone()),
        store,
        catalog: ArcSwap::from_pointee(Catalog::builtin()),
        authn,
        authority,
        documents: Documents::default(),
        kubelet: settings.kubelet,
        aggregated: settings.aggregated,
        admission: settings.admission,
        webhooks: Default::default(),
        policies: Default::default(),
        network: settings.network,
        // Nothing is registered before everything that has to be there is.
        registering: true.into(),
        exclusive: tokio::sync::Mutex::new(()),
        given_out: Default::default(),
        shares: Default::default(),
        recounted: Default::default(),
        audit,
        stopping: watch::Sender::new(false),
    };
    let server = ApiServer { inner: Arc::new(inner) };
    definitions::load(&server);
    bootstrap(&server, settings.definitions).await?;
    aggregate::register(&server).await;
    collect::resume(&server);
    Ok(server)
}

/// Makes the objects that have to be there and are not.
async fn bootstrap(server: &ApiServer, definitions: Vec<Value>) -> Result<(), StartError> {
    let namespaces = NAMESPACES
        .iter()
        .map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
    make_all(server, "/api/v1/namespaces", namespaces.collect()).await?;
    let (rbac, table) = ("/apis/rbac.authorization.k8s.io/v1", roles::table());
    make_all(server, &format!("{rbac}/clusterroles"), roles::cluster_roles(&table)).await?;
    let bindings = roles::cluster_role_bindings(&table);
    make_all(server, &format!("{rbac}/clusterrolebindings"), bindings).await?;
    for namespace in NAMESPACES {
        let (of_namespace, bindings) = roles::namespaced(&table, namespace);
        let path = format!("{rbac}/namespaces/{namespace}");
        make_all(server, &format!("{path}/roles"), of_namespace).await?;
        make_all(server, &format!("{path}/rolebindings"), bindings).await?;
    }
    let maps = "/api/v1/namespaces/kube-system/configmaps";
    make_all(server, maps, vec![furniture::client_authority(server.inner.authority.pem())]).await?;
    for (path, objects) in furniture::all() {
        make_all(server, path, objects).await?;
    }
    definitions::make(server, definitions).await.map_err(|(name, status)| {
        let what = format!("CustomResourceDefinition {name}");
        StartError::Bootstrap { what, status: Box::new(status) }
    })?;
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "clusterIP": services::KUBERNETES.to_string(),
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
            "sessionAffinity": "None",
            "type": "ClusterIP",
        },
    });
    make_all(server, "/api/v1/namespaces/default/services", vec![service]).await
}

/// Creates objects at once, so that they share a few writes to the disk; those that are there stay as they are.
async fn make_all(server: &ApiServer, path: &str, objects: Vec<Value>) -> Result<(), StartError> {
    if objects.is_empty() {
        return Ok(());
    }
    let user = User::component("bootstrap");
    let present: std::collections::BTreeSet<String> = server
        .ask(&user, Method::GET, path, None)
        .await
        .ok()
        .and_then(|list| list.get("items").and_then(Value::as_array).cloned())
        .unwrap_or_default()
        .iter()
        .filter_map(|item| {
            item.pointer("/metadata/name").and_then(Value::as_str).map(str::to_owned)
        })
        .collect();
    let missing = objects.into_iter().filter(|object| {
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        !present.contains(name)
    });
    let made: Vec<Result<(), (String, Status)>> =
        futures_util::future::join_all(missing.map(|object| make(server, &user, path, object)))
            .await;
    match made.into_iter().find_map(Result::err) {
        Some((what, status)) => Err(StartError::Bootstrap { what, status: Box::new(status) }),
        None => Ok(()),
    }
}

async fn make(
    server: &ApiServer,
    user: &User,
    path: &str,
    object: Value,
) -> Result<(), (String, Status)> {
    match server.ask(user, Method::POST, path, Some(&object)).await {
        Err(status) if status.code != 409 => {
            let text = |at: &str| {
                object.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned()
            };
            Err((format!("{} {}", text("/kind"), text("/metadata/name")), status))
        }
        _ => Ok(()),
    }
}
