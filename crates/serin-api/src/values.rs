//! The small values that several APIs share: durations, matches, selectors, references.
//!
//! Each is a type of its own so that what it accepts is decided once; nothing here knows the kind it stands in.

mod duration;
mod int_or_string;
mod protocol;
mod string_match;

use std::collections::BTreeMap;

pub use duration::{Duration, ParseDurationError};
pub use int_or_string::IntOrString;
pub use protocol::Protocol;
pub use string_match::StringMatch;

/// Whether a field holds what an absent field means, so that writing it out says nothing.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

message! {
    /// A share of requests.
    pub struct Percent {
        /// Percent, 0 to 100; fractions count down to one ten-thousandth.
        pub value: f64,
    }

    /// A port by its number.
    pub struct PortSelector {
        /// Port number.
        pub number: u32,
    }

    /// Chooses workloads by their labels, in the networking kinds.
    pub struct WorkloadSelector {
        /// Labels that a workload must carry, all of them. None at all chooses every workload.
        #[schemars(
            extend("maxProperties" = 256),
            extend("additionalProperties" = {
                "type": "string",
                "maxLength": 63,
                "x-kubernetes-validations": [{"rule": "!self.contains('*')", "message": "wildcard is not supported in selector"}],
            })
        )]
        pub labels: BTreeMap<String, String>,
    }

    /// Chooses workloads by their labels, in the policy kinds.
    pub struct PolicySelector {
        /// Labels that a workload must carry, all of them. None at all chooses every workload of the scope.
        #[schemars(
            extend("maxProperties" = 4096),
            extend("additionalProperties" = {
                "type": "string",
                "maxLength": 63,
                "x-kubernetes-validations": [{"rule": "!self.contains('*')", "message": "wildcard not allowed in label value match"}],
            }),
            extend("x-kubernetes-validations" = [
                {"rule": "self.all(key, key.size() != 0)", "message": "key must not be empty"},
                {"rule": "self.all(key, !key.contains('*'))", "message": "wildcard not allowed in label key match"},
            ])
        )]
        pub match_labels: BTreeMap<String, String>,
    }

    /// The object in the same namespace that a policy is attached to.
    #[schemars(extend("x-kubernetes-validations" = [
        {"rule": "[self.group, self.kind] in [['core','Service'], ['','Service'], ['gateway.networking.k8s.io','Gateway'], ['networking.istio.io','ServiceEntry'], ['gateway.networking.k8s.io','GatewayClass']]", "message": "Support kinds are core/Service, networking.istio.io/ServiceEntry, gateway.networking.k8s.io/Gateway"},
    ]))]
    pub struct TargetRef {
        /// API group of the object; empty for the core group.
        #[schemars(length(max = 253), regex(pattern = r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"))]
        pub group: String,
        /// Kind of the object.
        #[schemars(extend("x-required" = true), length(min = 1, max = 63), regex(pattern = r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$"))]
        pub kind: String,
        /// Name of the object.
        #[schemars(extend("x-required" = true), length(min = 1, max = 253))]
        pub name: String,
        /// Must be left out: only objects of the policy's own namespace can be attached to.
        #[schemars(extend("x-kubernetes-validations" = [
            {"rule": "self.size() == 0", "message": "cross namespace referencing is not currently supported"},
        ]))]
        pub namespace: String,
    }

    /// Chooses Kubernetes objects by their labels. Every label and every expression must hold.
    pub struct LabelSelector {
        /// Labels with the value they must have.
        pub match_labels: BTreeMap<String, String>,
        /// Further conditions on labels.
        #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
        pub match_expressions: Vec<LabelSelectorRequirement>,
    }

    /// One condition on a label.
    pub struct LabelSelectorRequirement {
        /// The label.
        #[schemars(extend("x-required" = true))]
        pub key: String,
        /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
        #[schemars(extend("x-required" = true))]
        pub operator: String,
        /// The values that `In` and `NotIn` compare with; none for the other operators.
        #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
        pub values: Vec<String>,
    }
}

impl LabelSelector {
    /// Whether the selector chooses an object with `labels`. An operator that Kubernetes does not know chooses nothing.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|requirement| requirement.matches(labels))
    }
}

impl LabelSelectorRequirement {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match self.operator.as_str() {
            "In" => value.is_some_and(|value| self.values.contains(value)),
            "NotIn" => value.is_none_or(|value| !self.values.contains(value)),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    }
}
