//! EnvoyFilter: patches of the configuration that an Envoy gets.

use serde_json::{Map, Value};

use crate::values::{TargetRef, WorkloadSelector};

resource! {
    EnvoyFilter: "networking.istio.io", ["v1alpha3"], "envoyfilters"
}

message! {
    /// Patches of the configuration of some workloads' proxies.
    #[schemars(extend("x-kubernetes-validations" = [
        {"rule": "(has(self.workloadSelector) ? 1 : 0) + (has(self.targetRefs) ? 1 : 0) <= 1", "message": "only one of targetRefs or workloadSelector can be set"},
    ]))]
    pub struct EnvoyFilter {
        /// Workloads of the namespace. Absent is all of them.
        pub workload_selector: Option<WorkloadSelector>,
        /// Gateways and services that the patches are attached to.
        #[schemars(length(max = 16))]
        pub target_refs: Vec<TargetRef>,
        /// The patches, applied in order.
        pub config_patches: Vec<EnvoyConfigObjectPatch>,
        /// Order among EnvoyFilters, lowest first.
        pub priority: i32,
    }

    /// One patch.
    pub struct EnvoyConfigObjectPatch {
        /// What is patched.
        pub apply_to: ApplyTo,
        /// Which of them.
        #[serde(rename = "match")]
        #[schemars(extend("x-kubernetes-validations" = [
            {"rule": "(has(self.context) && self.context == 'WAYPOINT') ? !(has(self.cluster) || has(self.listener) || has(self.routeConfiguration)) : !has(self.waypoint)", "message": "only support waypointMatch when context is WAYPOINT"},
        ]))]
        pub condition: Option<EnvoyConfigObjectMatch>,
        /// The change.
        pub patch: Option<Patch>,
    }

    /// Which objects a patch is for.
    #[schemars(extend("oneOf" = [
        {"not": {"anyOf": [
            {"required": ["listener"]}, {"required": ["routeConfiguration"]}, {"required": ["cluster"]}, {"required": ["waypoint"]},
        ]}},
        {"required": ["listener"]},
        {"required": ["routeConfiguration"]},
        {"required": ["cluster"]},
        {"required": ["waypoint"]},
    ]))]
    pub struct EnvoyConfigObjectMatch {
        /// Direction of the traffic.
        pub context: PatchContext,
        /// Which proxies.
        pub proxy: Option<ProxyMatch>,
        /// Which listeners.
        pub listener: Option<ListenerMatch>,
        /// Which route tables.
        pub route_configuration: Option<RouteConfigurationMatch>,
        /// Which clusters.
        pub cluster: Option<ClusterMatch>,
        /// Which parts of a waypoint.
        pub waypoint: Option<WaypointMatch>,
    }

    /// Which proxies.
    pub struct ProxyMatch {
        /// Regular expression of the proxy's version.
        pub proxy_version: String,
        /// Metadata that the proxy announces.
        pub metadata: std::collections::BTreeMap<String, String>,
    }

    /// Which listeners.
    pub struct ListenerMatch {
        /// Port of the listener.
        pub port_number: u32,
        /// Of no effect; kept so that old objects can be read.
        pub port_name: String,
        /// Which filter chain.
        pub filter_chain: Option<FilterChainMatch>,
        /// Name of a listener filter.
        pub listener_filter: String,
        /// Name of the listener.
        pub name: String,
    }

    /// Which filter chains.
    pub struct FilterChainMatch {
        /// Name.
        pub name: String,
        /// Server name of its match.
        pub sni: String,
        /// Transport protocol of its match.
        pub transport_protocol: String,
        /// Application protocols of its match, comma-separated.
        pub application_protocols: String,
        /// Which filter.
        pub filter: Option<FilterMatch>,
        /// Destination port of its match.
        pub destination_port: u32,
    }

    /// Which network filter.
    pub struct FilterMatch {
        /// Name.
        pub name: String,
        /// Which filter inside of it.
        pub sub_filter: Option<SubFilterMatch>,
    }

    /// Which HTTP filter.
    pub struct SubFilterMatch {
        /// Name.
        pub name: String,
    }

    /// Which route tables.
    pub struct RouteConfigurationMatch {
        /// Port.
        pub port_number: u32,
        /// Name of the port, on gateways.
        pub port_name: String,
        /// Gateway, `namespace/name`.
        pub gateway: String,
        /// Which virtual host.
        pub vhost: Option<VirtualHostMatch>,
        /// Name.
        pub name: String,
    }

    /// Which virtual hosts.
    pub struct VirtualHostMatch {
        /// Name.
        pub name: String,
        /// Which route.
        pub route: Option<RouteMatch>,
        /// A domain of the virtual host.
        pub domain_name: String,
    }

    /// Which routes.
    pub struct RouteMatch {
        /// Name.
        pub name: String,
        /// What the route does.
        pub action: RouteAction,
    }

    /// Which clusters.
    pub struct ClusterMatch {
        /// Port of the service.
        pub port_number: u32,
        /// Host of the service.
        pub service: String,
        /// Subset of the service.
        pub subset: String,
        /// Name.
        pub name: String,
    }

    /// Which parts of a waypoint.
    pub struct WaypointMatch {
        /// Port of the service.
        pub port_number: u32,
        /// Which filter.
        pub filter: Option<FilterMatch>,
        /// Which route.
        pub route: Option<SubFilterMatch>,
    }

    /// A change.
    pub struct Patch {
        /// How the value is applied.
        pub operation: PatchOperation,
        /// The value, in Envoy's form.
        #[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
        pub value: Option<Map<String, Value>>,
        /// Where an HTTP filter is put among Istio's own.
        pub filter_class: FilterClass,
    }
}

