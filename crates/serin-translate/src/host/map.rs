//! Values by host, found by the most specific host that covers a name.

use std::collections::HashMap;

use super::{Host, suffix};

/// A map from hosts, some of them wildcards, to values.
///
/// Finding the value for a name takes as many look-ups as the name has dots, however many wildcards there are. That relies
/// on wildcards being `*` or `*.suffix`; others (`*foo.com`, which admission refuses) are searched one by one.
#[derive(Clone, Debug, PartialEq)]
pub struct HostMap<V> {
    values: HashMap<Host, V>,
    /// Wildcards that do not end in a whole label, most specific first.
    irregular: Vec<Host>,
}

impl<V> Default for HostMap<V> {
    fn default() -> Self {
        Self { values: HashMap::new(), irregular: Vec::new() }
    }
}

impl<V> HostMap<V> {
    /// The value of exactly this host.
    pub fn get(&self, host: &Host) -> Option<&V> {
        self.values.get(host)
    }

    /// The value of exactly this host, made first if there is none.
    pub fn entry(&mut self, host: Host) -> &mut V
    where
        V: Default,
    {
        if !self.values.contains_key(&host) && is_irregular(&host) {
            let at = self.irregular.partition_point(|it| it.cmp_specific_first(&host).is_lt());
            self.irregular.insert(at, host.clone());
        }
        self.values.entry(host).or_default()
    }

    /// The most specific host that covers `needle`, and its value: `needle` itself, or the longest wildcard above it
    /// (`MostSpecificHostMatch`).
    pub fn most_specific(&self, needle: &Host) -> Option<(&Host, &V)> {
        self.values
            .get_key_value(needle)
            .or_else(|| self.covering(needle).max_by_key(|(host, _)| host.len()))
    }

    /// Every wildcard that covers `needle`, in no order of meaning.
    fn covering(&self, needle: &Host) -> impl Iterator<Item = (&Host, &V)> {
        let tail = if needle.is_wildcard() { suffix(needle) } else { needle };
        let regular = tail.match_indices('.').map(|(dot, _)| format!("*{}", &tail[dot..]));
        let irregular = self.irregular.iter().filter(|it| tail.ends_with(suffix(it)));
        regular
            .chain([Host::ANY.to_owned()])
            .filter_map(|wildcard| self.values.get_key_value(wildcard.as_str()))
            .chain(irregular.filter_map(|it| self.values.get_key_value(it)))
    }

    /// Whether there is nothing in the map.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

fn is_irregular(host: &Host) -> bool {
    host.is_wildcard() && host.as_str() != Host::ANY && !suffix(host).starts_with('.')
}
