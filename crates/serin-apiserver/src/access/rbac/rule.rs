//! One rule of a role, and what it covers.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::access::attributes::Attributes;

/// A rule of a role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Rule {
    pub(crate) verbs: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) api_groups: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) resources: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) resource_names: Vec<String>,
    #[serde(rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    pub(crate) non_resource_urls: Vec<String>,
}

impl Rule {
    /// The rules of a Role or ClusterRole.
    pub(crate) fn read_all(role: &Value) -> Vec<Self> {
        role.get("rules").and_then(|rules| Vec::deserialize(rules).ok()).unwrap_or_default()
    }

    /// Every verb on everything: what one has to have to use an aggregation.
    pub(crate) fn everything() -> Vec<Self> {
        let all = || vec!["*".to_owned()];
        vec![
            Self { verbs: all(), api_groups: all(), resources: all(), ..Self::default() },
            Self { verbs: all(), non_resource_urls: all(), ..Self::default() },
        ]
    }

    /// The rule on one line.
    fn text(&self) -> String {
        let parts = [
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.non_resource_urls),
            ("ResourceNames", &self.resource_names),
            ("Verbs", &self.verbs),
        ];
        let some = parts.iter().filter(|(_, values)| !values.is_empty());
        let texts: Vec<String> = some
            .map(|(name, values)| {
                let quoted: Vec<String> = values.iter().map(|it| format!("{it:?}")).collect();
                format!("{name}:[{}]", quoted.join(" "))
            })
            .collect();
        format!("{{{}}}", texts.join(", "))
    }

    /// Whether the rule allows this.
    pub(crate) fn allows(&self, what: &Attributes<'_>) -> bool {
        if !any(&self.verbs, what.verb) {
            return false;
        }
        if let Some(path) = what.path {
            return self.non_resource_urls.iter().any(|pattern| is_path(pattern, path));
        }
        any(&self.api_groups, what.group)
            && self.resources.iter().any(|pattern| is_resource(pattern, what))
            && (self.resource_names.is_empty()
                || self.resource_names.iter().any(|name| name == what.name && !name.is_empty()))
    }
}

/// What of `wanted` the `owned` rules do not allow, as texts: what one has to have to give it to others.
pub(crate) fn missing(owned: &[Rule], wanted: &[Rule]) -> Vec<String> {
    let mut lacking: Vec<Rule> = Vec::new();
    let singles = wanted.iter().flat_map(split);
    for single in singles.filter(|single| !owned.iter().any(|rule| covers_one(rule, single))) {
        let same = |other: &&mut Rule| {
            other.api_groups == single.api_groups
                && other.resources == single.resources
                && other.resource_names == single.resource_names
                && other.non_resource_urls == single.non_resource_urls
        };
        match lacking.iter_mut().find(same) {
            Some(other) if !other.verbs.contains(&single.verbs[0]) => {
                other.verbs.extend(single.verbs);
            }
            Some(_) => {}
            None => lacking.push(single),
        }
    }
    let mut texts: Vec<String> = lacking.iter().map(Rule::text).collect();
    texts.sort();
    texts
}

/// A rule as rules with one verb, group, resource and name each.
fn split(rule: &Rule) -> Vec<Rule> {
    let mut all = Vec::new();
    let one = |text: &String| vec![text.clone()];
    for verb in &rule.verbs {
        for url in &rule.non_resource_urls {
            all.push(Rule { verbs: one(verb), non_resource_urls: one(url), ..Rule::default() });
        }
        for group in &rule.api_groups {
            for resource in &rule.resources {
                let single = Rule {
                    verbs: one(verb),
                    api_groups: one(group),
                    resources: one(resource),
                    ..Rule::default()
                };
                if rule.resource_names.is_empty() {
                    all.push(single);
                } else {
                    let named = |name| Rule { resource_names: one(name), ..single.clone() };
                    all.extend(rule.resource_names.iter().map(named));
                }
            }
        }
    }
    all
}

