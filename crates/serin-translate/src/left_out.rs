//! Rules that a proxy never gets, told where its rules are explained.
//!
//! Conditions on the caller, the port and the gateway are decided when a model is made: a rule that they rule out is not in
//! the model, and an explanation of the model does not know it. Its author does, and asks why it was passed over.

use std::collections::{BTreeMap, VecDeque};

use serin_routing::explain::{Explanation, Rejection, RuleReport};

use crate::host::Host;
use crate::proxy::{Proxy, ProxyKind};
use crate::snapshot::Snapshot;
use crate::virtual_service::{Elsewhere, GatewayName, Place, ResolvedVirtualService};

/// Adds the rules that were left out of the model of `proxy` to those that did not take a request to `port`, each where
/// it stands among the others of its object.
pub fn tell_left_out(snapshot: &Snapshot, proxy: &Proxy, port: u16, way: &mut Explanation) {
    let gateways = gateways(snapshot, proxy, port);
    let place =
        Place { labels: &proxy.labels, namespace: &proxy.namespace, gateways: &gateways, port };
    let mut teller = Teller { snapshot, place, objects: BTreeMap::new() };
    let mut told = Vec::new();
    for rejection in std::mem::take(&mut way.rejected) {
        teller.before(&rejection.rule, &mut told);
        told.push(rejection);
    }
    match &way.rule {
        Some(rule) if root(rule).kind == "VirtualService" => teller.before(rule, &mut told),
        _ => {
            // No rule of a VirtualService took the request: perhaps none was left of the one for the host.
            if let Some(host) = way.virtual_host.as_deref() {
                teller.meet(host);
            }
            teller.rest(&mut told);
        }
    }
    way.rejected = told;
}

/// The gateways that a listener of the proxy is for.
fn gateways(snapshot: &Snapshot, proxy: &Proxy, port: u16) -> Vec<GatewayName> {
    match proxy.kind {
        ProxyKind::Sidecar => vec![GatewayName::mesh()],
        ProxyKind::Gateway => {
            let gateways = snapshot.objects().gateways.iter();
            let serves = |number: u32| number == u32::from(port);
            gateways
                .filter(|gateway| proxy.has_labels(&gateway.spec.selector))
                .filter(|gateway| {
                    let mut ports = gateway.spec.servers.iter().filter_map(|it| it.port.as_ref());
                    ports.any(|port| serves(port.number))
                })
                .map(|gateway| GatewayName::of(gateway))
                .collect()
        }
    }
}

/// The entries of an object that were not told of: each rule, and why it was left out if it was.
type Entries = VecDeque<(RuleReport, Option<Rejection>)>;

struct Teller<'a> {
    snapshot: &'a Snapshot,
    place: Place<'a>,
    /// By namespace and name.
    objects: BTreeMap<(String, String), Entries>,
}

impl Teller<'_> {
    /// Tells of the rules of the same object that were left out before `rule`.
    fn before(&mut self, rule: &RuleReport, told: &mut Vec<Rejection>) {
        let root = root(rule);
        let key = (root.namespace.clone(), root.name.clone());
        if !self.objects.contains_key(&key) {
            let all = self.snapshot.virtual_services().all();
            let found = all.iter().find(|it| {
                root.kind == "VirtualService"
                    && it.object.meta.namespace == key.0
                    && it.object.meta.name == key.1
            });
            let entries = found.map(|rules| self.entries(rules)).unwrap_or_default();
            self.objects.insert(key.clone(), entries);
        }
        let Some(entries) = self.objects.get_mut(&key) else { return };
        let Some(position) = entries.iter().position(|(entry, _)| entry == rule) else { return };
        told.extend(entries.drain(..=position).filter_map(|(_, rejection)| rejection));
    }

    /// Takes the VirtualService for a virtual host of the mesh into account.
    fn meet(&mut self, virtual_host: &str) {
        let host = virtual_host.rsplit_once(':').map_or(virtual_host, |(host, _)| host);
        let host = Host::new(host);
        let mesh = GatewayName::mesh();
        let bound = self.snapshot.virtual_services().bound_to(&mesh, self.place.namespace);
        let Some(rules) = bound.into_iter().find(|rules| rules.hosts.contains(&host)) else {
            return;
        };
        if self.place.gateways.contains(&mesh) {
            let key = (rules.object.meta.namespace.clone(), rules.object.meta.name.clone());
            let entries = self.entries(rules);
            self.objects.entry(key).or_insert(entries);
        }
    }

    /// Tells of all that is left.
    fn rest(self, told: &mut Vec<Rejection>) {
        told.extend(self.objects.into_values().flatten().filter_map(|(_, rejection)| rejection));
    }

    fn entries(&self, rules: &ResolvedVirtualService) -> Entries {
        let mut entries = Entries::new();
        for rule in &rules.http {
            for (index, origin) in rule.origins.iter().enumerate() {
                let report = RuleReport::new(origin);
                let condition = rule.route.matches.get(index);
                let failed = condition.and_then(|condition| self.place.failed_http(condition));
                let rejection = failed.map(|failed| self.rejection(report.clone(), failed));
                entries.push_back((report, rejection));
            }
        }
        entries
    }

    fn rejection(&self, rule: RuleReport, failed: Elsewhere<'_>) -> Rejection {
        let (condition, expected, actual) = match failed {
            Elsewhere::Port(port) => {
                ("port".to_owned(), port.to_string(), Some(self.place.port.to_string()))
            }
            Elsewhere::Gateways(names) => {
                let here: Vec<&str> = self.place.gateways.iter().map(GatewayName::as_str).collect();
                ("gateways".to_owned(), names.join(", "), Some(here.join(", ")))
            }
            Elsewhere::Label(key, value) => (
                format!("sourceLabels[{key}]"),
                value.to_owned(),
                self.place.labels.get(key).cloned(),
            ),
            Elsewhere::Namespace(name) => (
                "sourceNamespace".to_owned(),
                name.to_owned(),
                Some(self.place.namespace.to_owned()),
            ),
        };
        Rejection { rule, condition, expected, actual }
    }
}

