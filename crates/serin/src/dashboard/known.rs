//! What a control plane knows, as every dashboard asks for it.

use std::sync::{Arc, Mutex, PoisonError};

use serin_api::Finding;
use serin_control::{Control, ProxyId};
use serin_dashboard::{Explained, Question, Sender};
use serin_routing::Model;
use serin_routing::model::Direction;
use serin_translate::{Proxy, ProxyKind, Snapshot, analysis};

use crate::explain;

/// A control plane, and what was found in its last snapshot.
pub(crate) struct Known {
    control: Arc<Control>,
    findings: Mutex<Option<Found>>,
}

/// What was found, and in which snapshot.
type Found = (Arc<Snapshot>, Arc<Vec<Finding>>);

impl Known {
    pub(crate) fn new(control: Arc<Control>) -> Self {
        Self { control, findings: Mutex::default() }
    }

    pub(crate) fn control(&self) -> &Control {
        &self.control
    }

    /// What is wrong or worth knowing about the objects together.
    pub(crate) fn findings(&self) -> Arc<Vec<Finding>> {
        let Some(snapshot) = self.control.snapshot() else { return Arc::default() };
        // An analysis of many objects takes its time, which others need not wait for.
        tokio::task::block_in_place(|| {
            let mut known = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((of, findings)) = &*known
                && Arc::ptr_eq(of, &snapshot)
            {
                return Arc::clone(findings);
            }
            let findings = Arc::new(analysis::analyze(analysis::Input::new(&snapshot)));
            *known = Some((snapshot, Arc::clone(&findings)));
            findings
        })
    }

    /// The way of a request that a proxy with this model is to send.
    pub(crate) fn explain(
        &self,
        question: &Question,
        (id, kind): (&ProxyId, ProxyKind),
        model: &Model,
    ) -> Result<Explained, String> {
        let call = explain::from_url(&question.url).and_then(|mut call| {
            call.method = Some(question.method.clone());
            explain::with_headers(call, &question.headers)
        });
        let call = call.map_err(|error| format!("{error:#}"))?;
        let direction = match kind {
            ProxyKind::Gateway => Direction::Gateway,
            ProxyKind::Sidecar => Direction::Outbound,
        };
        let snapshot = self.control.snapshot();
        let made_for = snapshot.as_deref().and_then(|it| Some((it, proxy(it, id, kind)?)));
        let made_for = made_for.as_ref().map(|(snapshot, proxy)| (*snapshot, proxy));
        Ok(explain::told(model, direction, &call, made_for))
    }
}

/// Why there is no answer about a sender.
pub(crate) const GONE: &str = "whoever is to send it is not there any more; choose another";

/// Gateways first, then by name.
pub(crate) fn in_order(mut senders: Vec<Sender>) -> Vec<Sender> {
    senders.sort_by(|a, b| (!a.is_gateway, &a.name).cmp(&(!b.is_gateway, &b.name)));
    senders
}

/// The proxy of a pod, as its model was made for it.
fn proxy(snapshot: &Snapshot, id: &ProxyId, kind: ProxyKind) -> Option<Proxy> {
    let ProxyId::Pod { namespace, name, .. } = id else { return None };
    let mut pods = snapshot.objects().pods.iter();
    let pod = pods.find(|pod| *pod.meta.namespace == **namespace && *pod.meta.name == **name)?;
    Some(Proxy::new(kind, &pod.meta.namespace, pod.meta.labels.clone()))
}
