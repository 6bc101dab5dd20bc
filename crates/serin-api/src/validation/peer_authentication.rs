//! Rules for PeerAuthentications.

use super::place::Place;
use super::{Rules, numbers, selectors};
use crate::Meta;
use crate::security::PeerAuthentication;

impl Rules for PeerAuthentication {
    fn check(&self, _: &Meta, spec: &Place<'_>) {
        let chooses = self.selector.as_ref().is_some_and(|it| !it.match_labels.is_empty());
        let ports = spec.key("portLevelMtls");
        if !chooses && !self.port_level_mtls.is_empty() {
            ports.error("a policy of a whole namespace or mesh cannot have modes for single ports: choose workloads");
        }
        for port in self.port_level_mtls.keys() {
            ports.key(&port.to_string()).expect(numbers::port(*port));
        }
        selectors::policy_selector(self.selector.as_ref(), &spec.key("selector"));
    }
}
