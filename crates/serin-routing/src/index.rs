//! The first of many rules that a request meets, without asking each.
//!
//! Every rule is filed under one of its conditions, the one that the fewest other rules share: an exact text, a prefix,
//! a text contained somewhere (for regular expressions), or that a header or parameter is there at all. A
//! request looks up what its path, headers and parameters select, and asks the rules it finds in the order of the table
//! ([`crate::matching`] says what a rule's conditions mean). Rules without such a condition are asked always.
//!
//! The index can only narrow down: a rule is never left out that would match. Nothing is allocated per request beyond
//! the caller's [`Scratch`], which keeps its size.

mod hosts;
mod keys;
mod texts;
mod trie;
mod windows;

use std::collections::HashMap;
use std::sync::Arc;

use crate::hash::TextHash;
use crate::matching;
use crate::model::{PathMatch, Route, RouteMatch};
use crate::request::{Request, View, parameters};

pub(crate) use hosts::{Domain, HasDomains, HostIndex};

use keys::{Filing, Subject};
use texts::TextIndex;

/// Up to this many lists are merged as they are; more are copied together and sorted.
const MERGE_LISTS: usize = 8;

/// Up to this many rules that have changed are filed apart; with more, all are filed anew.
const MOST_CHANGED: usize = 64;

/// Buffers for one request at a time, kept between requests so that none is allocated.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) buffer: Vec<u8>,
    folded: Vec<u8>,
    lists: Vec<List>,
    candidates: Vec<u32>,
}

/// A part of the order in which rules are asked: rules in ascending order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct List {
    start: u32,
    length: u32,
}

impl List {
    const fn is_empty(self) -> bool {
        self.length == 0
    }

    fn of(self, order: &[u32]) -> &[u32] {
        &order[self.start as usize..][..self.length as usize]
    }
}

/// The rules of a virtual host, filed.
///
/// Where few conditions of many have changed, the rules stay filed as they were, and those that changed are filed once more,
/// apart. A rule that is found where it was filed once is asked as it is now, so that nothing wrong is found there.
#[derive(Debug)]
pub(crate) struct RuleIndex {
    filed: Arc<Filed>,
    changed: Option<Box<Changed>>,
}

/// Rules whose conditions have changed since all were filed.
#[derive(Debug)]
struct Changed {
    /// Their numbers, in ascending order.
    rules: Vec<u32>,
    /// Filed by their places in `rules`.
    filed: Filed,
}

impl RuleIndex {
    pub(crate) fn new(routes: &[Arc<Route>]) -> Self {
        let conditions = reachable(routes).iter().map(|route| &route.condition);
        Self { filed: Arc::new(Filed::new(conditions)), changed: None }
    }

    /// The index of `routes`, if `last` is that of `before`.
    pub(crate) fn next(
        last: &Arc<Self>,
        before: &[Arc<Route>],
        routes: &[Arc<Route>],
    ) -> Arc<Self> {
        if before.len() != routes.len() {
            return Arc::new(Self::new(routes));
        }
        let differs = |(_, (old, new)): &(u32, (&Arc<Route>, &Arc<Route>))| {
            !Arc::ptr_eq(old, new) && old.condition != new.condition
        };
        let pairs = (0..).zip(before.iter().zip(routes));
        let mut changed: Vec<u32> = pairs.filter(differs).map(|(number, _)| number).collect();
        if changed.is_empty() {
            return Arc::clone(last);
        }
        // What comes after a rule that took every request has not been filed.
        let filed = last.filed.order.len();
        let opens = filed < routes.len() && changed.iter().any(|it| *it as usize + 1 == filed);
        changed.extend(last.changed.iter().flat_map(|it| &it.rules));
        changed.sort_unstable();
        changed.dedup();
        if opens || changed.len() > MOST_CHANGED {
            return Arc::new(Self::new(routes));
        }
        let conditions = changed.iter().map(|number| &routes[*number as usize].condition);
        let apart = Changed { filed: Filed::new(conditions), rules: changed };
        Arc::new(Self { filed: Arc::clone(&last.filed), changed: Some(Box::new(apart)) })
    }

    /// The number of the first rule that the request meets.
    pub(crate) fn find<R: Request>(
        &self,
        routes: &[Arc<Route>],
        view: &View<'_, R>,
        scratch: &mut Scratch,
    ) -> Option<usize> {
        let holds = |number: u32, buffer: &mut Vec<u8>| {
            let route = routes.get(number as usize);
            route.is_some_and(|route| matching::holds(&route.condition, view, buffer))
        };
        let mut first = self.filed.find(view, scratch, holds);
        if let Some(Changed { rules, filed }) = self.changed.as_deref() {
            let holds = |place: u32, buffer: &mut Vec<u8>| holds(rules[place as usize], buffer);
            let changed = filed.find(view, scratch, holds).map(|place| rules[place as usize]);
            first = first.into_iter().chain(changed).min();
        }
        first.map(|number| number as usize)
    }
}

/// Rules under the keys that they are filed under.
#[derive(Debug, Default)]
struct Filed {
    path: TextIndex,
    /// Conditions without regard to case, for the path in lower case.
    folded_path: Option<TextIndex>,
    headers: Named,
    /// Pseudo headers in a request are few and not listed among its headers.
    pseudo_headers: Named,
    parameters: Named,
    always: List,
    /// The lists, one behind the other: every rule once.
    order: Vec<u32>,
}

