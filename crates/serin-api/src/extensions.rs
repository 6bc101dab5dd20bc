//! Istio's extension kinds (`extensions.istio.io`): WasmPlugin and TrafficExtension.

use serde_json::{Map, Value};

use crate::telemetry::WorkloadMode;
use crate::values::{PolicySelector, TargetRef};

resource! {
    WasmPlugin: "extensions.istio.io", ["v1alpha1"], "wasmplugins"
    columns [("Age", "date", ".metadata.creationTimestamp", "Time since creation")]
}

resource! {
    TrafficExtension: "extensions.istio.io", ["v1alpha1"], "trafficextensions"
    columns [("Age", "date", ".metadata.creationTimestamp", "Time since creation")]
}

message! {
    /// A WebAssembly filter for some workloads' proxies.
    #[schemars(extend("x-kubernetes-validations" = [
        {"rule": "(has(self.targetRef) ? 1 : 0) + (has(self.targetRefs) ? 1 : 0) + (has(self.selector) ? 1 : 0) <= 1", "message": "only one of targetRefs or selector can be set"},
    ]))]
    pub struct WasmPlugin {
        /// Workloads of the namespace. Absent is all of them; in the root namespace, all of the mesh.
        pub selector: Option<PolicySelector>,
        /// Deprecated: use `targetRefs`.
        pub target_ref: Option<TargetRef>,
        /// Gateways and services that the filter is attached to.
        #[schemars(length(max = 16))]
        pub target_refs: Vec<TargetRef>,
        /// Where the module is: `file`, `oci` (also without a scheme), `http` or `https`.
        #[schemars(extend("x-required" = true), length(min = 1), extend("x-kubernetes-validations" = [
            {"rule": "isURL(self) ? (url(self).getScheme() in ['', 'http', 'https', 'oci', 'file']) : (isURL('http://' + self) && url('http://' + self).getScheme() in ['', 'http', 'https', 'oci', 'file'])", "message": "url must have schema one of [http, https, file, oci]"},
        ]))]
        pub url: String,
        /// SHA-256 of the module or of the OCI image, in lower-case hexadecimal.
        #[schemars(regex(pattern = "(^$|^[a-f0-9]{64}$)"))]
        pub sha256: String,
        /// When an OCI image is pulled.
        pub image_pull_policy: PullPolicy,
        /// Secret with the credentials of the registry.
        #[schemars(length(min = 1, max = 253))]
        pub image_pull_secret: String,
        /// Not used.
        pub verification_key: String,
        /// Configuration that is handed to the module.
        #[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
        pub plugin_config: Option<Map<String, Value>>,
        /// Name of the plugin in the module.
        #[schemars(length(min = 1, max = 256))]
        pub plugin_name: String,
        /// Where in the filter chain it stands.
        pub phase: PluginPhase,
        /// Order within the phase, highest first.
        #[schemars(extend("x-nullable" = true))]
        pub priority: Option<i32>,
        /// What happens when the module cannot be loaded.
        pub fail_strategy: FailStrategy,
        /// Settings of the virtual machine.
        pub vm_config: Option<VmConfig>,
        /// Which traffic. None at all is all.
        #[serde(rename = "match")]
        pub conditions: Vec<TrafficSelector>,
        /// Kind of filter.
        #[serde(rename = "type")]
        pub plugin_type: PluginType,
    }

    /// A filter for some workloads' proxies.
    #[schemars(extend(
        "x-kubernetes-validations" = [
            {"rule": "(has(self.targetRefs) ? 1 : 0) + (has(self.selector) ? 1 : 0) <= 1", "message": "only one of targetRefs or selector can be set"},
        ],
        "oneOf" = [
            {"not": {"anyOf": [{"required": ["wasm"]}, {"required": ["lua"]}]}},
            {"required": ["wasm"]},
            {"required": ["lua"]},
        ]
    ))]
    pub struct TrafficExtension {
        /// Workloads of the namespace. Absent is all of them; in the root namespace, all of the mesh.
        pub selector: Option<PolicySelector>,
        /// Gateways and services that the filter is attached to.
        #[schemars(length(max = 16))]
        pub target_refs: Vec<TargetRef>,
        /// Where in the filter chain it stands.
        pub phase: PluginPhase,
        /// Order within the phase, highest first.
        #[schemars(extend("x-nullable" = true))]
        pub priority: Option<i32>,
        /// Which traffic. None at all is all.
        #[serde(rename = "match")]
        pub conditions: Vec<TrafficSelector>,
        /// A WebAssembly filter.
        pub wasm: Option<WasmConfig>,
        /// A Lua filter.
        pub lua: Option<LuaConfig>,
    }

    /// A WebAssembly filter.
    pub struct WasmConfig {
        /// Where the module is: `file`, `oci` (also without a scheme), `http` or `https`.
        #[schemars(extend("x-required" = true), length(min = 1), extend("x-kubernetes-validations" = [
            {"rule": "isURL(self) ? (url(self).getScheme() in ['', 'http', 'https', 'oci', 'file']) : (isURL('http://' + self) && url('http://' + self).getScheme() in ['', 'http', 'https', 'oci', 'file'])", "message": "url must have schema one of [http, https, file, oci]"},
        ]))]
        pub url: String,
        /// SHA-256 of the module or of the OCI image, in lower-case hexadecimal.
        #[schemars(regex(pattern = "(^$|^[a-f0-9]{64}$)"))]
        pub sha256: String,
        /// When an OCI image is pulled.
        pub image_pull_policy: PullPolicy,
        /// Secret with the credentials of the registry.
        #[schemars(length(min = 1, max = 253))]
        pub image_pull_secret: String,
        /// Not used.
        pub verification_key: String,
        /// Configuration that is handed to the module.
        #[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
        pub plugin_config: Option<Map<String, Value>>,
        /// Name of the plugin in the module.
        #[schemars(length(min = 1, max = 256))]
        pub plugin_name: String,
        /// What happens when the module cannot be loaded.
        pub fail_strategy: FailStrategy,
        /// Settings of the virtual machine.
        pub vm_config: Option<VmConfig>,
        /// Kind of filter.
        #[serde(rename = "type")]
        pub plugin_type: PluginType,
    }

    /// A Lua filter.
    pub struct LuaConfig {
        /// The program, up to 64 KiB.
        #[schemars(extend("x-required" = true), length(min = 1, max = 65536))]
        pub inline_code: String,
    }

    /// Settings of the virtual machine.
    pub struct VmConfig {
        /// Environment variables.
        #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
        pub env: Vec<EnvVar>,
    }

    /// An environment variable.
    #[schemars(extend("x-kubernetes-validations" = [
        {"rule": "(has(self.valueFrom) ? self.valueFrom : '') != 'HOST' || !has(self.value)", "message": "value may only be set when valueFrom is INLINE"},
    ]))]
    pub struct EnvVar {
        /// Name.
        #[schemars(extend("x-required" = true), length(min = 1, max = 256))]
        pub name: String,
        /// Where the value comes from.
        pub value_from: EnvValueSource,
        /// The value, when it stands here.
        #[schemars(length(max = 2048))]
        pub value: String,
    }

    /// Which traffic.
    pub struct TrafficSelector {
        /// The side of a connection.
        pub mode: WorkloadMode,
        /// Ports. None at all is all.
        #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["number"]))]
        pub ports: Vec<TrafficPort>,
    }

    /// A port.
    pub struct TrafficPort {
        /// Port number.
        #[schemars(extend("x-required" = true), range(min = 1, max = 65535))]
        pub number: u32,
    }
}

