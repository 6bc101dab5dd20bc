//! Rules for DestinationRules.

use std::collections::BTreeSet;

use super::place::Place;
use super::visibility::{Exported, export_to};
use super::{Rules, connection_pool, http_route, load_balancer, names, numbers, selectors};
use crate::Meta;
use crate::networking::{
    ClientTlsMode, ClientTlsSettings, DestinationRule, OutlierDetection, PortTrafficPolicy,
    RetryBudget, Subset, TrafficPolicy, TunnelSettings,
};

/// A credential that is a ConfigMap and not a Secret.
const CONFIG_MAP: &str = "configmap://";

impl Rules for DestinationRule {
    fn check(&self, meta: &Meta, spec: &Place<'_>) {
        spec.key("host").expect(names::wildcard_domain(&self.host));
        if let Some(policy) = &self.traffic_policy {
            traffic_policy(policy, &meta.namespace, &spec.key("trafficPolicy"));
        }
        let mut names = BTreeSet::new();
        spec.key("subsets").each(&self.subsets, |subset, at| {
            if !names.insert(&subset.name) {
                at.key("name").error(format!("duplicate subset name {}", subset.name));
            }
            self::subset(subset, &meta.namespace, at);
        });
        let exported = if self.workload_selector.is_some() {
            Exported::RuleForWorkloads
        } else {
            Exported::Plain
        };
        export_to(&self.export_to, &meta.namespace, exported, &spec.key("exportTo"));
        selectors::policy_selector(self.workload_selector.as_ref(), &spec.key("workloadSelector"));
    }
}

fn subset(subset: &Subset, namespace: &str, at: &Place<'_>) {
    at.key("name").expect(http_route::subset_name(&subset.name));
    names::object_labels(&subset.labels, &at.key("labels"));
    if let Some(policy) = &subset.traffic_policy {
        traffic_policy(policy, namespace, &at.key("trafficPolicy"));
    }
}

fn traffic_policy(policy: &TrafficPolicy, namespace: &str, at: &Place<'_>) {
    if *policy == TrafficPolicy::default() {
        at.error("a traffic policy must have at least one field");
        return;
    }
    if policy.tunnel.is_some() && policy.proxy_protocol.is_some() {
        at.error("tunnel and proxyProtocol cannot be set together");
    }
    let outlier = policy.outlier_detection.as_ref();
    if let Some(outlier) = outlier {
        outlier_detection(outlier, &at.key("outlierDetection"));
    }
    if let Some(pool) = &policy.connection_pool {
        connection_pool::check(pool, &at.key("connectionPool"));
    }
    if let Some(settings) = &policy.load_balancer {
        load_balancer::check(settings, outlier.is_some(), &at.key("loadBalancer"));
    }
    if let Some(tls) = &policy.tls {
        client_tls(tls, namespace, &at.key("tls"));
    }
    at.key("portLevelSettings").each(&policy.port_level_settings, |policy, at| {
        port_policy(policy, namespace, at);
    });
    if let Some(tunnel) = &policy.tunnel {
        self::tunnel(tunnel, &at.key("tunnel"));
    }
    if let Some(RetryBudget { percent: Some(percent), .. }) = policy.retry_budget
        && !(0.0..=100.0).contains(&percent)
    {
        at.key("retryBudget")
            .key("percent")
            .error(format!("the percentage {percent} is not in the range 0 to 100"));
    }
}

fn port_policy(policy: &PortTrafficPolicy, namespace: &str, at: &Place<'_>) {
    if policy.port.is_none() {
        at.key("port").error("the policy of a port must name the port");
    }
    let PortTrafficPolicy { load_balancer, connection_pool, outlier_detection, tls, .. } = policy;
    let rest = PortTrafficPolicy { port: None, ..policy.clone() };
    if rest == PortTrafficPolicy::default() {
        at.error("the policy of a port must have at least one field beside the port");
    }
    if let Some(outlier) = outlier_detection {
        self::outlier_detection(outlier, &at.key("outlierDetection"));
    }
    if let Some(pool) = connection_pool {
        connection_pool::check(pool, &at.key("connectionPool"));
    }
    if let Some(settings) = load_balancer {
        load_balancer::check(settings, outlier_detection.is_some(), &at.key("loadBalancer"));
    }
    if let Some(tls) = tls {
        client_tls(tls, namespace, &at.key("tls"));
    }
}

