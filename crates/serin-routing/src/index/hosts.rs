//! Which virtual host an authority belongs to.

use hashbrown::HashTable;

use crate::hash::xxh64;
use crate::request::without_port;

/// Longest host that is folded to lower case on the stack.
const ON_STACK: usize = 256;

/// A domain of a virtual host, ready to be filed.
#[derive(Debug)]
pub(crate) struct Domain {
    kind: Kind,
    /// What is not a wildcard, in lower case.
    fixed: Box<[u8]>,
    hash: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Exact,
    /// `*.example.com`: what ends so and is longer.
    Suffix,
    /// `www.*`: what begins so and is longer.
    Prefix,
    /// `*`.
    Any,
}

impl Domain {
    pub(crate) fn new(domain: &str) -> Self {
        let domain = domain.to_ascii_lowercase();
        let (kind, fixed) = if domain == "*" {
            (Kind::Any, "")
        } else if let Some(suffix) = domain.strip_prefix('*') {
            (Kind::Suffix, suffix)
        } else if let Some(prefix) = domain.strip_suffix('*') {
            (Kind::Prefix, prefix)
        } else {
            (Kind::Exact, &*domain)
        };
        Self { kind, hash: hash(fixed.as_bytes()), fixed: fixed.as_bytes().into() }
    }
}

fn hash(text: &[u8]) -> u64 {
    xxh64(text, 0)
}

/// Domains of all virtual hosts of a route table. The virtual hosts keep the texts and their hashes, so that filing anew
/// those of thousands takes little.
///
/// Envoy's order: an exact name, then the longest suffix wildcard, then the longest prefix wildcard, then `*`. The port
/// of the authority is not looked at (Istio sets `ignore_port_in_host_matching`).
#[derive(Debug, Default)]
pub(crate) struct HostIndex {
    exact: HashTable<Place>,
    suffixes: Wildcards,
    prefixes: Wildcards,
    any: Option<u32>,
}

/// A domain's place in the table.
#[derive(Clone, Copy, Debug)]
struct Place {
    hash: u64,
    host: u32,
    domain: u32,
}

#[derive(Debug, Default)]
struct Wildcards {
    /// Lengths of what is fixed, longest first.
    lengths: Vec<usize>,
    places: HashTable<Place>,
}

/// A virtual host that has domains.
pub(crate) trait HasDomains {
    fn domains(&self) -> &[Domain];
}

impl HostIndex {
    /// Files the domains of virtual hosts; of a domain that two have, the first gets it.
    pub(crate) fn new<H: HasDomains>(hosts: &[H]) -> Self {
        let mut index = Self::default();
        let count = hosts.iter().map(|host| host.domains().len()).sum();
        index.exact.reserve(count, |place| place.hash);
        for (host, domains) in (0..).zip(hosts.iter().map(HasDomains::domains)) {
            for (domain, new) in (0..).zip(domains) {
                index.insert(hosts, new, Place { hash: new.hash, host, domain });
            }
        }
        index.suffixes.sort_lengths();
        index.prefixes.sort_lengths();
        index
    }

    fn insert<H: HasDomains>(&mut self, hosts: &[H], new: &Domain, place: Place) {
        let places = match new.kind {
            Kind::Any => {
                self.any.get_or_insert(place.host);
                return;
            }
            Kind::Exact => &mut self.exact,
            Kind::Suffix => self.suffixes.places_for(new),
            Kind::Prefix => self.prefixes.places_for(new),
        };
        if find(places, hosts, place.hash, &new.fixed).is_none() {
            places.insert_unique(place.hash, place, |place| place.hash);
        }
    }

    /// The number of the virtual host for an authority.
    pub(crate) fn find<H: HasDomains>(&self, hosts: &[H], authority: &[u8]) -> Option<usize> {
        let host = without_port(authority);
        let found = if !host.iter().any(u8::is_ascii_uppercase) {
            self.find_folded(hosts, host)
        } else if host.len() <= ON_STACK {
            let mut folded = [0; ON_STACK];
            let folded = &mut folded[..host.len()];
            folded.copy_from_slice(host);
            folded.make_ascii_lowercase();
            self.find_folded(hosts, folded)
        } else {
            self.find_folded(hosts, &host.to_ascii_lowercase())
        };
        found.map(|number| number as usize)
    }

    fn find_folded<H: HasDomains>(&self, hosts: &[H], host: &[u8]) -> Option<u32> {
        let ending = |length: usize| &host[host.len() - length..];
        find(&self.exact, hosts, hash(host), host)
            .or_else(|| self.suffixes.find(hosts, host.len(), ending))
            .or_else(|| self.prefixes.find(hosts, host.len(), |length| &host[..length]))
            .or(self.any)
    }
}

/// The host of the domain that has this text.
fn find<H: HasDomains>(
    places: &HashTable<Place>,
    hosts: &[H],
    hash: u64,
    text: &[u8],
) -> Option<u32> {
    let is_text = |place: &Place| {
        let domain = hosts
            .get(place.host as usize)
            .and_then(|host| host.domains().get(place.domain as usize));
        place.hash == hash && domain.is_some_and(|domain| *domain.fixed == *text)
    };
    places.find(hash, is_text).map(|place| place.host)
}

impl Wildcards {
    fn places_for(&mut self, new: &Domain) -> &mut HashTable<Place> {
        self.lengths.push(new.fixed.len());
        &mut self.places
    }

    fn sort_lengths(&mut self) {
        self.lengths.sort_unstable_by(|left, right| right.cmp(left));
        self.lengths.dedup();
    }

    /// The host of the longest wildcard that leaves at least one character; `fixed` cuts so many bytes off the host.
    fn find<'h, H: HasDomains>(
        &self,
        hosts: &[H],
        length: usize,
        fixed: impl Fn(usize) -> &'h [u8],
    ) -> Option<u32> {
        let shorter = self.lengths.iter().filter(|&&fixed| fixed < length);
        shorter
            .map(|&length| fixed(length))
            .find_map(|text| find(&self.places, hosts, hash(text), text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Host(Vec<Domain>);

    impl HasDomains for Host {
        fn domains(&self) -> &[Domain] {
            &self.0
        }
    }

    #[track_caller]
    fn check(hosts: &[&[&str]], authority: &str, expected: Option<usize>) {
        let host =
            |domains: &&[&str]| Host(domains.iter().map(|domain| Domain::new(domain)).collect());
        let hosts: Vec<Host> = hosts.iter().map(host).collect();
        assert_eq!(
            HostIndex::new(&hosts).find(&hosts, authority.as_bytes()),
            expected,
            "{authority}"
        );
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

    #[test]
    fn the_first_of_two_hosts_with_the_same_domain_gets_it() {
        let hosts: [&[&str]; 3] = [&["x", "*.y"], &["X", "*.Y", "*"], &["*"]];
        check(&hosts, "x", Some(0));
        check(&hosts, "a.y", Some(0));
        check(&hosts, "z", Some(1));
    }
}
