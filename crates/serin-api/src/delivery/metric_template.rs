//! MetricTemplate: how a metric is asked for.

use std::collections::BTreeMap;

use super::as_flagger_has_it;

as_flagger_has_it! {
    /// How a metric is asked for, in Flagger's terms.
    FlaggerMetricTemplate of MetricTemplate as "MetricTemplate", "metrictemplates"
    columns [("Provider", "string", ".spec.provider.type", "What is asked")]
}

message! {
    /// How a metric is asked for.
    pub struct MetricTemplate {
        /// Whom to ask.
        #[schemars(extend("x-required" = true))]
        pub provider: Option<MetricProvider>,
        /// The query, with functions between double braces: `name`, `namespace`, `target`, `service`, `ingress`, `route`,
        /// `interval`, and `variables` with the name of a variable after a dot.
        pub query: String,
    }

    /// Who is asked for a metric.
    pub struct MetricProvider {
        /// Kind of service.
        #[serde(rename = "type")]
        #[schemars(extend("x-required" = true))]
        pub provider_type: MetricProviderType,
        /// Its address.
        pub address: String,
        /// Headers of the requests to it, with their values.
        pub headers: BTreeMap<String, Vec<String>>,
        /// Secret with its credentials.
        pub secret_ref: Option<SecretReference>,
        /// Region of a cloud service.
        pub region: String,
        /// Do not verify its certificate.
        pub insecure_skip_verify: bool,
    }

    /// A Secret in the same namespace.
    pub struct SecretReference {
        /// Name.
        #[schemars(extend("x-required" = true))]
        pub name: String,
    }
}

choice! {
    /// Kind of service that is asked for a metric.
    pub enum MetricProviderType {
        /// Prometheus.
        Prometheus = "prometheus",
        /// InfluxDB.
        Influxdb = "influxdb",
        /// Datadog.
        Datadog = "datadog",
        /// The external metrics of Kubernetes.
        Externalmetrics = "externalmetrics",
        /// Google Cloud Monitoring.
        Stackdriver = "stackdriver",
        /// Amazon CloudWatch.
        Cloudwatch = "cloudwatch",
        /// New Relic.
        Newrelic = "newrelic",
        /// Graphite.
        Graphite = "graphite",
        /// Dynatrace.
        Dynatrace = "dynatrace",
        /// Keptn.
        Keptn = "keptn",
        /// Splunk.
        Splunk = "splunk",
    }
}