fn outlier_detection(outlier: &OutlierDetection, at: &Place<'_>) {
    numbers::duration(outlier.base_ejection_time, &at.key("baseEjectionTime"));
    if outlier.consecutive_errors != 0 {
        at.key("consecutiveErrors").warning(
            "consecutiveErrors is deprecated: use consecutiveGatewayErrors or consecutive5xxErrors",
        );
    }
    let local = outlier.consecutive_local_origin_failures.unwrap_or(0);
    if !outlier.split_external_local_origin_errors && local > 0 {
        at.key("consecutiveLocalOriginFailures").error(
            "failures to connect are counted apart only with splitExternalLocalOriginErrors: true",
        );
    }
    numbers::duration(outlier.interval, &at.key("interval"));
    numbers::whole_percent(outlier.max_ejection_percent, &at.key("maxEjectionPercent"));
    numbers::whole_percent(outlier.min_health_percent, &at.key("minHealthPercent"));
}

fn tunnel(tunnel: &TunnelSettings, at: &Place<'_>) {
    if !matches!(tunnel.protocol.as_str(), "" | "CONNECT" | "POST") {
        at.key("protocol").error("the protocol of a tunnel must be CONNECT or POST");
    }
    if names::fqdn(&tunnel.target_host).is_err() && !names::is_ip(&tunnel.target_host) {
        at.key("targetHost")
            .error(format!("{:?} is neither a domain name nor an IP address", tunnel.target_host));
    }
    at.key("targetPort").expect(numbers::port(tunnel.target_port));
}

fn client_tls(tls: &ClientTlsSettings, namespace: &str, at: &Place<'_>) {
    credential_name(&tls.credential_name, namespace, &at.key("credentialName"));
    let own_credential = matches!(tls.mode, ClientTlsMode::Simple | ClientTlsMode::Mutual);
    if tls.insecure_skip_verify == Some(true) && own_credential {
        let checks_by_credential =
            tls.mode == ClientTlsMode::Simple && !tls.credential_name.is_empty();
        if !tls.ca_certificates.is_empty()
            || !tls.subject_alt_names.is_empty()
            || checks_by_credential
        {
            at.key("insecureSkipVerify").error("with insecureSkipVerify nothing is checked: caCertificates, subjectAltNames and, for SIMPLE, credentialName must not be set");
        }
    }
    if own_credential && !tls.credential_name.is_empty() {
        let files = [&tls.client_certificate, &tls.private_key, &tls.ca_certificates, &tls.ca_crl];
        if files.iter().any(|file| !file.is_empty()) {
            at.error("with a credentialName, certificates, keys and CRLs come from the credential and must not be set as files");
        }
        return;
    }
    if tls.mode == ClientTlsMode::Mutual {
        if tls.client_certificate.is_empty() {
            at.key("clientCertificate").error("mutual TLS needs a client certificate");
        }
        if tls.private_key.is_empty() {
            at.key("privateKey").error("mutual TLS needs a private key");
        }
    }
}

/// `configmap://name` or `configmap://namespace/name`; the namespace must be the rule's own.
fn credential_name(name: &str, namespace: &str, at: &Place<'_>) {
    let Some(config_map) = name.strip_prefix(CONFIG_MAP) else { return };
    let (of, name) = config_map.split_once('/').unwrap_or((namespace, config_map));
    if name.is_empty() || name.contains('/') {
        at.error(format!("{CONFIG_MAP}{config_map} does not name a ConfigMap"));
    } else if of != namespace || namespace.is_empty() {
        at.error(format!("the ConfigMap must be in the namespace of the rule, {namespace:?}"));
    }
}
