//! Under which of its conditions a rule is filed.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use super::List;
use super::windows::{Window, windows};
use crate::hash::TextHash;
use crate::model::{HeaderMatch, PathMatch, RouteMatch, ValueMatch};

/// Keys that this few rules share are all as good; of those the quickest to look up is taken.
const FEW: u32 = 4;

/// A part of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject<'m> {
    Path,
    /// The path in lower case.
    FoldedPath,
    Header(&'m str),
    Parameter(&'m str),
}

/// How a text is looked up, the quickest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Exact,
    Prefix,
    /// A window of a text that must be contained.
    Contained,
    Present,
}

/// A condition that can be looked up: it holds for every request that a rule takes which is filed under it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key<'m> {
    pub(super) subject: Subject<'m>,
    pub(super) kind: Kind,
    pub(super) text: Text<'m>,
}

/// The text of a key: most are the model's own or short.
#[derive(Clone, Debug)]
pub(super) enum Text<'m> {
    Borrowed(&'m [u8]),
    Owned(Box<[u8]>),
    Window(Window),
}

impl Deref for Text<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Borrowed(text) => text,
            Self::Owned(text) => text,
            Self::Window(window) => window,
        }
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Text<'_> {}

impl Hash for Text<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl<'m> From<&'m str> for Text<'m> {
    fn from(text: &'m str) -> Self {
        Self::Borrowed(text.as_bytes())
    }
}

impl From<Vec<u8>> for Text<'_> {
    fn from(text: Vec<u8>) -> Self {
        Self::Owned(text.into())
    }
}

/// Rules filed under keys.
#[derive(Debug)]
pub(super) struct Filing<'m> {
    keys: Vec<(Key<'m>, List)>,
    always: List,
    order: Vec<u32>,
}

impl<'m> Filing<'m> {
    pub(super) fn new(conditions: impl Iterator<Item = &'m RouteMatch>) -> Self {
        let mut census = Census::default();
        for condition in conditions {
            census.count(condition);
        }
        census.file()
    }

    pub(super) fn always(&self) -> List {
        self.always
    }

    /// The keys, grouped by subject.
    pub(super) fn by_subject(&mut self) -> Vec<(Subject<'m>, Vec<(Key<'m>, List)>)> {
        let mut places = HashMap::with_hasher(TextHash);
        let mut groups: Vec<(Subject<'m>, Vec<_>)> = Vec::new();
        for (key, list) in std::mem::take(&mut self.keys) {
            let place = *places.entry(key.subject).or_insert(groups.len());
            if place == groups.len() {
                groups.push((key.subject, Vec::new()));
            }
            groups[place].1.push((key, list));
        }
        groups
    }

    pub(super) fn into_order(self) -> Vec<u32> {
        self.order
    }
}

/// Which keys there are, and how many rules could be filed under each.
#[derive(Default)]
struct Census<'m> {
    numbers: HashMap<Key<'m>, usize, TextHash>,
    counts: Vec<u32>,
    kinds: Vec<Kind>,
    /// Numbers of the keys of all rules, one rule behind the other.
    of_rules: Vec<usize>,
    /// Where each rule's keys end in `of_rules`.
    ends: Vec<usize>,
}

impl<'m> Census<'m> {
    fn count(&mut self, condition: &'m RouteMatch) {
        keys_of(condition, &mut |key| {
            let kind = key.kind;
            let number = *self.numbers.entry(key).or_insert(self.counts.len());
            if number == self.counts.len() {
                self.counts.push(0);
                self.kinds.push(kind);
            }
            self.counts[number] += 1;
            self.of_rules.push(number);
        });
        self.ends.push(self.of_rules.len());
    }

    fn file(self) -> Filing<'m> {
        let chosen = self.choose();
        // The last list is for rules without a key.
        let mut lists = vec![List::default(); self.counts.len() + 1];
        for &number in &chosen {
            lists[number].length += 1;
        }
        let mut start = 0;
        for list in &mut lists {
            list.start = start;
            start += list.length;
        }
        let mut order = vec![0; chosen.len()];
        let mut next: Vec<u32> = lists.iter().map(|list| list.start).collect();
        for (rule, &number) in (0..).zip(&chosen) {
            order[next[number] as usize] = rule;
            next[number] += 1;
        }
        let mut keys = vec![None; self.counts.len()];
        for (key, number) in self.numbers {
            keys[number] = Some((key, lists[number]));
        }
        let used = |(_, list): &(Key<'_>, List)| !list.is_empty();
        let keys = keys.into_iter().flatten().filter(used).collect();
        Filing { keys, always: lists.last().copied().unwrap_or_default(), order }
    }