impl Filed {
    fn new<'m>(conditions: impl Iterator<Item = &'m RouteMatch>) -> Self {
        let mut filing = Filing::new(conditions);
        let mut index = Self { always: filing.always(), ..Self::default() };
        for (subject, keys) in filing.by_subject() {
            let texts = TextIndex::new(keys);
            match subject {
                Subject::Path => index.path = texts,
                Subject::FoldedPath => index.folded_path = Some(texts),
                Subject::Header(name) if name.starts_with(':') => {
                    index.pseudo_headers.insert(name, texts)
                }
                Subject::Header(name) => index.headers.insert(name, texts),
                Subject::Parameter(name) => index.parameters.insert(name, texts),
            }
        }
        index.order = filing.into_order();
        index
    }

    /// The number of the first rule that `holds`.
    fn find<R: Request>(
        &self,
        view: &View<'_, R>,
        scratch: &mut Scratch,
        holds: impl Fn(u32, &mut Vec<u8>) -> bool,
    ) -> Option<u32> {
        scratch.lists.clear();
        if !self.always.is_empty() {
            scratch.lists.push(self.always);
        }
        self.select_by_path(view, scratch);
        self.select_by_headers(view, scratch);
        self.select_by_parameters(view, &mut scratch.lists);
        let Scratch { buffer, lists, candidates, .. } = scratch;
        let mut holds = |rule: u32| holds(rule, buffer);
        if lists.len() <= MERGE_LISTS {
            first_merged(lists, &self.order, &mut holds)
        } else {
            first_sorted(lists, &self.order, candidates, &mut holds)
        }
    }

    fn select_by_path<R: Request>(&self, view: &View<'_, R>, scratch: &mut Scratch) {
        self.path.select(view.path, &mut scratch.lists);
        if let Some(folded_path) = &self.folded_path {
            scratch.folded.clear();
            scratch.folded.extend(view.path.iter().map(u8::to_ascii_lowercase));
            folded_path.select(&scratch.folded, &mut scratch.lists);
        }
    }

    fn select_by_headers<R: Request>(&self, view: &View<'_, R>, scratch: &mut Scratch) {
        let Scratch { buffer, lists, .. } = scratch;
        let mut select = |(name, texts): &(Box<str>, TextIndex)| {
            if let Some(value) = view.header(name, buffer) {
                texts.select(value, lists);
            }
        };
        self.pseudo_headers.texts.iter().for_each(&mut select);
        if self.headers.are_few() {
            self.headers.texts.iter().for_each(select);
            return;
        }
        for (position, (name, _)) in view.request.headers().enumerate() {
            let Some(named) = self.headers.get(name) else { continue };
            let is_repeated = view.request.headers().take(position).any(|(other, _)| other == name);
            if !is_repeated {
                select(named);
            }
        }
    }

    fn select_by_parameters<R: Request>(&self, view: &View<'_, R>, lists: &mut Vec<List>) {
        if self.parameters.texts.is_empty() {
            return;
        }
        for (position, (name, value)) in parameters(view.query).enumerate() {
            let Some((_, texts)) = self.parameters.get(name) else { continue };
            let is_repeated = parameters(view.query).take(position).any(|(other, _)| other == name);
            if !is_repeated {
                texts.select(value, lists);
            }
        }
    }
}

/// Indexes of headers or parameters, by name.
#[derive(Debug, Default)]
struct Named {
    texts: Vec<(Box<str>, TextIndex)>,
    places: HashMap<Box<[u8]>, usize, TextHash>,
}

impl Named {
    fn insert(&mut self, name: &str, texts: TextIndex) {
        self.places.insert(name.as_bytes().into(), self.texts.len());
        self.texts.push((name.into(), texts));
    }

    fn get(&self, name: &[u8]) -> Option<&(Box<str>, TextIndex)> {
        self.places.get(name).and_then(|place| self.texts.get(*place))
    }

    /// Whether it is quicker to look for each in a request than to look up all that a request has.
    const fn are_few(&self) -> bool {
        self.texts.len() <= 4
    }
}

/// The rules up to the first that takes every request.
fn reachable(routes: &[Arc<Route>]) -> &[Arc<Route>] {
    let takes_all = |route: &Arc<Route>| {
        let RouteMatch { path, ignore_case: _, headers, query, claims } = &route.condition;
        *path == PathMatch::Any && headers.is_empty() && query.is_empty() && claims.is_empty()
    };
    let end = routes.iter().position(takes_all).map_or(routes.len(), |last| last + 1);
    &routes[..end]
}

/// The first rule of several lists that holds, in ascending order. The lists become shorter.
fn first_merged(
    lists: &mut [List],
    order: &[u32],
    holds: &mut impl FnMut(u32) -> bool,
) -> Option<u32> {
    loop {
        let heads = lists.iter_mut().filter_map(|list| Some((*list.of(order).first()?, list)));
        let (rule, list) = heads.min_by_key(|(rule, _)| *rule)?;
        list.start += 1;
        list.length -= 1;
        if holds(rule) {
            return Some(rule);
        }
    }
}

fn first_sorted(
    lists: &mut Vec<List>,
    order: &[u32],
    candidates: &mut Vec<u32>,
    holds: &mut impl FnMut(u32) -> bool,
) -> Option<u32> {
    lists.sort_unstable_by_key(|list| list.start);
    lists.dedup();
    candidates.clear();
    for list in &*lists {
        candidates.extend_from_slice(list.of(order));
    }
    candidates.sort_unstable();
    candidates.iter().copied().find(|rule| holds(*rule))
}

#[cfg(test)]
mod tests;
