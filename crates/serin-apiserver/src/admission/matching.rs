//! Which writes a webhook or a policy wants to see.

use std::sync::Arc;

use serde_json::Value;
use serin_api::expression::{Expression, Outcome, Scope};
use serin_objects::selector::Labels;
use serin_objects::{Catalog, Resource};

use super::Review;
use crate::store::Store;

/// The constraints of a webhook, a policy, or the binding of one.
pub(super) struct Matcher {
    rules: Vec<Rule>,
    excluded: Vec<Rule>,
    namespaces: Option<Labels>,
    objects: Option<Labels>,
    /// Whether other versions of a resource count as the resource.
    equivalent: bool,
}

/// What a rule of a configuration lists.
struct Rule {
    operations: Vec<String>,
    groups: Vec<String>,
    versions: Vec<String>,
    resources: Vec<String>,
    names: Vec<String>,
    scope: String,
}

fn texts(value: &Value) -> Vec<String> {
    let all = value.as_array().into_iter().flatten();
    all.filter_map(Value::as_str).map(str::to_owned).collect()
}

impl Rule {
    fn read(value: &Value) -> Self {
        Self {
            operations: texts(&value["operations"]),
            groups: texts(&value["apiGroups"]),
            versions: texts(&value["apiVersions"]),
            resources: texts(&value["resources"]),
            names: texts(&value["resourceNames"]),
            scope: value["scope"].as_str().unwrap_or("*").to_owned(),
        }
    }

    fn fits(&self, review: &Review<'_>, resource: &Resource) -> bool {
        let any = |list: &[String], wanted: &str| list.iter().any(|it| it == "*" || it == wanted);
        // A namespace counts as an object of the whole cluster.
        let in_namespace = resource.namespaced;
        any(&self.operations, review.operation.name())
            && any(&self.groups, &resource.group)
            && any(&self.versions, &resource.version)
            && self.resources.iter().any(|it| part_fits(it, &resource.plural, review.subresource))
            && (self.names.is_empty() || self.names.iter().any(|it| it == review.name))
            && match self.scope.as_str() {
                "Namespaced" => in_namespace,
                "Cluster" => !in_namespace,
                _ => true,
            }
    }
}

/// `pods`, `pods/*`, `*/scale`, `*` (whole objects) or `*/*`.
fn part_fits(pattern: &str, plural: &str, subresource: &str) -> bool {
    let (resource, part) = pattern.split_once('/').unwrap_or((pattern, ""));
    (resource == "*" || resource == plural) && (part == "*" || part == subresource)
}

impl Matcher {
    /// The constraints of a webhook.
    pub(super) fn of_webhook(webhook: &Value) -> Self {
        Self::read(webhook, "rules")
    }

    /// The constraints of a policy or of a binding.
    pub(super) fn of_policy(constraints: &Value) -> Self {
        Self::read(constraints, "resourceRules")
    }

    fn read(value: &Value, rules: &str) -> Self {
        let all = |list: &Value| list.as_array().into_iter().flatten().map(Rule::read).collect();
        let labels = |selector: &Value| {
            let some = selector.as_object().is_some_and(|it| !it.is_empty());
            some.then(|| Labels::from_object(selector).ok()).flatten()
        };
        Self {
            rules: all(&value[rules]),
            excluded: all(&value["excludeResourceRules"]),
            namespaces: labels(&value["namespaceSelector"]),
            objects: labels(&value["objectSelector"]),
            equivalent: value["matchPolicy"] != "Exact",
        }
    }

    /// The resource as which the write fits: the one that is written or, where versions do not matter, another of the same
    /// objects.
    pub(super) fn fit(
        &self,
        review: &Review<'_>,
        catalog: &Catalog,
        store: &Store,
    ) -> Option<Arc<Resource>> {
        if !self.selects(review, store) {
            return None;
        }
        let own = catalog.find(
            &review.resource.group,
            &review.resource.version,
            &review.resource.plural,
        )?;
        let same = |it: &&Arc<Resource>| {
            self.equivalent && !Arc::ptr_eq(it, own) && it.storage == own.storage && it.is_stored()
        };
        let as_any = |rules: &[Rule]| -> Option<Arc<Resource>> {
            let fits = |it: &&Arc<Resource>| rules.iter().any(|rule| rule.fits(review, it));
            std::iter::once(own)
                .find(fits)
                .or_else(|| catalog.resources().filter(same).find(fits))
                .cloned()
        };
        if as_any(&self.excluded).is_some() {
            return None;
        }
        as_any(&self.rules)
    }