/// The rule of the object that is bound to gateways: the delegating one, if there is one.
fn root(rule: &RuleReport) -> &RuleReport {
    rule.root.as_deref().unwrap_or(rule)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serin_routing::model::Direction;
    use serin_routing::simulate::{Call, simulate};

    use super::*;
    use crate::testing::manifests;
    use crate::translate;

    const LANES: &str = "
apiVersion: v1
kind: Service
metadata: {name: appb, namespace: default}
spec:
  selector: {app: appb}
  ports: [{name: http, port: 8000}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: lanes, namespace: default}
spec:
  hosts: [appb]
  http:
  - match:
    - sourceLabels: {app: appa, version: v1}
    - sourceNamespace: other
    route: [{destination: {host: appb}}]
  - match:
    - sourceLabels: {version: v2}
      headers: {x: {exact: on-trial}}
    - gateways: [default/gw]
    - port: 80
    route: [{destination: {host: appb}}]
";

    /// The conditions that failed for a caller, in order: `rule.match condition wanted had`.
    #[track_caller]
    fn check(version: &str, rest: &str, expect: &[&str]) {
        let snapshot = manifests(&format!("{LANES}{rest}"));
        let labels = BTreeMap::from([("version".to_owned(), version.to_owned())]);
        let proxy = Proxy::new(ProxyKind::Sidecar, "default", labels);
        let model = translate(&snapshot, &proxy).model;
        let call = Call { port: 8000, authority: Some("appb:8000".to_owned()), ..Call::default() };
        let mut way = simulate(&model, Direction::Outbound, &call);
        tell_left_out(&snapshot, &proxy, 8000, &mut way);
        let told: Vec<String> = way
            .rejected
            .iter()
            .map(|it| {
                let (rule, entry) = (it.rule.index.unwrap_or(9), it.rule.match_index.unwrap_or(9));
                let had = it.actual.as_deref().unwrap_or("-");
                format!("{rule}.{entry} {} {} {had}", it.condition, it.expected)
            })
            .collect();
        assert_eq!(told, expect);
    }

    #[test]
    fn rules_for_other_callers_stand_among_those_that_were_asked() {
        check(
            "v2",
            "  - route: [{destination: {host: appb}}]\n",
            &[
                "0.0 sourceLabels[app] appa -",
                "0.1 sourceNamespace other default",
                "1.0 headers[x].exact on-trial -",
                "1.1 gateways default/gw mesh",
                "1.2 port 80 8000",
            ],
        );
    }

    #[test]
    fn t_src_a_virtual_service_of_which_nothing_is_left_is_told_of() {
        check(
            "v3",
            "",
            &[
                "0.0 sourceLabels[app] appa -",
                "0.1 sourceNamespace other default",
                "1.0 sourceLabels[version] v2 v3",
                "1.1 gateways default/gw mesh",
                "1.2 port 80 8000",
            ],
        );
    }
}
