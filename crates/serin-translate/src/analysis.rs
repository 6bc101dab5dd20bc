//! Findings about a snapshot as a whole: Istio's analysis codes (IST…) and ours (SRN…).
//!
//! Each [`Analyzer`] is one question with a name of its own (Istio's, where Istio asks it too); [`analyze`] asks those that run by
//! default. What the manifests do not hold is not known: an analyzer that would need it says nothing.
//!
//! An object keeps a finding to itself by the annotation `galley.istio.io/analyze-suppress: IST0101,IST0132` (`*` for all).

mod annotations;
pub mod codes;
mod envoy_filter;
mod gateways;
mod injection;
mod lint;
mod platform;
mod policies;
mod services;
mod virtual_services;
mod workloads;

use serin_api::mesh_config::{MeshConfig, MeshNetworks};
use serin_api::{FieldPath, Finding, Object, Resource};

use crate::snapshot::{Kind as ObjectKind, Objects, Snapshot};
use codes::Message;

pub use lint::LINTS;

const SUPPRESS: &str = "galley.istio.io/analyze-suppress";

/// What an analysis looks at.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The objects.
    pub snapshot: &'a Snapshot,
    /// Istio's networks, where they are known.
    pub networks: Option<&'a MeshNetworks>,
    /// Seconds since 1970, to tell whether a certificate has expired; `None` does not tell.
    pub now: Option<i64>,
}

impl<'a> Input<'a> {
    /// An analysis of a snapshot and nothing else.
    pub const fn new(snapshot: &'a Snapshot) -> Self {
        Self { snapshot, networks: None, now: None }
    }

    fn objects(&self) -> &'a Objects {
        self.snapshot.objects()
    }

    fn mesh(&self) -> &'a MeshConfig {
        &self.snapshot.settings().mesh
    }

    fn cluster_domain(&self) -> &'a str {
        &self.snapshot.settings().cluster_domain
    }

    fn root_namespace(&self) -> &'a str {
        &self.mesh().root_namespace
    }

    /// Where an object joined the snapshot because of another, findings belong to the other.
    fn is_written<T: ObjectKind>(object: &Object<T>) -> bool {
        !object.meta.annotations.contains_key("internal.istio.io/parents")
    }
}

/// One question.
#[derive(Clone, Copy, Debug)]
pub struct Analyzer {
    /// Its name, as Istio names it where Istio has it.
    pub name: &'static str,
    /// Whether [`analyze`] asks it.
    pub by_default: bool,
    run: fn(Input<'_>, &mut Report),
}

impl Analyzer {
    const fn new(name: &'static str, run: fn(Input<'_>, &mut Report)) -> Self {
        Self { name, by_default: true, run }
    }

    const fn only_by_name(name: &'static str, run: fn(Input<'_>, &mut Report)) -> Self {
        Self { name, by_default: false, run }
    }

    /// Asks.
    pub fn run(&self, input: Input<'_>) -> Vec<Finding> {
        let mut report = Report::default();
        (self.run)(input, &mut report);
        report.findings
    }
}