    /// The same for a binding, which wants everything where it has no rules.
    pub(super) fn fits_binding(
        &self,
        review: &Review<'_>,
        catalog: &Catalog,
        store: &Store,
    ) -> bool {
        if self.rules.is_empty() && self.excluded.is_empty() {
            return self.selects(review, store);
        }
        self.fit(review, catalog, store).is_some()
    }

    fn selects(&self, review: &Review<'_>, store: &Store) -> bool {
        self.selects_namespace(review, store) && self.selects_object(review)
    }

    fn selects_namespace(&self, review: &Review<'_>, store: &Store) -> bool {
        let Some(labels) = &self.namespaces else { return true };
        match namespace_of(review, store) {
            Some(namespace) => labels.matches_object(&namespace),
            // Other objects of the whole cluster are in no namespace that could be left out.
            None => !review.resource.namespaced,
        }
    }

    fn selects_object(&self, review: &Review<'_>) -> bool {
        let Some(labels) = &self.objects else { return true };
        [review.object, review.old]
            .into_iter()
            .any(|object| object["metadata"].is_object() && labels.matches_object(object))
    }
}

/// The namespace that a write is in; of a namespace itself, what it becomes.
pub(super) fn namespace_of(review: &Review<'_>, store: &Store) -> Option<Value> {
    if review.resource.group.is_empty() && review.resource.kind == "Namespace" {
        let object = if review.object.is_null() { review.old } else { review.object };
        return Some(object.clone());
    }
    if review.namespace.is_empty() {
        return None;
    }
    store.object("/namespaces", review.namespace).map(|namespace| namespace.value())
}

/// Conditions beyond what rules and selectors can say.
pub(super) struct Conditions(Vec<(String, Result<Expression, String>)>);

impl Conditions {
    pub(super) fn read(value: &Value) -> Self {
        let all = value.as_array().into_iter().flatten();
        Self(
            all.map(|it| {
                let text = |name: &str| it[name].as_str().unwrap_or_default();
                (text("name").to_owned(), Expression::compile(text("expression")))
            })
            .collect(),
        )
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all hold. One that does not outweighs errors of others.
    ///
    /// # Errors
    /// Which could not be evaluated, and why.
    pub(super) fn hold(&self, scope: &Scope) -> Result<bool, String> {
        let mut errors = Vec::new();
        for (name, expression) in &self.0 {
            let expression = match expression {
                Ok(expression) => expression,
                Err(why) => {
                    errors.push(format!("{name}: {why}"));
                    continue;
                }
            };
            match scope.evaluate(expression) {
                Ok(Outcome::Bool(true)) => {}
                Ok(Outcome::Bool(false)) => return Ok(false),
                Ok(_) => errors.push(format!("expression '{}' is no condition", expression.text())),
                Err(why) => errors
                    .push(format!("expression '{}' resulted in error: {why}", expression.text())),
            }
        }
        if errors.is_empty() { Ok(true) } else { Err(errors.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_names_objects_and_their_parts() {
        let check = |pattern: &str, wanted: &str, expect: bool| {
            let (plural, part) = wanted.split_once('/').unwrap_or((wanted, ""));
            assert_eq!(part_fits(pattern, plural, part), expect, "{pattern} {wanted}");
        };
        check("pods", "pods", true);
        check("pods", "pods/status", false);
        check("pods/*", "pods/status", true);
        check("pods/*", "pods", true);
        check("*", "pods", true);
        check("*", "pods/status", false);
        check("*/*", "pods/status", true);
        check("*/scale", "deployments/scale", true);
        check("*/scale", "deployments", false);
    }
}
