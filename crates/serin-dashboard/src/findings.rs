//! What is said of objects: conditions, findings, and how far they are live.

use maud::{Markup, html};
use serde_json::Value;
use serin_api::{ObjectRef, Severity};

use crate::mesh::Live;
use crate::objects::{name, namespace, text};
use crate::parts::{State, count, state};

/// How an object is called.
pub(crate) fn reference(object: &Value) -> ObjectRef {
    ObjectRef {
        api_version: text(object, "/apiVersion").to_owned(),
        kind: text(object, "/kind").to_owned(),
        namespace: namespace(object).to_owned(),
        name: name(object).to_owned(),
    }
}

/// How much a finding matters, as a state.
pub(crate) const fn how(severity: Severity) -> State {
    match severity {
        Severity::Info => State::Idle,
        Severity::Warning => State::Odd,
        Severity::Error => State::Bad,
    }
}

/// Where an object is live.
pub(crate) fn live(live: Option<&Live>) -> Markup {
    html! {
        @match live {
            None => span.quiet { "not given to proxies" },
            Some(live) if live.live == live.proxies => {
                (state(State::Good, &format!("live on {}", count(live.proxies, "proxy").replace("proxys", "proxies"))))
            }
            Some(live) => (state(State::Busy, &format!("live on {} of {} proxies", live.live, live.proxies))),
        }
    }
}
