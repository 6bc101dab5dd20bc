//! ProxyConfig: settings of proxies by workload.

use std::collections::BTreeMap;

use crate::values::PolicySelector;

resource! {
    ProxyConfig: "networking.istio.io", ["v1beta1"], "proxyconfigs"
}

message! {
    /// Settings of the proxies of some workloads.
    pub struct ProxyConfig {
        /// Workloads of the namespace. Absent is all of them.
        pub selector: Option<PolicySelector>,
        /// Worker threads. Absent is by the CPU limit; 0 is one for each core.
        #[schemars(range(min = 0))]
        #[schemars(extend("x-nullable" = true))]
        pub concurrency: Option<i32>,
        /// Environment variables of the proxy.
        #[schemars(extend("maxProperties" = 100))]
        pub environment_variables: BTreeMap<String, String>,
        /// Image of the proxy.
        pub image: Option<ProxyImage>,
    }

    /// Image of a proxy.
    pub struct ProxyImage {
        /// Variant of the image: `default`, `debug` or `distroless`.
        pub image_type: String,
    }
}
