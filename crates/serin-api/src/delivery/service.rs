//! The Services and routes of a release.

use std::collections::BTreeMap;

use crate::gateway_api::{HttpRequestMirrorFilter, ParentReference};
use crate::networking::{CorsPolicy, Headers, HttpMatchRequest, HttpRetry, TrafficPolicy};
use crate::values::{Duration, IntOrString};

message! {
    /// The Services and routes that are made for a release.
    pub struct CanaryService {
        /// Name of the Service that users call. Absent is the workload's name.
        pub name: String,
        /// Port of the Services.
        #[schemars(extend("x-required" = true))]
        pub port: i32,
        /// Name of the port. Absent is `http`.
        pub port_name: String,
        /// Port of the pods, by number or name. Absent is `port`.
        pub target_port: Option<IntOrString>,
        /// Application protocol of the port. `tcp` makes routes for connections instead of requests.
        pub app_protocol: String,
        /// Which endpoints clients prefer.
        #[schemars(extend("enum" = ["", "PreferClose", "PreferSameZone", "PreferSameNode"]))]
        pub traffic_distribution: String,
        /// Add all ports of the pods to the Services.
        pub port_discovery: bool,
        /// Make the Services headless.
        pub headless: bool,
        /// How long a request may take in all.
        pub timeout: Option<Duration>,
        /// How long one attempt may take. Gateway API only.
        pub backend_timeout: String,
        /// When and how often failed requests are tried again.
        pub retries: Option<HttpRetry>,
        /// Header changes.
        pub headers: Option<Headers>,
        /// Cross-origin rules.
        pub cors_policy: Option<CorsPolicy>,
        /// Change of path and authority before requests are forwarded.
        pub rewrite: Option<CanaryRewrite>,
        /// Gateways that apply the routes. Absent is `mesh`, which is not added to a list.
        pub gateways: Vec<String>,
        /// Gateways that the HTTPRoute is attached to. Gateway API only.
        pub gateway_refs: Vec<ParentReference>,
        /// Copies of requests. Gateway API only.
        pub mirror: Vec<HttpRequestMirrorFilter>,
        /// Hosts of the routes. The service's name is added unless it or `*` is there.
        pub hosts: Vec<String>,
        /// Make a VirtualService without hosts and gateways, which another delegates to.
        pub delegation: bool,
        /// Settings of the DestinationRules.
        pub traffic_policy: Option<TrafficPolicy>,
        /// Conditions on the requests that the routes are for.
        #[serde(rename = "match")]
        pub matches: Vec<HttpMatchRequest>,
        /// Name of the App Mesh mesh.
        pub mesh_name: String,
        /// App Mesh backends.
        pub backends: Vec<String>,
        /// Metadata of the Service that users call.
        pub apex: Option<CustomMetadata>,
        /// Metadata of the primary's Service.
        pub primary: Option<CustomMetadata>,
        /// Metadata of the new version's Service.
        pub canary: Option<CustomMetadata>,
        /// Labels and annotations of the Services that others set and that are left as they are.
        pub unmanaged_metadata: Option<UnmanagedMetadata>,
    }

    /// Change of path and authority.
    pub struct CanaryRewrite {
        /// The new path or prefix.
        pub uri: String,
        /// The new authority.
        pub authority: String,
        /// What is replaced, Gateway API only: `ReplacePrefixMatch`, or else the full path.
        #[serde(rename = "type")]
        pub rewrite_type: String,
    }

    /// Labels and annotations of objects that are made.
    pub struct CustomMetadata {
        /// Labels.
        pub labels: BTreeMap<String, String>,
        /// Annotations.
        pub annotations: BTreeMap<String, String>,
    }

    /// Keys of labels and annotations.
    pub struct UnmanagedMetadata {
        /// Keys of labels.
        pub labels: Vec<String>,
        /// Keys of annotations.
        pub annotations: Vec<String>,
    }
}
