//! How often each rule took a request, on one core.
//!
//! Requests find the place of their route by its address. What has gathered there goes to the rule that the route was made from whenever
//! somebody asks, and a rule that is pushed again under the same name goes on where it was.

use std::collections::BTreeMap;
use std::sync::Arc;

use serin_routing::model::{Origin, Route};

use crate::destination::FastMap;

/// Routes that are told apart at the same time.
const ROUTES: usize = 4096;
/// Rules that are remembered; what comes after so many is not counted.
const RULES: usize = 65_536;

/// A rule of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// Kind of the object: `VirtualService`, `HTTPRoute`…
    pub kind: Arc<str>,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Which rule of it, from 0.
    pub index: Option<u32>,
}

impl From<&Origin> for Rule {
    fn from(origin: &Origin) -> Self {
        let Origin { kind, namespace, name, index, .. } = origin;
        Self {
            kind: Arc::clone(kind),
            namespace: Arc::clone(namespace),
            name: Arc::clone(name),
            index: *index,
        }
    }
}

/// Requests by the rules that took them.
#[derive(Debug, Default)]
pub struct Hits {
    /// By address. Routes are held, so that no other one comes to the same address.
    routes: FastMap<usize, (Arc<Route>, u64)>,
    rules: BTreeMap<Rule, u64>,
}

impl Hits {
    /// A route takes a request.
    pub fn count(&mut self, route: &Arc<Route>) {
        let address = Arc::as_ptr(route).addr();
        if let Some((_, count)) = self.routes.get_mut(&address) {
            *count += 1;
            return;
        }
        if self.routes.len() == ROUTES {
            self.settle();
        }
        self.routes.insert(address, (Arc::clone(route), 1));
    }

    /// What was counted so far.
    pub fn by_rule(&mut self) -> BTreeMap<Rule, u64> {
        self.settle();
        self.rules.clone()
    }

    /// Gives the routes' counts to their rules.
    fn settle(&mut self) {
        for (_, (route, count)) in self.routes.drain() {
            let rule = Rule::from(&route.origin);
            if self.rules.len() < RULES || self.rules.contains_key(&rule) {
                *self.rules.entry(rule).or_default() += count;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serin_routing::model::{Action, DirectResponse, HeaderOps, RouteMatch};

    use super::*;

    fn route(name: &str, index: u32) -> Arc<Route> {
        let origin = Origin { name: name.into(), index: Some(index), ..Origin::default() };
        Arc::new(Route {
            name: Arc::default(),
            origin,
            condition: RouteMatch::default(),
            action: Action::Direct(DirectResponse { status: 200, body: Arc::from([]) }),
            request_headers: HeaderOps::default(),
            response_headers: HeaderOps::default(),
            fault: None,
            cors: None,
        })
    }

    fn told(hits: &mut Hits) -> Vec<(String, u64)> {
        let all = hits.by_rule();
        all.iter()
            .map(|(rule, count)| (format!("{} {:?}", rule.name, rule.index), *count))
            .collect()
    }

    #[test]
    fn alternatives_of_a_rule_and_its_successors_count_for_it() {
        let mut hits = Hits::default();
        let (first, alternative, second) = (route("a", 0), route("a", 0), route("a", 1));
        hits.count(&first);
        hits.count(&alternative);
        hits.count(&second);
        hits.count(&first);
        assert_eq!(told(&mut hits), [("a Some(0)".to_owned(), 3), ("a Some(1)".to_owned(), 1)]);
        assert_eq!(Arc::strong_count(&first), 1, "nobody holds on to routes that may be gone");
        hits.count(&route("a", 0));
        assert_eq!(told(&mut hits)[0].1, 4);
    }

    #[test]
    fn more_routes_than_have_places_are_all_counted() {
        let mut hits = Hits::default();
        for index in 0..3 * ROUTES as u32 {
            hits.count(&route("many", index));
        }
        assert_eq!(hits.by_rule().len(), 3 * ROUTES);
        assert!(hits.routes.is_empty());
    }
}
