//! The codes of findings that translation makes.

use serin_api::{Code, CodeInfo, FieldPath, Finding, ObjectRef, Severity};

/// A kind of finding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind(&'static CodeInfo);

impl Kind {
    /// A finding of this kind, of its usual severity.
    pub(crate) fn finding(self, object: &ObjectRef, field: FieldPath, message: impl Into<String>) -> Finding {
        Finding::new(self.0.code, self.0.severity, object, field, message)
    }
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
    DELEGATE_UNUSABLE = "SRN0311" Error "DelegateUnusable"
        "The delegate of a rule is missing, not exported to the root's namespace, or delegates further; the rule has no effect.";
    DELEGATE_CONFLICT = "SRN0312" Error "DelegateConflict"
        "A match of a delegate's rule is not plainly narrower than the root's; the rule has no effect.";
    RULE_UNUSABLE = "SRN0313" Error "RuleUnusable"
        "A rule holds something that proxies cannot carry out; it has no effect.";
}