/// Every question.
pub const ANALYZERS: &[Analyzer] = &[
    Analyzer::only_by_name("annotations.AlphaAnalyzer", annotations::alpha),
    Analyzer::new("annotations.K8sAnalyzer", annotations::known),
    Analyzer::new("applicationUID.Analyzer", platform::application_uid),
    Analyzer::new("auth.AuthorizationPoliciesAnalyzer", policies::authorization),
    Analyzer::new("authn.BlockedCIDRsAnalyzer", policies::blocked_cidrs),
    Analyzer::new("conditions.ConditionAnalyzer", platform::conditions),
    Analyzer::new("deployment.MultiServiceAnalyzer", services::several_of_a_deployment),
    Analyzer::new("deprecation.DeprecationAnalyzer", platform::deprecations),
    Analyzer::new("destinationrule.CaCertificateAnalyzer", services::unverified_servers),
    Analyzer::new("destinationrule.PodNotSelectedAnalyzer", services::subsets_without_pods),
    Analyzer::new("envoyfilter.EnvoyPatchAnalyzer", envoy_filter::operations),
    Analyzer::new(
        "externalcontrolplane.ExternalControlPlaneAnalyzer",
        platform::external_control_plane,
    ),
    Analyzer::new("gateway.CertificateAnalyzer", gateways::shared_certificates),
    Analyzer::new("gateway.ConflictingGatewayAnalyzer", gateways::conflicts),
    Analyzer::new("gateway.IngressGatewayPortAnalyzer", gateways::ports),
    Analyzer::new("gateway.SecretAnalyzer", gateways::secrets),
    Analyzer::new("injection.Analyzer", injection::namespaces_and_pods),
    Analyzer::new("injection.ImageAnalyzer", injection::images),
    Analyzer::new("injection.ImageAutoAnalyzer", injection::image_auto),
    Analyzer::new("k8sgateway.CRDVersionAnalyzer", platform::gateway_api_versions),
    Analyzer::new("k8sgateway.SelectorAnalyzer", policies::selectors_of_kubernetes_gateways),
    Analyzer::new("meshnetworks.MeshNetworksAnalyzer", platform::mesh_networks),
    Analyzer::new("schema.ValidationAnalyzer.VirtualService", virtual_services::unreachable_rules),
    Analyzer::new("service.PortNameAnalyzer", services::port_names),
    Analyzer::new("serviceentry.Analyzer", services::addresses_required),
    Analyzer::new(
        "serviceentry.ConflictingServiceEntryProtocolAnalyzer",
        services::conflicting_protocols,
    ),
    Analyzer::new("sidecar.SelectorAnalyzer", policies::sidecar_selectors),
    Analyzer::new("telemetry.DefaultSelectorAnalyzer", policies::telemetry_defaults),
    Analyzer::new("telemetry.ProviderAnalyzer", policies::telemetry_providers),
    Analyzer::new("telemetry.SelectorAnalyzer", policies::telemetry_selectors),
    Analyzer::new(
        "virtualservice.ConflictingMeshGatewayHostsAnalyzer",
        virtual_services::mesh_hosts,
    ),
    Analyzer::new("virtualservice.DestinationHostAnalyzer", virtual_services::destination_hosts),
    Analyzer::new("virtualservice.DestinationRuleAnalyzer", virtual_services::destination_subsets),
    Analyzer::new("virtualservice.GatewayAnalyzer", virtual_services::gateways),
    Analyzer::new("virtualservice.JWTClaimRouteAnalyzer", virtual_services::token_claims),
    Analyzer::new("webhook.Analyzer", platform::webhooks),
    Analyzer::new("serin.CoveredRules", lint::covered_rules),
    Analyzer::new("serin.UnusedGateways", lint::unused_gateways),
    Analyzer::new("serin.UnboundVirtualServices", lint::unbound_virtual_services),
    Analyzer::new("serin.CookieExpressions", lint::cookie_expressions),
    Analyzer::new("serin.MissingStickyRules", lint::missing_sticky_rules),
    Analyzer::new("serin.BrokenLanes", lint::broken_lanes),
    Analyzer::new("serin.LoneWeights", lint::lone_weights),
    Analyzer::new("serin.LostHeaders", lint::lost_headers),
    Analyzer::new("serin.NotEnforced", lint::not_enforced),
    Analyzer::new("serin.UnknownOperators", lint::unknown_operators),
];

/// The findings of every question asked by default, in the order of the questions.
pub fn analyze(input: Input<'_>) -> Vec<Finding> {
    ANALYZERS
        .iter()
        .filter(|analyzer| analyzer.by_default)
        .flat_map(|analyzer| analyzer.run(input))
        .collect()
}

/// Collects findings.
#[derive(Debug, Default)]
struct Report {
    findings: Vec<Finding>,
}

impl Report {
    /// Adds a finding about `field` of `object`, unless the object keeps it to itself.
    fn add<T: Resource>(&mut self, object: &Object<T>, field: FieldPath, message: Message) {
        let suppressed = object.meta.annotations.get(SUPPRESS);
        let is_meant = |code: &str| code == "*" || code == message.code().0;
        if suppressed.is_some_and(|codes| codes.split(',').map(str::trim).any(is_meant)) {
            return;
        }
        self.findings.push(message.about(&object.reference(), field));
    }

    /// The same, pointing at another field of the object too.
    fn add_related<T: Resource>(
        &mut self,
        object: &Object<T>,
        field: FieldPath,
        message: Message,
        other: FieldPath,
        label: &str,
    ) {
        let reference = object.reference();
        self.add_related_to(object, field, message, (&reference, other), label);
    }

    /// The same, pointing at another object too.
    fn add_related_to<T: Resource>(
        &mut self,
        object: &Object<T>,
        field: FieldPath,
        message: Message,
        (other, at): (&serin_api::ObjectRef, FieldPath),
        label: &str,
    ) {
        let before = self.findings.len();
        self.add(object, field, message);
        if let Some(finding) = self.findings.get_mut(before) {
            finding.related.push(serin_api::Related {
                object: other.clone(),
                field: at,
                label: label.to_owned(),
            });
        }
    }

    /// Adds a finding about something that is no object.
    fn add_to(&mut self, reference: &serin_api::ObjectRef, field: FieldPath, message: Message) {
        self.findings.push(message.about(reference, field));
    }
}

/// The candidate that was probably meant, if one is near enough: a misspelling or a part left out.
fn nearest<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = candidates.into_iter().filter(|candidate| *candidate != wanted).map(|candidate| {
        // Names of services differ in their first part; the rest is the same for all.
        (strsim::jaro_winkler(wanted, candidate), strsim::levenshtein(wanted, candidate), candidate)
    });
    let near = scored.filter(|(likeness, edits, candidate)| {
        // One character too many or too few is a slip however short the name; `v1` for `v2` is not.
        let is_slip = *edits == 1 && wanted.len() != candidate.len();
        is_slip || (*likeness > 0.85 && *edits <= 2 + wanted.len() / 8)
    });
    near.min_by_key(|(_, edits, candidate)| (*edits, *candidate)).map(|(_, _, candidate)| candidate)
}
