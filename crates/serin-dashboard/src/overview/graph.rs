//! Traffic as a picture: who sends on the left, whoever is called to the right of them.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use super::Flow;
use crate::parts;

/// Measures in pixels.
const WIDTH: usize = 188;
const HEIGHT: usize = 44;
const GAP_X: usize = 116;
const GAP_Y: usize = 26;
/// So many nodes fit into a picture that can be read.
const MAX_NODES: usize = 60;
/// Letters of a name that fit.
const LETTERS: usize = 21;

/// A place in the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    x: usize,
    y: usize,
}

/// The picture. The table beside it says the same in words.
pub(super) fn svg(flows: &[Flow]) -> Markup {
    let shown = within_limit(flows);
    let places = places(&depths(&shown));
    let right = places.values().map(|it| it.x).max().unwrap_or(0) + WIDTH;
    let bottom = places.values().map(|it| it.y).max().unwrap_or(0) + HEIGHT;
    // The frame of a node is drawn half outside of it.
    let view = format!("-2 -2 {} {}", right + 4, bottom + 4);
    html! {
        svg.graph viewBox=(view) width=(right + 4) height=(bottom + 4) role="img" aria-label="Who calls whom; the table below has the figures" {
            @for flow in &shown {
                @if let (Some(from), Some(to)) = (places.get(flow.from.as_str()), places.get(flow.to.as_str())) {
                    (edge(flow, *from, *to))
                }
            }
            @for (name, place) in &places {
                g.node {
                    title { (name) }
                    rect x=(place.x) y=(place.y) width=(WIDTH) height=(HEIGHT) rx="10" {}
                    text x=(place.x + WIDTH / 2) y=(place.y + HEIGHT / 2 + 5) text-anchor="middle" { (shortened(name)) }
                }
            }
        }
    }
}

fn edge(flow: &Flow, from: Place, to: Place) -> Markup {
    let fails = flow.rates.success.is_some_and(|it| it < 0.99);
    let (x1, y1) = (from.x + WIDTH, from.y + HEIGHT / 2);
    let (x2, y2) = (to.x, to.y + HEIGHT / 2);
    let reach = GAP_X * 2 / 3;
    let (cx1, cx2) = (x1 + reach, x2.saturating_sub(reach));
    let path = format!("M{x1},{y1} C{cx1},{y1} {cx2},{y2} {x2},{y2}");
    let width = (flow.rates.rate.unwrap_or_default() + 1.0).log10().mul_add(1.6, 1.4);
    let (middle, height) = ((x1 + x2) / 2, (y1 + y2) / 2);
    let label = parts::rate(flow.rates.rate);
    html! {
        g.edge.fails[fails] {
            title { (flow.from) " to " (flow.to) ": " (label) ", success " (parts::share(flow.rates.success)) }
            path d=(path) stroke-width=(format!("{width:.1}")) fill="none" {}
            text x=(middle) y=(height.saturating_sub(6)) text-anchor="middle" {
                (label)
                @if fails { tspan { " ■ " (parts::share(flow.rates.success)) } }
            }
        }
    }
}

/// The flows with the most requests, as long as there is room for their ends.
fn within_limit(flows: &[Flow]) -> Vec<&Flow> {
    let mut nodes = BTreeSet::new();
    let fits = |flow: &&Flow| {
        let more = [&flow.from, &flow.to].into_iter().filter(|it| !nodes.contains(*it)).count();
        let fits = nodes.len() + more <= MAX_NODES && flow.from != flow.to;
        if fits {
            nodes.extend([flow.from.clone(), flow.to.clone()]);
        }
        fits
    };
    flows.iter().filter(fits).collect()
}

/// How far to the right each node is: one further than the furthest of those that call it. In a circle nobody is first, so that
/// there are only as many rounds as nodes.
fn depths<'f>(flows: &[&'f Flow]) -> BTreeMap<&'f str, usize> {
    let mut depths: BTreeMap<&str, usize> = BTreeMap::new();
    for flow in flows {
        depths.insert(&flow.from, 0);
        depths.insert(&flow.to, 0);
    }
    let limit = depths.len().saturating_sub(1);
    for _ in 0..limit {
        let mut has_moved = false;
        for flow in flows {
            let of = |name: &str| depths.get(name).copied().unwrap_or_default();
            let (from, to) = (of(&flow.from), of(&flow.to));
            if to < from + 1 && from < limit.min(8) {
                depths.insert(&flow.to, from + 1);
                has_moved = true;
            }
        }
        if !has_moved {
            break;
        }
    }
    depths
}

/// Columns by depth, each in the middle of the height.
fn places<'f>(depths: &BTreeMap<&'f str, usize>) -> BTreeMap<&'f str, Place> {
    let mut columns: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for (name, depth) in depths {
        columns.entry(*depth).or_default().push(name);
    }
    let tallest = columns.values().map(Vec::len).max().unwrap_or(0);
    let step = HEIGHT + GAP_Y;
    let mut places = BTreeMap::new();
    for (column, names) in columns.into_values().enumerate() {
        let top = (tallest - names.len()) * step / 2;
        for (row, name) in names.into_iter().enumerate() {
            places.insert(name, Place { x: column * (WIDTH + GAP_X), y: top + row * step });
        }
    }
    places
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= LETTERS {
        return name.to_owned();
    }
    let mut short: String = name.chars().take(LETTERS - 1).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flows(pairs: &[(&str, &str)]) -> Vec<Flow> {
        let flow = |(from, to): &(&str, &str)| Flow {
            from: (*from).to_owned(),
            to: (*to).to_owned(),
            ..Flow::default()
        };
        pairs.iter().map(flow).collect()
    }

    fn check(pairs: &[(&str, &str)], expect: &[(&str, usize)]) {
        let flows = flows(pairs);
        let found = depths(&flows.iter().collect::<Vec<_>>());
        assert_eq!(found.into_iter().collect::<Vec<_>>(), expect);
    }

    #[test]
    fn whoever_is_called_stands_to_the_right_of_all_callers() {
        check(&[("a", "b"), ("b", "c"), ("a", "c")], &[("a", 0), ("b", 1), ("c", 2)]);
        check(&[("b", "c"), ("a", "b")], &[("a", 0), ("b", 1), ("c", 2)]);
    }

    #[test]
    fn a_circle_has_an_end() {
        let flows = flows(&[("a", "b"), ("b", "a"), ("a", "c")]);
        let depths = depths(&flows.iter().collect::<Vec<_>>());
        assert!(depths.values().all(|depth| *depth <= 3), "{depths:?}");
    }

    #[test]
    fn no_two_nodes_are_at_one_place() {
        let flows = flows(&[("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("c", "e")]);
        let places = places(&depths(&flows.iter().collect::<Vec<_>>()));
        let distinct: BTreeSet<_> = places.values().map(|it| (it.x, it.y)).collect();
        assert_eq!(distinct.len(), 5);
    }
}