choice! {
    /// What a patch is for.
    pub enum ApplyTo {
        /// Not said, which is an error.
        Invalid = "INVALID",
        /// Listeners.
        Listener = "LISTENER",
        /// Filter chains.
        FilterChain = "FILTER_CHAIN",
        /// Network filters.
        NetworkFilter = "NETWORK_FILTER",
        /// HTTP filters.
        HttpFilter = "HTTP_FILTER",
        /// Route tables.
        RouteConfiguration = "ROUTE_CONFIGURATION",
        /// Virtual hosts.
        VirtualHost = "VIRTUAL_HOST",
        /// Routes.
        HttpRoute = "HTTP_ROUTE",
        /// Clusters.
        Cluster = "CLUSTER",
        /// Extension configurations.
        ExtensionConfig = "EXTENSION_CONFIG",
        /// The bootstrap.
        Bootstrap = "BOOTSTRAP",
        /// Listener filters.
        ListenerFilter = "LISTENER_FILTER",
    }

    /// Direction of the traffic.
    pub enum PatchContext {
        /// All of them.
        Any = "ANY",
        /// Traffic to a sidecar's workload.
        SidecarInbound = "SIDECAR_INBOUND",
        /// Traffic from a sidecar's workload.
        SidecarOutbound = "SIDECAR_OUTBOUND",
        /// Gateways.
        Gateway = "GATEWAY",
        /// Waypoints.
        Waypoint = "WAYPOINT",
    }

    /// What a route does.
    pub enum RouteAction {
        /// Anything.
        Any = "ANY",
        /// Forward.
        Route = "ROUTE",
        /// Redirect.
        Redirect = "REDIRECT",
        /// Answer directly.
        DirectResponse = "DIRECT_RESPONSE",
    }

    /// How a value is applied.
    pub enum PatchOperation {
        /// Not said, which is an error.
        Invalid = "INVALID",
        /// Merged into the object; lists are appended.
        Merge = "MERGE",
        /// Added to the list, at its end.
        Add = "ADD",
        /// The object is removed.
        Remove = "REMOVE",
        /// Added before the object.
        InsertBefore = "INSERT_BEFORE",
        /// Added after the object.
        InsertAfter = "INSERT_AFTER",
        /// Added at the beginning of the list.
        InsertFirst = "INSERT_FIRST",
        /// In place of the object.
        Replace = "REPLACE",
        /// Merged into the object; lists are replaced.
        MergeAndReplaceList = "MERGE_AND_REPLACE_LIST",
    }

    /// Where an HTTP filter is put.
    pub enum FilterClass {
        /// Where the operation says.
        Unspecified = "UNSPECIFIED",
        /// After authentication.
        Authn = "AUTHN",
        /// After authorization.
        Authz = "AUTHZ",
        /// Before statistics.
        Stats = "STATS",
    }
}
