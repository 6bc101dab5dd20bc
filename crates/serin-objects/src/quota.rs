//! ResourceQuotas: what objects use of a namespace's share, and whether there is enough left.
//!
//! Which objects there are is told by the caller, who also keeps two writes from using the same remainder.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::Resource;
use crate::quantity::Quantity;

mod scope;
mod usage;

pub use self::usage::{Usage, of};

/// One ResourceQuota.
#[derive(Clone, Debug)]
pub struct Quota {
    name: String,
    hard: Usage,
    selectors: Vec<scope::Selector>,
}

/// Where the amounts of a quota come from: objects of these resources, by plural and group.
pub type Sources = BTreeSet<(String, String)>;

impl Quota {
    /// Reads a quota.
    pub fn read(object: &Value) -> Self {
        let hard = object["spec"]["hard"].as_object().into_iter().flatten();
        let amount = |value: &Value| Quantity::parse(value.as_str().unwrap_or_default());
        Self {
            name: object["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
            hard: hard.filter_map(|(name, it)| Some((name.clone(), amount(it)?))).collect(),
            selectors: scope::read(&object["spec"]),
        }
    }

    /// The resources whose objects it limits.
    pub fn sources(&self) -> Sources {
        self.hard.keys().map(|name| usage::source(name)).collect()
    }

    /// Whether it limits nothing of this resource but how many objects there are, so that none need be looked at.
    pub fn only_counts(&self, resource: &Resource) -> bool {
        let source = (resource.plural.clone(), resource.group.clone());
        let mut names = self.hard.keys().filter(|name| usage::source(name) == source);
        self.selectors.is_empty() && names.all(|name| usage::is_count(name, resource))
    }

    /// What `count` objects use of which nothing but their number counts.
    pub fn count(&self, resource: &Resource, count: usize) -> Usage {
        let source = (resource.plural.clone(), resource.group.clone());
        let names = self.hard.keys().filter(|name| usage::source(name) == source);
        names.map(|name| (name.clone(), Quantity::from_whole(count))).collect()
    }

    /// What an object uses of it.
    pub fn used_by(&self, resource: &Resource, object: &Value) -> Usage {
        let is_pod = resource.is("", "Pod");
        let fits = self.selectors.iter().all(|it| is_pod && it.matches(object));
        let mut used = if fits { of(resource, object) } else { Usage::new() };
        used.retain(|name, _| self.hard.contains_key(name));
        used
    }

    /// Refuses what uses more than is left of it. `used` is what all other objects use, `before` what the object used before it
    /// changed.
    ///
    /// # Errors
    /// Why there is not enough, as Kubernetes words it.
    pub fn admit(
        &self,
        (resource, object): (&Resource, &Value),
        before: &Usage,
        used: impl FnOnce() -> Usage,
    ) -> Result<(), String> {
        let mut wanted = self.used_by(resource, object);
        if resource.is("", "Pod") && before.is_empty() && !wanted.is_empty() {
            let names = self.hard.keys().map(String::as_str);
            usage::explicit(object, names)
                .map_err(|why| format!("failed quota: {}: {why}", self.name))?;
        }
        for (name, amount) in &mut wanted {
            *amount = amount.minus(before.get(name).copied().unwrap_or(Quantity::ZERO));
        }
        wanted.retain(|_, amount| !amount.is_zero() && !amount.is_negative());
        if wanted.is_empty() {
            return Ok(());
        }
        let used = used();
        let of = |all: &Usage, name: &str| all.get(name).copied().unwrap_or(Quantity::ZERO);
        let exceeded: Vec<&String> = wanted
            .iter()
            .filter(|(name, amount)| of(&used, name).plus(**amount) > of(&self.hard, name))
            .map(|(name, _)| name)
            .collect();
        if exceeded.is_empty() {
            return Ok(());
        }
        let listed = |all: &Usage| {
            let some = exceeded.iter().map(|name| format!("{name}={}", of(all, name)));
            some.collect::<Vec<_>>().join(",")
        };
        Err(format!(
            "exceeded quota: {}, requested: {}, used: {}, limited: {}",
            self.name,
            listed(&wanted),
            listed(&used),
            listed(&self.hard)
        ))
    }

    /// The status that tells what is used.
    pub fn status(&self, used: &Usage) -> Value {
        let zero = Quantity::ZERO;
        let shown = |of: &Quantity| json!(of.to_string());
        let used = self.hard.keys().map(|name| (name, used.get(name).unwrap_or(&zero)));
        let used: BTreeMap<&String, Value> = used.map(|(name, it)| (name, shown(it))).collect();
        let hard: BTreeMap<&String, Value> =
            self.hard.iter().map(|(name, it)| (name, shown(it))).collect();
        json!({"hard": hard, "used": used})
    }
}

/// Adds one usage to another.
pub fn add(all: &mut Usage, more: &Usage) {
    for (name, amount) in more {
        let sum = all.get(name).copied().unwrap_or(Quantity::ZERO).plus(*amount);
        all.insert(name.clone(), sum);
    }
}

#[cfg(test)]
mod tests;
