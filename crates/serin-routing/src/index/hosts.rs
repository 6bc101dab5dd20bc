//! Which virtual host an authority belongs to.

use std::collections::HashMap;
use std::sync::Arc;

use crate::hash::TextHash;
use crate::model::VirtualHost;
use crate::request::without_port;

/// Longest host that is folded to lower case without the caller's buffer.
const ON_STACK: usize = 256;

/// Domains of all virtual hosts of a route table.
///
/// Envoy's order: an exact name, then the longest suffix wildcard, then the longest prefix wildcard, then `*`. The port
/// of the authority is not looked at (Istio sets `ignore_port_in_host_matching`).
#[derive(Debug, Default)]
pub(crate) struct HostIndex {
    exact: HashMap<Box<[u8]>, u32, TextHash>,
    suffixes: Wildcards,
    prefixes: Wildcards,
    any: Option<u32>,
}

/// What is fixed of wildcard domains: the rest has at least one character.
#[derive(Debug, Default)]
struct Wildcards {
    /// Lengths that occur, longest first.
    lengths: Vec<usize>,
    hosts: HashMap<Box<[u8]>, u32, TextHash>,
}

impl HostIndex {
    pub(crate) fn new(virtual_hosts: &[Arc<VirtualHost>]) -> Self {
        let mut index = Self::default();
        index.exact.reserve(virtual_hosts.iter().map(|host| host.domains.len()).sum());
        for (number, host) in (0..).zip(virtual_hosts) {
            for domain in &host.domains {
                index.insert(domain, number);
            }
        }
        index.suffixes.sort_lengths();
        index.prefixes.sort_lengths();
        index
    }

    fn insert(&mut self, domain: &str, host: u32) {
        let domain = domain.to_ascii_lowercase();
        if domain == "*" {
            self.any.get_or_insert(host);
        } else if let Some(suffix) = domain.strip_prefix('*') {
            self.suffixes.hosts.entry(suffix.as_bytes().into()).or_insert(host);
        } else if let Some(prefix) = domain.strip_suffix('*') {
            self.prefixes.hosts.entry(prefix.as_bytes().into()).or_insert(host);
        } else {
            self.exact.entry(domain.into_bytes().into()).or_insert(host);
        }
    }

    /// The number of the virtual host for an authority.
    pub(crate) fn find(&self, authority: &[u8]) -> Option<usize> {
        let host = without_port(authority);
        let found = if !host.iter().any(u8::is_ascii_uppercase) {
            self.find_folded(host)
        } else if host.len() <= ON_STACK {
            let mut folded = [0; ON_STACK];
            let folded = &mut folded[..host.len()];
            folded.copy_from_slice(host);
            folded.make_ascii_lowercase();
            self.find_folded(folded)
        } else {
            self.find_folded(&host.to_ascii_lowercase())
        };
        found.map(|number| number as usize)
    }

    fn find_folded(&self, host: &[u8]) -> Option<u32> {
        let exact = self.exact.get(host).copied();
        exact
            .or_else(|| self.suffixes.find(host, |length| host.split_at(host.len() - length).1))
            .or_else(|| self.prefixes.find(host, |length| host.split_at(length).0))
            .or(self.any)
    }
}

impl Wildcards {
    fn sort_lengths(&mut self) {
        self.lengths = self.hosts.keys().map(|fixed| fixed.len()).collect();
        self.lengths.sort_unstable_by(|left, right| right.cmp(left));
        self.lengths.dedup();
    }

    fn find<'h>(&self, host: &'h [u8], fixed: impl Fn(usize) -> &'h [u8]) -> Option<u32> {
        let shorter = self.lengths.iter().filter(|&&length| length < host.len());
        shorter.filter_map(|&length| self.hosts.get(fixed(length)).copied()).next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(hosts: &[&[&str]], authority: &str, expected: Option<usize>) {
        let hosts: Vec<_> = hosts
            .iter()
            .map(|domains| {
                let domains = domains.iter().map(|domain| Arc::from(*domain)).collect();
                Arc::new(VirtualHost { domains, ..VirtualHost::default() })
            })
            .collect();
        assert_eq!(HostIndex::new(&hosts).find(authority.as_bytes()), expected, "{authority}");
    }

    #[test]
    fn exact_before_longest_suffix_before_longest_prefix_before_any() {
        let hosts: [&[&str]; 6] = [
            &["*"],
            &["*.com"],
            &["*.foo.com"],
            &["www.*"],
            &["www.foo.*"],
            &["www.foo.com", "foo.com"],
        ];
        check(&hosts, "www.foo.com", Some(5));
        check(&hosts, "foo.com", Some(5));
        check(&hosts, "bar.foo.com", Some(2));
        check(&hosts, "a.b.foo.com", Some(2));
        check(&hosts, "bar.com", Some(1));
        check(&hosts, "www.bar.com", Some(1));
        check(&hosts, "www.foo.org", Some(4));
        check(&hosts, "www.org", Some(3));
        check(&hosts, "org", Some(0));
        check(&hosts, "", Some(0));
    }

    #[test]
    fn a_wildcard_needs_something_in_its_place() {
        let hosts: [&[&str]; 2] = [&["*.foo.com"], &["www.*"]];
        check(&hosts, "foo.com", None);
        check(&hosts, ".foo.com", None);
        check(&hosts, "x.foo.com", Some(0));
        check(&hosts, "www.", None);
        check(&hosts, "www.x", Some(1));
    }

    #[test]
    fn t_hostport_the_port_of_the_authority_is_ignored() {
        check(&[&["reviews"]], "reviews:9080", Some(0));
        check(&[&["reviews"]], "reviews", Some(0));
        check(&[&["10.0.0.1"]], "10.0.0.1:86", Some(0));
        check(&[&["[2001:db8::1]"]], "[2001:db8::1]:86", Some(0));
    }

    #[test]
    fn hosts_are_compared_without_regard_to_case() {
        check(&[&["reviews"]], "Reviews", Some(0));
        check(&[&["Reviews"]], "reviews", Some(0));
        let long = format!("{}.example.com", "A".repeat(300));
        check(&[&["*.example.com"]], &long, Some(0));
    }
}
