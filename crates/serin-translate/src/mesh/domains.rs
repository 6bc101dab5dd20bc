//! The names by which a sidecar's workload may call a service.

use std::net::IpAddr;
use std::sync::Arc;

use crate::host::Host;
use crate::proxy::Proxy;
use crate::registry::Service;

/// Domains of a virtual host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Domains {
    /// All of them, the full name first.
    pub(super) all: Vec<Arc<str>>,
    /// Those among them that are shorter forms of a full name. They give way to a service that has such a name in full.
    pub(super) short_forms: Vec<Arc<str>>,
}

/// The domains of `service` for clients of the proxy's namespace: its full name and those of its aliases, with and without
/// the root's dot, their shorter forms, and its addresses (Istio's `generateVirtualHostDomains`). A headless service also
/// answers for its pods' names.
pub(super) fn of_service(service: &Service, proxy: &Proxy, cluster_domain: &str) -> Domains {
    let mut domains = Domains::default();
    let aliases = service.aliases.iter().map(|alias| &alias.host);
    for host in std::iter::once(&service.host).chain(aliases) {
        let short_forms = short_forms(host, &proxy.namespace, cluster_domain);
        domains.all.push(host.shared());
        if host.parse::<IpAddr>().is_err() {
            domains.all.push(Arc::from(format!("{host}.")));
        }
        domains.all.extend(short_forms.iter().cloned());
        domains.short_forms.extend(short_forms);
    }
    if service.is_headless() {
        let pods: Vec<Arc<str>> =
            domains.all.iter().map(|it| Arc::from(format!("*.{it}"))).collect();
        domains.all.extend(pods);
    }
    let addresses = service.addresses_for(proxy.answers_dns);
    let single = addresses.iter().filter(|it| it.prefix_len() == it.max_prefix_len());
    domains.all.extend(single.map(|it| host_of_address(it.addr())));
    domains
}

/// An address as it stands in a Host header.
pub(crate) fn host_of_address(address: IpAddr) -> Arc<str> {
    match address {
        IpAddr::V4(address) => Arc::from(address.to_string()),
        IpAddr::V6(address) => Arc::from(format!("[{address}]")),
    }
}

/// Shorter forms of a Kubernetes service's full name: within its namespace `name`, and everywhere `name.namespace` and
/// `name.namespace.svc`. Other names have none: `foo.com.cluster.local` must not take `foo.com`.
pub(super) fn short_forms(host: &str, namespace: &str, cluster_domain: &str) -> Vec<Arc<str>> {
    let suffix = format!(".svc.{cluster_domain}");
    let Some(qualified) = host.strip_suffix(&suffix) else {
        return Vec::new();
    };
    let Some((name, home)) = qualified.split_once('.') else {
        return Vec::new();
    };
    let mut forms = Vec::with_capacity(3);
    if home == namespace && name != Host::ANY {
        forms.push(Arc::from(name));
    }
    forms.push(Arc::from(qualified));
    forms.push(Arc::from(format!("{qualified}.svc")));
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(host: &str, namespace: &str, expect: &[&str]) {
        let forms = short_forms(host, namespace, "cluster.local");
        assert_eq!(
            forms.iter().map(|it| &**it).collect::<Vec<_>>(),
            expect,
            "{host} from {namespace}"
        );
    }

    #[test]
    fn services_have_shorter_names_and_the_shortest_only_at_home() {
        check("foo.ns.svc.cluster.local", "ns", &["foo", "foo.ns", "foo.ns.svc"]);
        check("foo.ns.svc.cluster.local", "other", &["foo.ns", "foo.ns.svc"]);
        check("a.b.ns.svc.cluster.local", "ns", &["a.b.ns", "a.b.ns.svc"]);
        check("*.ns.svc.cluster.local", "ns", &["*.ns", "*.ns.svc"]);
    }

    #[test]
    fn names_outside_the_cluster_domain_are_never_shortened() {
        check("foo.com", "ns", &[]);
        check("foo.com.cluster.local", "ns", &[]);
        check("foo.ns.svc.other.domain", "ns", &[]);
        check("svc.cluster.local", "ns", &[]);
        check("foo.svc.cluster.local", "ns", &[]);
    }
}
