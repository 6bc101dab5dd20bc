//! What Istio's admission says about an object: the rules that a schema cannot express, errors and warnings.
//!
//! Every rule looks at one object only and all problems are reported, each with the path of its field. The rules are
//! those of Istio's validating webhook, its leniencies included: an object that Istio takes is taken here. What the
//! schema refuses (types, required fields, CEL rules) is left to the schema.

mod annotations;
mod authorization_policy;
mod cel;
mod connection_pool;
mod delivery;
mod destination_rule;
mod envoy_filter;
mod extensions;
mod gateway;
mod headers;
mod http_actions;
mod http_route;
mod jwks;
mod load_balancer;
mod names;
mod numbers;
mod peer_authentication;
mod place;
mod proxy_config;
mod request_authentication;
mod selectors;
mod server_tls;
mod service_entry;
mod sidecar;
mod strings;
mod telemetry;
mod url;
pub mod virtual_service;
mod visibility;
mod workload;

use std::cell::RefCell;

use serde_json::Value;

use crate::{
    Code, DecodeError, FieldPath, Finding, Meta, Object, ObjectRef, Resource, Severity,
    delivery as del, extensions as ext, networking, security, telemetry as tel,
};
use place::Place;

/// One thing that is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What kind of problem it is.
    pub code: Code,
    /// How much it matters.
    pub severity: Severity,
    /// The field it is about.
    pub field: FieldPath,
    /// What is wrong and why.
    pub message: String,
    /// What to do about it, if that is known.
    pub help: Option<String>,
    /// Other fields that the message speaks of, and what they have to do with it.
    pub related: Vec<(FieldPath, String)>,
}

impl Problem {
    /// The same as a finding about `object`.
    pub fn into_finding(self, object: &ObjectRef) -> Finding {
        let mut finding = Finding::new(self.code, self.severity, object, self.field, self.message);
        finding.help = self.help;
        for (field, label) in self.related {
            finding = finding.with_related(object, field, label);
        }
        finding
    }
}

/// An object whose kind has rules.
pub trait Validate {
    /// Every problem, in the order of the fields.
    fn validate(&self) -> Vec<Problem>;
}

/// The rules of a kind, as its module states them.
trait Rules: Resource {
    /// Reports what is wrong with `self`, which stands at `spec` in an object with `meta`.
    fn check(&self, meta: &Meta, spec: &Place<'_>);
}

impl<T: Rules> Validate for Object<T> {
    fn validate(&self) -> Vec<Problem> {
        let problems = RefCell::new(Vec::new());
        let root = Place::root(&problems);
        annotations::check(T::KIND, &self.meta, &root.key("metadata").key("annotations"));
        self.spec.check(&self.meta, &root.key("spec"));
        problems.into_inner()
    }
}

/// Validates an object of any kind. `None` if its kind has no rules.
///
/// # Errors
/// The object cannot be read as its kind.
pub fn validate(object: &Value) -> Option<Result<Vec<Problem>, DecodeError>> {
    fn of<T: Rules>(object: &Value) -> Result<Vec<Problem>, DecodeError> {
        Object::<T>::from_value(object).map(|object| object.validate())
    }
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let (group, _) = text("apiVersion").split_once('/')?;
    let check = match (group, text("kind")) {
        (networking::VirtualService::GROUP, "VirtualService") => of::<networking::VirtualService>,
        (networking::Gateway::GROUP, "Gateway") => of::<networking::Gateway>,
        (networking::DestinationRule::GROUP, "DestinationRule") => {
            of::<networking::DestinationRule>
        }
        (networking::ServiceEntry::GROUP, "ServiceEntry") => of::<networking::ServiceEntry>,
        (networking::Sidecar::GROUP, "Sidecar") => of::<networking::Sidecar>,
        (networking::WorkloadEntry::GROUP, "WorkloadEntry") => of::<networking::WorkloadEntry>,
        (networking::WorkloadGroup::GROUP, "WorkloadGroup") => of::<networking::WorkloadGroup>,
        (networking::ProxyConfig::GROUP, "ProxyConfig") => of::<networking::ProxyConfig>,
        (networking::EnvoyFilter::GROUP, "EnvoyFilter") => of::<networking::EnvoyFilter>,
        (security::PeerAuthentication::GROUP, "PeerAuthentication") => {
            of::<security::PeerAuthentication>
        }
        (security::AuthorizationPolicy::GROUP, "AuthorizationPolicy") => {
            of::<security::AuthorizationPolicy>
        }
        (security::RequestAuthentication::GROUP, "RequestAuthentication") => {
            of::<security::RequestAuthentication>
        }
        (tel::Telemetry::GROUP, "Telemetry") => of::<tel::Telemetry>,
        (ext::WasmPlugin::GROUP, "WasmPlugin") => of::<ext::WasmPlugin>,
        (ext::TrafficExtension::GROUP, "TrafficExtension") => of::<ext::TrafficExtension>,
        (del::SERIN, "Canary") => of::<del::Canary>,
        (del::FLAGGER, "Canary") => of::<del::FlaggerCanary>,
        (del::SERIN, "MetricTemplate") => of::<del::MetricTemplate>,
        (del::FLAGGER, "MetricTemplate") => of::<del::FlaggerMetricTemplate>,
        (del::SERIN, "AlertProvider") => of::<del::AlertProvider>,
        (del::FLAGGER, "AlertProvider") => of::<del::FlaggerAlertProvider>,
        _ => return None,
    };
    Some(check(object))
}

#[cfg(test)]
mod tests;
