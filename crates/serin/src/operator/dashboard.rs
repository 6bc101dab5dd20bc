//! The dashboard of a cluster whose proxies are Istio's: objects by the API, traffic by a Prometheus, and the rules as a proxy of ours
//! would have them. Single requests, and how far rules have come, only the proxies themselves could tell.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, bail};
use futures_util::future::BoxFuture;
use k8s_openapi::api::core::v1 as core;
use kube::api::{Api, ObjectMeta, PostParams};
use serin_api::{Finding, ObjectRef};
use serin_control::{Ack, Control, ProxyId, PublishError, Publisher, Role, Settings, Workload};
use serin_dashboard::{Dashboard, Explained, Live, Mesh, Question, Request, Rule, Sender};
use serin_operator::Prometheus;
use serin_routing::Model;
use serin_telemetry::Traffic;
use serin_translate::ProxyKind;

use super::counted::Counted;
use crate::cli::{DashboardAddress, OperatorArgs};
use crate::dashboard::{Known, TOKEN, known, serving};

/// Serves the dashboard where the arguments want it.
pub(super) async fn start(
    args: &OperatorArgs,
    client: &kube::Client,
    prometheus: Prometheus,
) -> anyhow::Result<Option<Dashboard>> {
    if args.dashboard_address == Some(DashboardAddress::Off) {
        return Ok(None);
    }
    let token = match &args.dashboard_secret {
        Some((namespace, name)) => Some(token(client, namespace, name).await?),
        None => None,
    };
    let settings = Settings {
        gateway: None,
        node_port_address: None,
        load_balancer_address: None,
        writes_status: false,
        ..Settings::default()
    };
    let kept = Kept::default();
    let control = Control::start(client.clone(), kept.clone(), settings);
    let mesh =
        Watched { known: Known::new(Arc::new(control)), kept, counted: Counted::new(prometheus) };
    Ok(serving::start(args.dashboard_address, client, Arc::new(mesh), token).await?)
}

/// The token that all copies of the controller share: what the Secret says, which is made if it is not there.
async fn token(client: &kube::Client, namespace: &str, name: &str) -> anyhow::Result<String> {
    let secrets: Api<core::Secret> = Api::namespaced(client.clone(), namespace);
    let read = || async {
        let found = secrets.get_opt(name).await;
        found.with_context(|| format!("cannot read the Secret {namespace}/{name}"))
    };
    if let Some(secret) = read().await? {
        return written(&secret, namespace, name);
    }
    let secret = core::Secret {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        string_data: Some([(TOKEN.to_owned(), serin_dashboard::fresh_token())].into()),
        ..core::Secret::default()
    };
    match secrets.create(&PostParams::default(), &secret).await {
        // Another copy may have been faster.
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        Err(error) => {
            return Err(error)
                .with_context(|| format!("cannot make the Secret {namespace}/{name}"));
        }
    }
    let secret = read().await?;
    written(
        &secret.with_context(|| format!("the Secret {namespace}/{name} is gone again"))?,
        namespace,
        name,
    )
}

/// A token as short as this could be guessed.
const SHORTEST: usize = 16;

fn written(secret: &core::Secret, namespace: &str, name: &str) -> anyhow::Result<String> {
    let token = secret.data.as_ref().and_then(|data| data.get(TOKEN));
    match token.and_then(|it| String::from_utf8(it.0.clone()).ok()) {
        Some(token)
            if token.len() >= SHORTEST && token.bytes().all(|it| it.is_ascii_alphanumeric()) =>
        {
            Ok(token)
        }
        _ => bail!(
            "the Secret {namespace}/{name} has no entry `{TOKEN}` of at least {SHORTEST} letters and digits; \
             delete it, and it is made anew at the next start"
        ),
    }
}

/// The model of each proxy. Nobody routes by them: they say what rules mean.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Models>>);

type Models = BTreeMap<ProxyId, (Arc<Model>, Arc<Workload>)>;

impl Kept {
    fn lock(&self) -> MutexGuard<'_, Models> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sender by its name, with what it does and its model.
    fn named(&self, name: &str) -> Option<(ProxyId, ProxyKind, Arc<Model>)> {
        let models = self.lock();
        let (id, (model, workload)) = models.iter().find(|(id, _)| id.to_string() == name)?;
        Some((id.clone(), kind(workload), Arc::clone(model)))
    }
}

fn kind(workload: &Workload) -> ProxyKind {
    if workload.role == Role::Gateway { ProxyKind::Gateway } else { ProxyKind::Sidecar }
}

impl Publisher for Kept {
    async fn publish(
        &self,
        proxy: &ProxyId,
        model: Arc<Model>,
        workload: Arc<Workload>,
    ) -> Result<Ack, PublishError> {
        self.lock().insert(proxy.clone(), (model, workload));
        Ok(Ack::default())
    }

    async fn retire(&self, proxy: &ProxyId) {
        self.lock().remove(proxy);
    }
}

/// What the API and Prometheus tell of a mesh.
struct Watched {
    known: Known,
    kept: Kept,
    counted: Counted,
}

impl Mesh for Watched {
    fn traffic(&self) -> BoxFuture<'_, Result<Vec<Traffic>, String>> {
        Box::pin(self.counted.traffic())
    }

    fn requests(&self) -> BoxFuture<'_, Option<Vec<Request>>> {
        Box::pin(std::future::ready(None))
    }

    fn hits(&self) -> BoxFuture<'_, Option<BTreeMap<Rule, u64>>> {
        Box::pin(std::future::ready(None))
    }

    fn live(&self, _: &ObjectRef) -> Option<Live> {
        None
    }

    fn findings(&self) -> Arc<Vec<Finding>> {
        self.known.findings()
    }

    fn senders(&self) -> Vec<Sender> {
        let models = self.kept.lock();
        let pods = models.iter().filter(|(id, _)| matches!(id, ProxyId::Pod { .. }));
        let senders = pods.map(|(id, (_, workload))| {
            let is_gateway = kind(workload) == ProxyKind::Gateway;
            let name = if is_gateway { format!("gateway {id}") } else { id.to_string() };
            Sender { key: id.to_string(), name, is_gateway }
        });
        known::in_order(senders.collect())
    }

    fn model(&self, sender: &str) -> Option<Arc<Model>> {
        self.kept.named(sender).map(|(_, _, model)| model)
    }

    fn explain(&self, question: &Question) -> Result<Explained, String> {
        let (id, kind, model) = self.kept.named(&question.sender).ok_or(known::GONE)?;
        self.known.explain(question, (&id, kind), &model)
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    #[test]
    fn a_token_that_could_be_guessed_is_refused() {
        let check = |token: Option<&str>, is_good: bool| {
            let data = token.map(|it| [(TOKEN.to_owned(), ByteString(it.into()))].into());
            let secret = core::Secret { data, ..core::Secret::default() };
            assert_eq!(written(&secret, "ns", "name").is_ok(), is_good, "{token:?}");
        };
        check(Some(&serin_dashboard::fresh_token()), true);
        check(Some("short"), false);
        check(Some("long enough but & and ="), false);
        check(None, false);
    }
}
