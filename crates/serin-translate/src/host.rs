//! Host names as rules use them: exact, `*.suffix`, `*`; matching, covering, intersecting, resolving short names.
//!
//! The algebra is Istio's (`pkg/config/host`): a leading `*` stands for any text, and comparisons look at suffixes only.
//! Which object a name belongs to is decided elsewhere.

mod map;

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use serde::Serialize;

pub use map::HostMap;

/// The part that every name under a wildcard shares: `.example.com` of `*.example.com`.
fn suffix(wildcard: &str) -> &str {
    wildcard.get(1..).unwrap_or_default()
}

/// A host name in lower case, fully qualified unless it stands in an object as written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Host(Arc<str>);

impl Host {
    /// The host that covers every other.
    pub const ANY: &'static str = "*";

    /// `name` in lower case, not resolved any further.
    pub fn new(name: &str) -> Self {
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Self(Arc::from(name.to_ascii_lowercase()))
        } else {
            Self(Arc::from(name))
        }
    }

    /// What `name` means in an object of `namespace`: a name without a dot is a service of that namespace.
    ///
    /// `*`, IP addresses and names with a dot stay as they are (`ResolveShortnameToFQDN`).
    pub fn resolve(name: &str, namespace: &str, cluster_domain: &str) -> Self {
        let qualified = name.is_empty()
            || name == Self::ANY
            || name.contains('.')
            || name.parse::<IpAddr>().is_ok();
        if qualified { Self::new(name) } else { Self::of_service(name, namespace, cluster_domain) }
    }

    /// The full name of a Kubernetes Service.
    pub fn of_service(name: &str, namespace: &str, cluster_domain: &str) -> Self {
        let mut full = name.to_owned();
        if !namespace.is_empty() {
            full.push('.');
            full.push_str(namespace);
        }
        if !cluster_domain.is_empty() {
            full.push_str(".svc.");
            full.push_str(cluster_domain);
        }
        Self::new(&full)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, shared.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// Whether the name begins with `*`.
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with('*')
    }

    /// Whether the two can mean the same host: equal, or one a wildcard that the other falls under.
    pub fn matches(&self, other: &Self) -> bool {
        match (self.is_wildcard(), other.is_wildcard()) {
            (false, false) => self == other,
            (true, false) => other.ends_with(suffix(self)),
            (false, true) => self.ends_with(suffix(other)),
            (true, true) => {
                suffix(self).ends_with(suffix(other)) || suffix(other).ends_with(suffix(self))
            }
        }
    }

    /// Whether every host that this name means is also meant by `other`.
    pub fn is_subset_of(&self, other: &Self) -> bool {
        match (self.is_wildcard(), other.is_wildcard()) {
            (_, false) => self == other,
            (false, true) => self.ends_with(suffix(other)),
            (true, true) => suffix(self).ends_with(suffix(other)),
        }
    }

    /// Order by how specific names are, most specific first: exact names before wildcards, longer before shorter, then by
    /// the alphabet.
    pub fn cmp_specific_first(&self, other: &Self) -> Ordering {
        let key = |it: &Self| (it.is_wildcard(), std::cmp::Reverse(it.len()));
        key(self).cmp(&key(other)).then_with(|| self.cmp(other))
    }
}

impl Deref for Host {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Host {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The hosts that two lists have in common: of each pair where one covers the other, the narrower, without repetition and
/// in the order of the lists (`Names.Intersection`).
pub fn intersection(left: &[Host], right: &[Host]) -> Vec<Host> {
    let mut common: Vec<Host> = Vec::new();
    for (one, other) in left.iter().flat_map(|one| right.iter().map(move |other| (one, other))) {
        let narrower = if one.is_subset_of(other) {
            one
        } else if other.is_subset_of(one) {
            other
        } else {
            continue;
        };
        if !common.contains(narrower) {
            common.push(narrower.clone());
        }
    }
    common
}

#[cfg(test)]
mod tests;
