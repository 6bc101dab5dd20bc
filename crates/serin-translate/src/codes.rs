//! The codes of findings that translation makes.

use serin_api::{Code, CodeInfo, FieldPath, Finding, ObjectRef, Severity};

use crate::analysis;

/// A kind of finding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind(&'static CodeInfo);

impl Kind {
    /// A finding of this kind, of its usual severity.
    pub(crate) fn finding(
        self,
        object: &ObjectRef,
        field: FieldPath,
        message: impl Into<String>,
    ) -> Finding {
        Finding::new(self.0.code, self.0.severity, object, field, message)
    }
}

/// Every code that can be found about manifests, by this crate and by reading and validating them, in order.
pub fn every() -> Vec<CodeInfo> {
    let lists = [serin_api::codes::ALL, ALL, analysis::codes::ALL, analysis::LINTS];
    let mut every = lists.concat();
    every.sort_by_key(|info| info.code);
    // Admission warns of rules that are never reached, and so does analysis.
    every.dedup_by_key(|info| info.code);
    every
}

macro_rules! codes {
    ($($name:ident = $code:literal $severity:ident $short:literal $summary:literal;)+) => {
        /// Every code of this crate's own, in order.
        pub const ALL: &[CodeInfo] = &[$(CodeInfo {
            code: Code($code),
            severity: Severity::$severity,
            name: $short,
            summary: $summary,
        }),+];

        codes!(@ 0usize; $($name)+);
    };
    (@ $at:expr; $name:ident $($rest:ident)*) => {
        pub(crate) const $name: Kind = Kind(&ALL[$at]);
        codes!(@ $at + 1usize; $($rest)*);
    };
    (@ $at:expr;) => {};
}

codes! {
    SUBSET_TWICE = "SRN0301" Warning "SubsetTwice"
        "Two DestinationRules of a namespace define the same subset of a host; the later one has no effect.";
    POLICY_TWICE = "SRN0302" Warning "TrafficPolicyTwice"
        "Two DestinationRules of a namespace have a traffic policy for a host; the later one has no effect.";
    SIDECAR_TWICE = "SRN0303" Warning "SidecarTwice"
        "Two Sidecars without a workload selector in a namespace; the later one has no effect.";
    DELEGATE_UNUSABLE = "SRN0311" Error "DelegateUnusable"
        "The delegate of a rule is missing, not exported to the root's namespace, or delegates further; the rule has no effect.";
    DELEGATE_CONFLICT = "SRN0312" Error "DelegateConflict"
        "A match of a delegate's rule is not plainly narrower than the root's; the rule has no effect.";
    RULE_UNUSABLE = "SRN0313" Error "RuleUnusable"
        "A rule holds something that proxies cannot carry out; it has no effect.";
    RULES_CUT = "SRN0314" Info "RulesNeverReached"
        "A rule takes every request, so that the rules after it are left out.";
    HOST_CLAIMED = "SRN0315" Warning "VirtualServiceHostClaimed"
        "Two VirtualServices for sidecars have the same host; the later one has no effect for it.";
    LISTENER_TAKEN = "SRN0316" Warning "ListenerTaken"
        "Two services want the same port for protocols that cannot be told apart; the later one is not reached.";
    LISTENER_IMPOSSIBLE = "SRN0317" Warning "ListenerImpossible"
        "A listener of a Sidecar or a server of a Gateway cannot be opened by the proxy and is left out.";
    COHORT_UNUSABLE = "SRN0318" Warning "CohortUnusable"
        "The annotation serin.dev/cohort names no key of sessions; requests are drawn at random, as without it.";
    SERVER_PORT_TAKEN = "SRN0501" Warning "ServerPortTaken"
        "Two servers of Gateways want the same port for protocols that cannot be told apart; the later one has no effect.";
    SERVER_HOST_TAKEN = "SRN0502" Warning "ServerHostTaken"
        "Two servers of Gateways terminate or pass on TLS for the same host and port; the later one has no effect.";
    SERVER_NAME_TAKEN = "SRN0503" Error "ServerNameTaken"
        "Two HTTPS servers of a Gateway have the same port and port name; the later one has no effect.";
    SERVER_NAME_IN_RULES_TAKEN = "SRN0504" Warning "SniHostTaken"
        "Connections for the server names of a rule are taken by an earlier rule or server; the rule has no effect for them.";
    CONNECTION_RULE_UNUSED = "SRN0505" Warning "TcpRuleNeverUsed"
        "Connections to a port of a Gateway go where the first rule for them says; a later rule has no effect.";
    SERVES_NOTHING = "SRN0506" Info "ServerServesNothing"
        "No rule says where connections to a server of a Gateway go, so its port is not opened.";
    CREDENTIAL_NOT_PERMITTED = "SRN0507" Error "CredentialNotPermitted"
        "A server of a Gateway names a Secret of another namespace that it may not use.";
    ROUTE_NOT_ATTACHED = "SRN0601" Error "RouteNotAttached"
        "A route of the Gateway API is attached to none of the parents that it names, so it routes nothing.";
    ROUTE_PARTLY_ATTACHED = "SRN0602" Warning "RoutePartlyAttached"
        "A route of the Gateway API is not attached to one of the parents that it names.";
    ROUTE_UNRESOLVED = "SRN0603" Error "RouteReferenceUnresolved"
        "A route of the Gateway API names something that does not exist or may not be used; requests for it are answered with 500.";
    LISTENER_NOT_SERVING = "SRN0604" Error "ListenerNotServing"
        "A listener of a Gateway or a ListenerSet cannot serve.";
    GATEWAY_NOT_PROGRAMMED = "SRN0605" Warning "GatewayNotProgrammed"
        "The service that a Gateway is bound to does not serve all of its ports.";
    NOT_IN_FORCE = "SRN0606" Error "NotInForce"
        "An object of the Gateway API is not in force as written.";
    FIELD_WITHOUT_EFFECT = "SRN0607" Warning "FieldWithoutEffect"
        "A field of the Gateway API has no effect here.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_means_two_things() {
        let lists = [serin_api::codes::ALL, ALL, analysis::codes::ALL, analysis::LINTS];
        let mut every = lists.concat();
        every.sort_by_key(|info| info.code);
        let differ =
            |pair: &&[CodeInfo]| pair[0].code == pair[1].code && pair[0].name != pair[1].name;
        let twice: Vec<Code> = every.windows(2).filter(differ).map(|pair| pair[0].code).collect();
        assert_eq!(twice, []);
    }
}