choice! {
    /// When an OCI image is pulled.
    pub enum PullPolicy {
        /// `Always` for the tag latest, else `IfNotPresent`.
        Unspecified = "UNSPECIFIED_POLICY",
        /// When it is not there.
        IfNotPresent = "IfNotPresent",
        /// Always.
        Always = "Always",
    }

    /// Where in the filter chain a filter stands.
    pub enum PluginPhase {
        /// At the end, before the router.
        Unspecified = "UNSPECIFIED_PHASE",
        /// Before authentication.
        Authn = "AUTHN",
        /// After authentication, before authorization.
        Authz = "AUTHZ",
        /// After authorization, before statistics.
        Stats = "STATS",
    }

    /// What happens when a module cannot be loaded.
    pub enum FailStrategy {
        /// Requests fail.
        FailClose = "FAIL_CLOSE",
        /// Requests pass without the filter.
        FailOpen = "FAIL_OPEN",
        /// Requests fail, and the module is loaded again.
        FailReload = "FAIL_RELOAD",
    }

    /// Kind of filter.
    pub enum PluginType {
        /// HTTP.
        Unspecified = "UNSPECIFIED_PLUGIN_TYPE",
        /// HTTP.
        Http = "HTTP",
        /// Network.
        Network = "NETWORK",
    }

    /// Where the value of an environment variable comes from.
    pub enum EnvValueSource {
        /// It stands in the object.
        Inline = "INLINE",
        /// From the environment of the proxy.
        Host = "HOST",
    }
}
