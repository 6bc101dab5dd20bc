//! Rules that never apply and conditions that never decide, because of earlier ones.
//!
//! It finds what Istio's analysis finds, no more: equal conditions, second rules without conditions, and conditions on a
//! prefix of the path that an earlier shorter prefix covers.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use crate::codes::{INEFFECTIVE_MATCH, UNREACHABLE_RULE};
use crate::networking::{HttpMatchRequest, HttpRoute, VirtualService};
use crate::validation::Problem;
use crate::validation::place::Place;
use crate::values::StringMatch;
use crate::{Object, Severity};

/// What never applies in a VirtualService: rules (IST0130) and single conditions (IST0131).
pub fn unreachable(service: &Object<VirtualService>) -> Vec<Problem> {
    let problems = RefCell::new(Vec::new());
    check(&service.spec, &Place::root(&problems).key("spec"));
    problems.into_inner()
}

pub(super) fn check(service: &VirtualService, spec: &Place<'_>) {
    let http = spec.key("http");
    let rules = service.http.iter().map(|route| {
        let conditions = route.matches.iter().map(nameless_key).collect();
        Rule { name: &route.name, conditions }
    });
    duplicates(&rules.collect::<Vec<_>>(), &http);
    covered_prefixes(&service.http, &http);

    let rules: Vec<_> = service.tcp.iter().map(|route| Rule::unnamed(&route.matches)).collect();
    duplicates(&rules, &spec.key("tcp"));
    let rules: Vec<_> = service.tls.iter().map(|route| Rule::unnamed(&route.matches)).collect();
    duplicates(&rules, &spec.key("tls"));
}

/// A rule as far as its conditions go, each as a text that is equal for equal conditions.
struct Rule<'a> {
    name: &'a str,
    conditions: Vec<String>,
}

impl Rule<'_> {
    fn unnamed<T: Serialize>(conditions: &[T]) -> Self {
        Rule { name: "", conditions: conditions.iter().map(key).collect() }
    }
}

fn key<T: Serialize>(condition: &T) -> String {
    serde_json::to_string(condition).unwrap_or_default()
}

/// The condition without its name, which decides nothing.
fn nameless_key(request: &HttpMatchRequest) -> String {
    key(&HttpMatchRequest { name: String::new(), ..request.clone() })
}

fn display_name(name: &str, index: usize) -> String {
    if name.is_empty() { format!("#{index}") } else { format!("{name:?}") }
}

fn duplicates(rules: &[Rule<'_>], at: &Place<'_>) {
    let mut first_with: HashMap<&str, usize> = HashMap::new();
    let mut catch_all = None;
    for (index, rule) in rules.iter().enumerate() {
        let rule_at = at.index(index);
        let name = display_name(rule.name, index);
        let unreachable = |reason: &str, earlier: usize| {
            let related = vec![(at.index(earlier).path(), "the earlier rule".to_owned())];
            let message = format!("rule {name} is never used: {reason}");
            rule_at.report(UNREACHABLE_RULE, Severity::Warning, message, related);
        };
        if rule.conditions.is_empty() {
            if let Some(earlier) = catch_all.replace(index) {
                unreachable("only the last rule can be without conditions", earlier);
            }
            continue;
        }
        let mut duplicate = Vec::new();
        for (position, condition) in rule.conditions.iter().enumerate() {
            let earlier = *first_with.entry(condition).or_insert(index);
            if earlier != index || rule.conditions[..position].contains(condition) {
                let other = display_name(rules[earlier].name, earlier);
                let message = format!(
                    "the condition is the same as one of rule {other}, which comes before it"
                );
                let related = vec![(at.index(earlier).path(), "the earlier rule".to_owned())];
                rule_at.key("match").index(position).report(
                    INEFFECTIVE_MATCH,
                    Severity::Info,
                    message,
                    related,
                );
                duplicate.push(earlier);
            }
        }
        if duplicate.len() == rule.conditions.len() {
            unreachable("earlier rules have all of its conditions", duplicate[0]);
        }
    }
}

/// What is compared to decide whether one condition on a prefix covers another.
struct PrefixMatch<'a> {
    rule: usize,
    position: usize,
    prefix: &'a str,
    port: u32,
    method: String,
    authority: String,
    named: [BTreeMap<&'a str, String>; 3],
}

/// `exact:text` or `prefix:text`; empty for other comparisons.
fn comparison(comparison: Option<&StringMatch>) -> String {
    match comparison {
        Some(StringMatch::Exact(text)) if !text.is_empty() => format!("exact:{text}"),
        Some(StringMatch::Prefix(text)) if !text.is_empty() => format!("prefix:{text}"),
        _ => String::new(),
    }
}

impl<'a> PrefixMatch<'a> {
    fn new(rule: usize, position: usize, request: &'a HttpMatchRequest) -> Option<Self> {
        let Some(StringMatch::Prefix(prefix)) = &request.uri else { return None };
        let method = comparison(request.method.as_ref());
        let named = [&request.headers, &request.query_params, &request.without_headers];
        (!prefix.is_empty()).then(|| Self {
            rule,
            position,
            prefix,
            port: request.port.unwrap_or(0),
            // Istio takes a missing method for GET.
            method: if method.is_empty() { "exact:GET".to_owned() } else { method },
            authority: comparison(request.authority.as_ref()),
            named: named.map(|map| {
                map.iter().map(|(name, it)| (name.as_str(), comparison(Some(it)))).collect()
            }),
        })
    }

    /// Whether every request that `later` takes was taken by this one, as Istio judges it. That the prefix covers the
    /// later one's is known.
    fn covers(&self, later: &Self) -> bool {
        let covers_named = |a: &BTreeMap<&str, String>, b: &BTreeMap<&str, String>| {
            a.len() == b.len()
                && a.iter().all(|(name, it)| {
                    b.get(name).is_some_and(|other| it.starts_with(other.as_str()))
                })
        };
        self.port == later.port
            && self.method.starts_with(&later.method)
            && self.authority.starts_with(&later.authority)
            && self.named.iter().zip(&later.named).all(|(a, b)| covers_named(a, b))
    }
}

fn covered_prefixes(routes: &[HttpRoute], at: &Place<'_>) {
    let mut seen = HashSet::new();
    let mut by_prefix: HashMap<&str, Vec<PrefixMatch<'_>>> = HashMap::new();
    for (rule, route) in routes.iter().enumerate() {
        for (position, request) in route.matches.iter().enumerate() {
            if !seen.insert(nameless_key(request)) {
                continue;
            }
            let Some(later) = PrefixMatch::new(rule, position, request) else { continue };
            let shorter = later.prefix.char_indices().map(|(end, _)| &later.prefix[..end]);
            let earlier = shorter.filter_map(|prefix| by_prefix.get(prefix)).flatten();
            for earlier in earlier.filter(|earlier| earlier.covers(&later)) {
                covered(&later, earlier, &routes[earlier.rule], at);
            }
            by_prefix.entry(later.prefix).or_default().push(later);
        }
    }
}

fn covered(later: &PrefixMatch<'_>, earlier: &PrefixMatch<'_>, route: &HttpRoute, at: &Place<'_>) {
    let name = display_name(&route.name, earlier.rule);
    let message = format!(
        "the prefix {} is covered by the prefix {} of rule {name}, which comes before it",
        later.prefix, earlier.prefix
    );
    let path = at.index(earlier.rule).key("match").index(earlier.position).path();
    let related = vec![(path, "the earlier condition".to_owned())];
    let at = at.index(later.rule);
    let at = at.key("match");
    at.index(later.position).report(INEFFECTIVE_MATCH, Severity::Info, message, related);
}
