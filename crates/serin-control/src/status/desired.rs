//! What the status of an object of Istio's says: whether it is accepted, whether what it names is there, and where it decides.
//!
//! | Condition | `True` | `False` |
//! |---|---|---|
//! | `Accepted` | the object is valid | Istio would refuse it, and its last good form stays in force; or objects of its kind have no effect |
//! | `Resolved` | what it names is there, and no other object conflicts | something is missing or in conflict; the message names it |
//! | `Live` | every proxy of the mesh decides by this generation | some do not yet, or the object is not accepted |
//! | `Reconciled` | as `Live`, under the name that Istio gives it | |
//!
//! Each has the generation that it speaks of, so that `kubectl wait` waits for the present one. A proxy that comes later begins with
//! what is live, and so the count of proxies stays as it was when the generation became live.

use serde_json::{Value, json};
use serin_api::{Finding, Severity};
use serin_translate::codes;

use crate::cache::Written;
use crate::control::listed;
use crate::progress::Live;

/// How many findings a message tells at most.
const TOLD: usize = 3;

/// Everything that is known of an object.
pub(crate) struct Known<'k> {
    pub(crate) written: &'k Written,
    /// What was found about it and other objects together; `None` as long as nobody has looked at its present form.
    pub(crate) found: Option<&'k [Finding]>,
    /// Where it decides; `None` if no form of it was given to proxies.
    pub(crate) live: Option<&'k Live>,
    /// Whether to say that it is not live yet.
    pub(crate) is_overdue: bool,
    /// Why some of its ports are not served, if it is a Gateway with such.
    pub(crate) unserved: Option<&'k str>,
}

/// Our part of the status; conditions that cannot be told yet are left out.
pub(crate) fn status(known: &Known<'_>) -> Value {
    let generation = known.written.generation;
    let mut conditions = vec![accepted(known)];
    let mut status = json!({ "observedGeneration": generation });
    if let Some(found) = known.found {
        conditions.push(resolved(found));
        let own = known.written.findings.iter();
        status["validationMessages"] = own.chain(found).map(message).collect();
    }
    if let Some(live) = live(known) {
        conditions.push(Condition { name: "Reconciled", ..live.clone() });
        conditions.push(live);
    }
    status["conditions"] = conditions.iter().map(|it| it.write(generation)).collect();
    status
}

/// Our part of the status of an object that has conditions of its own kind: where it decides.
pub(crate) fn live_only(known: &Known<'_>) -> Option<Value> {
    live(known).map(|live| live.write(known.written.generation))
}

/// That a Gateway of the Gateway API has ports that are not served, if it has.
pub(crate) fn not_programmed(known: &Known<'_>) -> Option<Value> {
    let why = known.unserved?.to_owned();
    let condition = Condition::new("Programmed", false, "AddressNotUsable", why);
    Some(condition.write(known.written.generation))
}

#[derive(Clone)]
struct Condition {
    name: &'static str,
    holds: bool,
    reason: String,
    message: String,
}

impl Condition {
    fn new(name: &'static str, holds: bool, reason: &str, message: String) -> Self {
        Self { name, holds, reason: reason.to_owned(), message }
    }

    fn write(&self, generation: i64) -> Value {
        json!({
            "type": self.name,
            "status": if self.holds { "True" } else { "False" },
            "reason": self.reason,
            "message": self.message,
            "observedGeneration": generation,
        })
    }
}

fn errors(findings: &[Finding]) -> Vec<&Finding> {
    findings.iter().filter(|it| it.severity == Severity::Error).collect()
}

fn accepted(known: &Known<'_>) -> Condition {
    let errors = errors(&known.written.findings);
    if errors.is_empty() {
        return Condition::new("Accepted", true, "Accepted", "the object is valid".to_owned());
    }
    let stays = match known.live {
        Some(live) => format!("; generation {} stays in force", live.generation),
        None => String::new(),
    };
    Condition::new("Accepted", false, "Invalid", format!("{}{stays}", told(&errors)))
}

fn resolved(found: &[Finding]) -> Condition {
    let errors = errors(found);
    let Some(first) = errors.first() else {
        let warnings: Vec<&Finding> =
            found.iter().filter(|it| it.severity == Severity::Warning).collect();
        let message = match warnings.as_slice() {
            [] => "what the object names is there".to_owned(),
            warnings => format!("what the object names is there, but: {}", told(warnings)),
        };
        return Condition::new("Resolved", true, "Resolved", message);
    };
    Condition::new("Resolved", false, name(first), told(&errors))
}

fn live(known: &Known<'_>) -> Option<Condition> {
    let generation = known.written.generation;
    let is_refused = !errors(&known.written.findings).is_empty();
    let Some(live) = known.live else {
        let message = "no proxy decides by the object".to_owned();
        return is_refused.then(|| Condition::new("Live", false, "NotAccepted", message));
    };
    let on = format!(
        "live on {} of {} proxies at generation {}",
        live.live, live.proxies, live.generation
    );
    if is_refused {
        return Some(Condition::new(
            "Live",
            false,
            "NotAccepted",
            format!("generation {generation} is refused; {on}"),
        ));
    }
    if let Some(why) = known.unserved {
        return Some(Condition::new("Live", false, "PortUnavailable", why.to_owned()));
    }
    if live.generation < generation || !live.is_everywhere() {
        let message = match live.waiting.as_slice() {
            [] => on,
            waiting => format!("{on}; waiting for {}", listed(waiting)),
        };
        return known.is_overdue.then(|| Condition::new("Live", false, "Waiting", message));
    }
    Some(Condition::new("Live", true, "Live", on))
}

/// Findings in a message.
fn told(findings: &[&Finding]) -> String {
    let told = findings.iter().take(TOLD).map(|it| {
        let place = if it.field.is_root() { String::new() } else { format!("{}: ", it.field) };
        format!("{} {place}{}", it.code, it.message)
    });
    let told: Vec<String> = told.collect();
    match findings.len() - told.len() {
        0 => told.join("; "),
        more => format!("{}; and {more} more", told.join("; ")),
    }
}

/// The name of a finding's code.
fn name(finding: &Finding) -> &'static str {
    codes::every().iter().find(|it| it.code == finding.code).map_or("Invalid", |it| it.name)
}

/// A finding as Istio's analysis writes it into statuses (`AnalysisMessageBase`).
fn message(finding: &Finding) -> Value {
    let code = finding.code.0;
    let mut message = json!({
        "type": {"name": name(finding), "code": code},
        "level": match finding.severity {
            Severity::Error => "ERROR",
            Severity::Warning => "WARNING",
            Severity::Info => "INFO",
        },
    });
    if code.starts_with("IST") {
        let page = code.to_ascii_lowercase();
        message["documentationUrl"] =
            format!("https://istio.io/latest/docs/reference/config/analysis/{page}/").into();
    }
    message
}

#[cfg(test)]
mod tests;
