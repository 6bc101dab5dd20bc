//! An answer in parts, as a page shows it: the same words that the command prints.

use serin_dashboard::{Asked, Explained, Rule};
use serin_routing::explain::RuleReport;
use serin_routing::model::{Direction, Model};
use serin_routing::simulate::{Call, simulate};
use serin_translate::{Proxy, Snapshot, tell_left_out};

use super::{reason, text};

/// The way of a request by a model that is in force. `made_for` is what the model was made of and for, where that is known.
pub(crate) fn told(
    model: &Model,
    direction: Direction,
    call: &Call,
    made_for: Option<(&Snapshot, &Proxy)>,
) -> Explained {
    let mut way = simulate(model, direction, call);
    if let Some((snapshot, proxy)) = made_for {
        tell_left_out(snapshot, proxy, call.port, &mut way);
    }
    let why = reason::of(&way, model, direction, call);
    let mut rules: Vec<Asked> =
        way.rejected.iter().map(|it| asked(&it.rule, Some(text::why_not(it)))).collect();
    rules.extend(way.rule.iter().map(|rule| asked(rule, None)));
    let total: u32 = way.clusters.iter().map(|it| it.weight).sum();
    let destinations = way.clusters.iter().map(|cluster| {
        let mut notes = text::of_destination(cluster);
        notes.extend(cluster.problem.map(|problem| reason::of_cluster(problem, &cluster.name)));
        let share = f64::from(cluster.weight) * 100.0 / f64::from(total.max(1));
        (share, text::cluster_name(&cluster.name), notes)
    });
    let steps = [("listener", &way.listener), ("virtual host", &way.virtual_host)];
    let steps =
        steps.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
    Explained {
        request: text::request_line(call),
        way: steps.collect(),
        rules,
        answer: text::outcome(&way).into_iter().chain(why).collect(),
        fails: way.error.is_some(),
        destinations: destinations.collect(),
        on_the_way: text::on_the_way(&way),
    }
}

fn asked(rule: &RuleReport, why_not: Option<String>) -> Asked {
    Asked {
        rule: Rule {
            kind: rule.kind.clone(),
            namespace: rule.namespace.clone(),
            name: rule.name.clone(),
            index: rule.index,
        },
        name: text::rule_name(rule),
        why_not,
    }
}
