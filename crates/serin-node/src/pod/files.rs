//! Files that every container gets from its pod: `/etc/hosts`, `/etc/resolv.conf`, `/etc/hostname`.

use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{Pod, PodSpec};

use super::uses_host_network;

/// The host name of a pod: at most 63 characters, as the kernel and Kubernetes have it.
pub(crate) fn hostname(pod: &Pod) -> String {
    let own = pod.spec.as_ref().and_then(|spec| spec.hostname.clone());
    let name = own.or_else(|| pod.metadata.name.clone()).unwrap_or_default();
    let cut: String = name.chars().take(63).collect();
    cut.trim_end_matches(['-', '.']).to_owned()
}

/// The name below the cluster's domain, where the pod has a subdomain.
fn full_name(pod: &Pod, domain: &str) -> Option<String> {
    let subdomain = pod.spec.as_ref()?.subdomain.as_deref().filter(|name| !name.is_empty())?;
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    Some(format!("{}.{subdomain}.{namespace}.svc.{domain}", hostname(pod)))
}

/// `/etc/hosts`.
pub(crate) fn hosts(pod: &Pod, address: Option<Ipv4Addr>, domain: &str) -> String {
    let mut text = "# Kubernetes-managed hosts file.\n\
                    127.0.0.1\tlocalhost\n\
                    ::1\tlocalhost ip6-localhost ip6-loopback\n\
                    fe00::0\tip6-localnet\n\
                    fe00::0\tip6-mcastprefix\n\
                    fe00::1\tip6-allnodes\n\
                    fe00::2\tip6-allrouters\n"
        .to_owned();
    if let Some(address) = address {
        let names = match full_name(pod, domain) {
            Some(full) => format!("{full}\t{}", hostname(pod)),
            None => hostname(pod),
        };
        text.push_str(&format!("{address}\t{names}\n"));
    }
    let aliases = pod.spec.as_ref().and_then(|spec| spec.host_aliases.as_deref());
    if let Some(aliases) = aliases.filter(|aliases| !aliases.is_empty()) {
        text.push_str("\n# Entries added by HostAliases.\n");
        for alias in aliases {
            let names = alias.hostnames.clone().unwrap_or_default().join("\t");
            text.push_str(&format!("{}\t{names}\n", alias.ip));
        }
    }
    text
}

/// `/etc/resolv.conf`, from the host's where the policy says so.
pub(crate) fn resolv_conf(pod: &Pod, server: Ipv4Addr, domain: &str, host: &str) -> String {
    let none = PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&none);
    let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
    let policy = spec.dns_policy.as_deref().unwrap_or("ClusterFirst");
    let cluster =
        policy == "ClusterFirstWithHostNet" || policy == "ClusterFirst" && !uses_host_network(spec);
    let (mut servers, mut searches, mut options) = if cluster {
        let searches =
            [format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.to_owned()];
        (vec![server.to_string()], searches.to_vec(), vec!["ndots:5".to_owned()])
    } else if policy == "None" {
        (Vec::new(), Vec::new(), Vec::new())
    } else {
        read(host)
    };
    if let Some(own) = &spec.dns_config {
        add(&mut servers, own.nameservers.as_deref());
        add(&mut searches, own.searches.as_deref());
        for option in own.options.iter().flatten() {
            let name = option.name.clone().unwrap_or_default();
            let text = match &option.value {
                Some(value) => format!("{name}:{value}"),
                None => name.clone(),
            };
            options.retain(|old| old.split(':').next() != Some(name.as_str()));
            options.push(text);
        }
    }
    let mut text = String::new();
    if !searches.is_empty() {
        text.push_str(&format!("search {}\n", searches.join(" ")));
    }
    for server in servers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    if !options.is_empty() {
        text.push_str(&format!("options {}\n", options.join(" ")));
    }
    text
}

fn add(list: &mut Vec<String>, more: Option<&[String]>) {
    for one in more.unwrap_or_default() {
        if !list.contains(one) {
            list.push(one.clone());
        }
    }
}

/// Servers, searches and options of the host's file.
fn read(text: &str) -> (Vec<String>, Vec<String>, Vec<String>) {
    let mut all = (Vec::new(), Vec::new(), Vec::new());
    for line in text.lines() {
        let mut words = line.split_whitespace().map(str::to_owned);
        match words.next().as_deref() {
            Some("nameserver") => all.0.extend(words.next()),
            Some("search") => all.1 = words.collect(),
            Some("options") => all.2.extend(words),
            _ => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(spec: serde_json::Value) -> Pod {
        let meta = json!({"name": "p-0", "namespace": "shop"});
        serde_json::from_value(json!({"metadata": meta, "spec": spec})).unwrap()
    }

    #[test]
    fn names_are_looked_up_in_the_cluster_first() {
        let check = |spec, expect: &str| {
            let host = "nameserver 1.1.1.1\nsearch lan\n";
            let server = Ipv4Addr::new(10, 96, 0, 10);
            assert_eq!(resolv_conf(&pod(spec), server, "cluster.local", host), expect);
        };
        let cluster = "search shop.svc.cluster.local svc.cluster.local cluster.local\n\
                       nameserver 10.96.0.10\noptions ndots:5\n";
        check(json!({"containers": []}), cluster);
        check(
            json!({"containers": [], "dnsPolicy": "Default"}),
            "search lan\nnameserver 1.1.1.1\n",
        );
        check(json!({"containers": [], "hostNetwork": true}), "search lan\nnameserver 1.1.1.1\n");
        let config =
            json!({"nameservers": ["9.9.9.9"], "options": [{"name": "ndots", "value": "2"}]});
        check(
            json!({"containers": [], "dnsPolicy": "None", "dnsConfig": config}),
            "nameserver 9.9.9.9\noptions ndots:2\n",
        );
    }

    #[test]
    fn hosts_name_the_pod_and_its_aliases() {
        let pod = pod(json!({
            "containers": [], "subdomain": "db",
            "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a", "b"]}],
        }));
        let text = hosts(&pod, Some(Ipv4Addr::new(10, 244, 0, 5)), "cluster.local");
        assert!(text.contains("10.244.0.5\tp-0.db.shop.svc.cluster.local\tp-0\n"), "{text}");
        assert!(text.ends_with("10.0.0.1\ta\tb\n"), "{text}");
    }
}
