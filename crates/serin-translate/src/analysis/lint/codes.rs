//! The codes of our own findings about a snapshot.

use serin_api::{Code, CodeInfo, Severity};

use crate::analysis::codes::Kind;

macro_rules! codes {
    ($($constant:ident = $code:literal $severity:ident $name:literal $summary:literal;)+) => {
        /// Every code, in order.
        pub const ALL: &[CodeInfo] = &[$(CodeInfo {
            code: Code($code),
            severity: Severity::$severity,
            name: $name,
            summary: $summary,
        }),+];

        codes!(@ 0usize; $($constant)+);
    };
    (@ $at:expr; $constant:ident $($rest:ident)*) => {
        pub(super) const $constant: Kind = Kind::new(&ALL[$at]);
        codes!(@ $at + 1usize; $($rest)*);
    };
    (@ $at:expr;) => {};
}

codes! {
    COVERED_RULE = "SRN0401" Warning "RuleNeverMatches" "An earlier rule takes every request that a rule is for.";
    UNUSED_GATEWAY = "SRN0402" Warning "GatewayWithoutRoutes" "No VirtualService is bound to a Gateway: it answers everything with 404.";
    UNBOUND = "SRN0403" Warning "VirtualServiceNotBoundToGateway"
        "A VirtualService applies inside the mesh only, though a Gateway seems to wait for it.";
    LOOSE_COOKIE = "SRN0404" Warning "CookieExpressionMatchesOthers" "A regular expression for a cookie also matches other cookies.";
    NOT_STICKY = "SRN0405" Warning "StickyRuleMissing" "A rule sets a cookie to keep sessions where they are, but no rule reads it.";
    BROKEN_LANE = "SRN0406" Warning "LaneBreaks" "A version of a caller has no rule in a chain where other versions have one.";
    LONE_WEIGHT = "SRN0407" Info "WeightOfLoneDestination" "A weight has no effect because there is no other destination.";
    LOST_HEADER = "SRN0408" Warning "HeaderNeverArrives" "A rule looks at a header that never reaches it.";
    NOT_ENFORCED = "SRN0409" Warning "PolicyNotEnforced" "A policy asks for what is not carried out: external authorizers are not asked, and policies that are attached to anything but Gateways decide nothing.";
    UNKNOWN_OPERATOR = "SRN0410" Warning "UnknownOperator" "A header's value has an operator (%NAME%) that is not known; it is written as it stands.";
}
