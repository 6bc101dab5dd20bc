//! Where rules are chosen for, and which rules hold there.

use std::collections::BTreeMap;

use serin_api::networking::{HttpMatchRequest, L4MatchAttributes, TlsMatchAttributes};

use super::GatewayName;

/// What is known about a listener when its rules are chosen: conditions on these are decided here, not for each request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// Labels of the proxy's workload; for a gateway, those of the gateway itself.
    pub(crate) labels: &'a BTreeMap<String, String>,
    /// Namespace of the proxy's workload.
    pub(crate) namespace: &'a str,
    /// The gateways that the listener is for.
    pub(crate) gateways: &'a [GatewayName],
    /// The port that clients address.
    pub(crate) port: u16,
}

/// A condition that holds at other places, with what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Elsewhere<'m> {
    /// Clients address another port.
    Port(u32),
    /// The listener is for other gateways.
    Gateways(&'m [String]),
    /// The caller has another label, or none: key and value.
    Label(&'m str, &'m str),
    /// The caller is in another namespace.
    Namespace(&'m str),
}

impl Place<'_> {
    /// Whether a match of an HTTP rule can hold here.
    pub(crate) fn takes_http(&self, condition: &HttpMatchRequest) -> bool {
        self.failed_http(condition).is_none()
    }

    /// The first condition of an HTTP rule's match that does not hold here. `sourceLabels` and `sourceNamespace` do not
    /// count where `gateways` is written (`sourceMatchHTTP`).
    pub(crate) fn failed_http<'m>(&self, condition: &'m HttpMatchRequest) -> Option<Elsewhere<'m>> {
        if !self.has_port(condition.port) {
            return condition.port.map(Elsewhere::Port);
        }
        if !condition.gateways.is_empty() {
            let fails = !self.has_gateway(&condition.gateways);
            return fails.then_some(Elsewhere::Gateways(&condition.gateways));
        }
        let other = |(key, value): &(&String, &String)| self.labels.get(*key) != Some(*value);
        if let Some((key, value)) = condition.source_labels.iter().find(other) {
            return Some(Elsewhere::Label(key, value));
        }
        let namespace = condition.source_namespace.as_str();
        let fails = !namespace.is_empty() && namespace != self.namespace;
        fails.then_some(Elsewhere::Namespace(namespace))
    }

    /// Whether a match of a TLS rule can hold here. Unlike for HTTP, all conditions count (`matchTLS`).
    pub(crate) fn takes_tls(&self, condition: &TlsMatchAttributes) -> bool {
        self.is_for(condition.port, &condition.gateways)
            && self.has_source(&condition.source_labels, &condition.source_namespace)
    }

    /// Whether a match of a TCP rule can hold here. Unlike for HTTP, all conditions count (`matchTCP`).
    pub(crate) fn takes_tcp(&self, condition: &L4MatchAttributes) -> bool {
        self.is_for(condition.port, &condition.gateways)
            && self.has_source(&condition.source_labels, &condition.source_namespace)
    }

    /// Whether a match of a rule for connections is for this port and these gateways. Nothing else counts on a gateway
    /// (`l4SingleMatch`).
    pub(crate) fn is_for(&self, port: Option<u32>, gateways: &[String]) -> bool {
        self.has_port(port) && (gateways.is_empty() || self.has_gateway(gateways))
    }

    fn has_port(&self, port: Option<u32>) -> bool {
        port.is_none_or(|port| port == 0 || port == u32::from(self.port))
    }

    fn has_source(&self, labels: &BTreeMap<String, String>, namespace: &str) -> bool {
        labels.iter().all(|(key, value)| self.labels.get(key) == Some(value))
            && (namespace.is_empty() || namespace == self.namespace)
    }

    fn has_gateway(&self, names: &[String]) -> bool {
        names.iter().any(|name| self.gateways.iter().any(|gateway| gateway.as_str() == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn with_place<T>(test: impl Fn(&Place<'_>) -> T) -> T {
        let labels = labels(&[("app", "productpage"), ("version", "v1")]);
        let gateways = [GatewayName::mesh()];
        test(&Place { labels: &labels, namespace: "default", gateways: &gateways, port: 9080 })
    }

    #[track_caller]
    fn check_http(condition: HttpMatchRequest, taken: bool) {
        assert_eq!(with_place(|place| place.takes_http(&condition)), taken, "{condition:?}");
    }

    #[test]
    fn http_rules_are_chosen_by_port_labels_and_namespace() {
        check_http(HttpMatchRequest::default(), true);
        check_http(HttpMatchRequest { port: Some(9080), ..Default::default() }, true);
        check_http(HttpMatchRequest { port: Some(80), ..Default::default() }, false);
        check_http(
            HttpMatchRequest {
                source_labels: labels(&[("app", "productpage")]),
                ..Default::default()
            },
            true,
        );
        check_http(
            HttpMatchRequest { source_labels: labels(&[("version", "v2")]), ..Default::default() },
            false,
        );
        check_http(
            HttpMatchRequest { source_namespace: "default".to_owned(), ..Default::default() },
            true,
        );
        check_http(
            HttpMatchRequest { source_namespace: "other".to_owned(), ..Default::default() },
            false,
        );
    }

    #[test]
    fn t_src_labels_are_ignored_for_http_where_gateways_are_written_but_not_for_tls_and_tcp() {
        let gateways = vec!["mesh".to_owned()];
        let source_labels = labels(&[("version", "v2")]);
        let http = HttpMatchRequest {
            gateways: gateways.clone(),
            source_labels: source_labels.clone(),
            source_namespace: "other".to_owned(),
            ..Default::default()
        };
        check_http(http.clone(), true);
        check_http(HttpMatchRequest { gateways: vec!["default/gw".to_owned()], ..http }, false);
        let tls = TlsMatchAttributes {
            gateways: gateways.clone(),
            source_labels: source_labels.clone(),
            ..Default::default()
        };
        let tcp = L4MatchAttributes { gateways, source_labels, ..Default::default() };
        assert!(!with_place(|place| place.takes_tls(&tls)));
        assert!(!with_place(|place| place.takes_tcp(&tcp)));
    }
}
