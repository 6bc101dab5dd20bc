//! Releases: Canary, MetricTemplate and AlertProvider.
//!
//! They are served in two groups by the same types. In `flagger.app` they have Flagger's fields and mean what they mean to
//! Flagger; in `serin.dev` they have more fields, which are marked `x-extension` where they are declared and left out of
//! the other group's schema.

mod alert_provider;
mod analysis;
mod canary;
mod metric_template;
mod sequential;
mod service;

pub use alert_provider::*;
pub use analysis::*;
pub use canary::*;
pub use metric_template::*;
pub use sequential::*;
pub use service::*;

/// The group in which the kinds are Flagger's.
pub const FLAGGER: &str = "flagger.app";
/// The group in which the kinds have Serin's fields, too.
pub const SERIN: &str = "serin.dev";

/// Declares the kind in `flagger.app` whose fields are those of a kind in `serin.dev`.
macro_rules! as_flagger_has_it {
    ($(#[$meta:meta])* $name:ident of $inner:ident as $kind:literal, $plural:literal columns $columns:tt) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(transparent)]
        pub struct $name(
            /// The fields.
            pub $inner,
        );

        resource! { $name as $kind: crate::delivery::FLAGGER, ["v1beta1"], $plural columns $columns }
        resource! { $inner: crate::delivery::SERIN, ["v1alpha1"], $plural columns $columns }
    };
}
use as_flagger_has_it;