fn covers_one(owned: &Rule, wanted: &Rule) -> bool {
    let all =
        |patterns: &[String], values: &[String]| values.iter().all(|value| any(patterns, value));
    let resource = |value: &String| {
        any(&owned.resources, value)
            || value.split_once('/').is_some_and(|(_, sub)| {
                owned.resources.iter().any(|pattern| pattern.strip_prefix("*/") == Some(sub))
            })
    };
    all(&owned.verbs, &wanted.verbs)
        && all(&owned.api_groups, &wanted.api_groups)
        && wanted.resources.iter().all(resource)
        && (owned.resource_names.is_empty()
            || (!wanted.resource_names.is_empty()
                && wanted.resource_names.iter().all(|name| owned.resource_names.contains(name))))
        && wanted
            .non_resource_urls
            .iter()
            .all(|url| owned.non_resource_urls.iter().any(|pattern| is_path(pattern, url)))
}

fn any(patterns: &[String], value: &str) -> bool {
    patterns.iter().any(|pattern| pattern == "*" || pattern == value)
}

fn is_resource(pattern: &str, what: &Attributes<'_>) -> bool {
    pattern == "*"
        || pattern == what.combined()
        || (!what.subresource.is_empty() && pattern.strip_prefix("*/") == Some(what.subresource))
}

fn is_path(pattern: &str, path: &str) -> bool {
    pattern == path || pattern.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(verbs: &str, groups: &str, resources: &str, names: &str) -> Rule {
        let words = |text: &str| {
            text.split(' ').filter(|w| !w.is_empty()).map(|w| w.replace("core", "")).collect()
        };
        Rule {
            verbs: words(verbs),
            api_groups: words(groups),
            resources: words(resources),
            resource_names: words(names),
            ..Rule::default()
        }
    }

    fn check(rule: &Rule, verb: &str, resource: &str, name: &str, expect: bool) {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let what = Attributes { verb, resource, subresource, name, ..Attributes::default() };
        assert_eq!(rule.allows(&what), expect, "{rule:?} {what:?}");
    }

    #[test]
    fn a_rule_allows_what_it_lists() {
        check(&rule("get list", "core", "pods", ""), "get", "pods", "a", true);
        check(&rule("get list", "core", "pods", ""), "delete", "pods", "a", false);
        check(&rule("get", "core", "pods", ""), "get", "pods/log", "a", false);
        check(&rule("get", "core", "pods/log", ""), "get", "pods/log", "a", true);
        check(&rule("get", "core", "*/log", ""), "get", "pods/log", "a", true);
        check(&rule("*", "*", "*", ""), "get", "pods/log", "a", true);
        check(&rule("get", "apps", "pods", ""), "get", "pods", "a", false);
        check(&rule("get", "core", "pods", "a"), "get", "pods", "b", false);
        check(&rule("list", "core", "pods", "a"), "list", "pods", "", false);
    }

    #[test]
    fn one_can_give_only_what_one_has() {
        let own = [rule("get list", "core", "pods", ""), rule("*", "apps", "*", "")];
        let check = |own: &[Rule], wanted: Rule, expect: &[&str]| {
            assert_eq!(missing(own, &[wanted]), expect);
        };
        check(&own, rule("get", "core", "pods", "a"), &[]);
        check(&own, rule("delete", "apps", "deployments/scale", ""), &[]);
        check(
            &own,
            rule("get delete patch", "core", "pods", ""),
            &[r#"{APIGroups:[""], Resources:["pods"], Verbs:["delete" "patch"]}"#],
        );
        check(
            &own,
            rule("*", "*", "*", ""),
            &[r#"{APIGroups:["*"], Resources:["*"], Verbs:["*"]}"#],
        );
        let named = [rule("get", "core", "pods", "a")];
        check(
            &named,
            rule("get", "core", "pods", ""),
            &[r#"{APIGroups:[""], Resources:["pods"], Verbs:["get"]}"#],
        );
    }

    #[test]
    fn paths_may_end_in_a_star() {
        let rule = Rule {
            verbs: vec!["get".into()],
            non_resource_urls: vec!["/api/*".into(), "/version".into()],
            ..Rule::default()
        };
        let check = |path, expect| {
            let what = Attributes { verb: "get", path: Some(path), ..Attributes::default() };
            assert_eq!(rule.allows(&what), expect, "{path}");
        };
        check("/version", true);
        check("/api/v1", true);
        check("/apis", false);
    }
}