    /// For each rule the number of the key it is filed under; the number of keys if it has none.
    fn choose(&self) -> Vec<usize> {
        let cost = |number: &usize| {
            let count = self.counts[*number];
            (count.max(FEW), self.kinds[*number], count)
        };
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let ranges = starts.zip(self.ends.iter().copied());
        let cheapest =
            ranges.map(|(start, end)| self.of_rules[start..end].iter().copied().min_by_key(cost));
        cheapest.map(|number| number.unwrap_or(self.counts.len())).collect()
    }
}

fn keys_of<'m>(condition: &'m RouteMatch, file: &mut impl FnMut(Key<'m>)) {
    path_keys(&condition.path, condition.ignore_case, file);
    // An inverted condition, and one that a missing header meets, selects nothing.
    let selects = |header: &&HeaderMatch| !header.invert && !header.missing_is_empty;
    for header in condition.headers.iter().filter(selects) {
        let name = if &*header.name == "host" { ":authority" } else { &*header.name };
        value_keys(Subject::Header(name), &header.value, file);
    }
    for parameter in &condition.query {
        value_keys(Subject::Parameter(&parameter.name), &parameter.value, file);
    }
}

fn path_keys<'m>(path: &'m PathMatch, ignore_case: bool, file: &mut impl FnMut(Key<'m>)) {
    let mut plain = |kind: Kind, text: &'m str| {
        file(if ignore_case {
            Key {
                subject: Subject::FoldedPath,
                kind,
                text: text.to_ascii_lowercase().into_bytes().into(),
            }
        } else {
            Key { subject: Subject::Path, kind, text: text.into() }
        });
    };
    match path {
        PathMatch::Exact(text) => plain(Kind::Exact, text),
        // Every path begins with a slash.
        PathMatch::Prefix(text) | PathMatch::Segments(text) if text.len() > 1 => {
            plain(Kind::Prefix, text)
        }
        PathMatch::Any | PathMatch::Prefix(_) | PathMatch::Segments(_) => {}
        PathMatch::Regex(regex) => regex_keys(Subject::Path, regex, file),
    }
}

fn value_keys<'m>(subject: Subject<'m>, value: &'m ValueMatch, file: &mut impl FnMut(Key<'m>)) {
    let text = |kind: Kind, text: &'m str| Key { subject, kind, text: text.into() };
    match value {
        ValueMatch::Exact(exact) => file(text(Kind::Exact, exact)),
        ValueMatch::Prefix(prefix) if !prefix.is_empty() => file(text(Kind::Prefix, prefix)),
        ValueMatch::Suffix(suffix) => {
            file(text(Kind::Present, ""));
            contained_keys(subject, suffix.as_bytes(), file);
        }
        ValueMatch::Present | ValueMatch::Prefix(_) => file(text(Kind::Present, "")),
        ValueMatch::Regex(regex) => {
            file(text(Kind::Present, ""));
            regex_keys(subject, regex, file);
        }
    }
}

fn regex_keys<'m>(
    subject: Subject<'m>,
    regex: &'m serin_re2::Regex,
    file: &mut impl FnMut(Key<'m>),
) {
    let mut text = |kind: Kind, text: Vec<u8>| file(Key { subject, kind, text: text.into() });
    if let Some(literal) = regex.as_literal() {
        return text(Kind::Exact, literal);
    }
    let prefix = regex.literal_prefix();
    if prefix.len() > 1 {
        text(Kind::Prefix, prefix);
    }
    contained_keys(subject, &regex.required_literal(), file);
}

fn contained_keys<'m>(subject: Subject<'m>, text: &[u8], file: &mut impl FnMut(Key<'m>)) {
    for window in windows(text) {
        file(Key { subject, kind: Kind::Contained, text: Text::Window(window) });
    }
}
