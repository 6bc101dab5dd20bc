//! Status conditions: what is reported, and how it joins what the object's status says already.

use serde_json::{Map, Value, json};

/// Why something is refused: the reason of a condition, and its message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// A word for programs.
    pub reason: &'static str,
    /// A sentence for people.
    pub message: String,
}

impl Refusal {
    pub(super) fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    /// Both refusals under the first one's reason.
    pub(super) fn joined(first: Option<Self>, second: Option<Self>) -> Option<Self> {
        match (first, second) {
            (Some(first), Some(second)) => {
                Some(Self { message: format!("{}; {}", first.message, second.message), ..first })
            }
            (first, second) => first.or(second),
        }
    }
}

/// One condition to report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub kind: &'static str,
    pub status: bool,
    pub reason: &'static str,
    pub message: String,
}

impl Condition {
    /// A condition that holds.
    pub(super) fn holds(
        kind: &'static str,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { kind, status: true, reason, message: message.into() }
    }

    /// A condition that does not hold.
    pub(super) fn fails(
        kind: &'static str,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { kind, status: false, reason, message: message.into() }
    }

    /// The same condition, not holding if something is refused.
    #[must_use]
    pub(super) fn unless(self, refusal: Option<&Refusal>) -> Self {
        match refusal {
            Some(refusal) => Self::fails(self.kind, refusal.reason, refusal.message.clone()),
            None => self,
        }
    }
}

/// The time of a transition that takes place when the status is written.
pub(super) const NOW: &str = "";

/// What conditions are reported of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    /// The generation of the object that was looked at.
    pub generation: i64,
}

impl Report {
    /// `conditions` in the place of those of the same type in `existing`, new ones after them by type. A condition whose
    /// status does not change keeps the time of its last transition.
    pub(super) fn merge(self, existing: &Value, mut conditions: Vec<Condition>) -> Value {
        conditions.sort_by_key(|condition| condition.kind);
        let mut merged: Vec<Value> = existing.as_array().cloned().unwrap_or_default();
        for condition in conditions {
            let place = merged.iter().position(|it| it["type"] == condition.kind);
            let unchanged = place.and_then(|place| {
                let before = &merged[place];
                let same = before["status"] == status_text(condition.status);
                same.then(|| before["lastTransitionTime"].as_str().map(str::to_owned)).flatten()
            });
            let value = self.write(&condition, unchanged.as_deref().unwrap_or(NOW));
            match place {
                Some(place) => merged[place] = value,
                None => merged.push(value),
            }
        }
        Value::Array(merged)
    }

    fn write(self, condition: &Condition, since: &str) -> Value {
        let mut value = Map::new();
        value.insert("type".to_owned(), json!(condition.kind));
        value.insert("status".to_owned(), json!(status_text(condition.status)));
        if self.generation != 0 {
            value.insert("observedGeneration".to_owned(), json!(self.generation));
        }
        value.insert("lastTransitionTime".to_owned(), json!(since));
        value.insert("reason".to_owned(), json!(condition.reason));
        value.insert("message".to_owned(), json!(condition.message));
        Value::Object(value)
    }
}

/// Gives the conditions of a status that change when it is written their time.
pub(super) fn set_time(value: &mut Value, now: &str) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(time)) = fields.get_mut("lastTransitionTime")
                && time == NOW
            {
                now.clone_into(time);
            }
            fields.values_mut().for_each(|it| set_time(it, now));
        }
        Value::Array(items) => items.iter_mut().for_each(|it| set_time(it, now)),
        _ => {}
    }
}

const fn status_text(status: bool) -> &'static str {
    if status { "True" } else { "False" }
}

/// Items as one reads them out: `a`, `a and b`, `a, b, and c`.
pub(super) fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [first, second] => format!("{first} and {second}"),
        [init @ .., last] => format!("{}, and {last}", init.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: Report = Report { generation: 3 };

    #[test]
    fn a_condition_keeps_its_time_while_its_status_stays_the_same() {
        let before = json!([
            {"type": "Programmed", "status": "True", "lastTransitionTime": "then", "reason": "Old", "message": "old"},
            {"type": "Foreign", "status": "True", "lastTransitionTime": "then", "reason": "R", "message": "m"},
            {"type": "Accepted", "status": "False", "lastTransitionTime": "then", "reason": "R", "message": "m"},
        ]);
        let after = REPORT.merge(
            &before,
            vec![
                Condition::holds("ResolvedRefs", "ResolvedRefs", "fine"),
                Condition::holds("Programmed", "New", "new"),
                Condition::holds("Accepted", "Accepted", "fine"),
            ],
        );
        let brief = |it: &Value| {
            ["type", "status", "reason", "lastTransitionTime"]
                .map(|key| it[key].as_str().unwrap_or_default().to_owned())
        };
        let after: Vec<_> = after.as_array().into_iter().flatten().map(brief).collect();
        assert_eq!(
            after,
            [
                ["Programmed", "True", "New", "then"],
                ["Foreign", "True", "R", "then"],
                ["Accepted", "True", "Accepted", NOW],
                ["ResolvedRefs", "True", "ResolvedRefs", NOW],
            ]
        );
    }

    #[test]
    fn the_observed_generation_is_left_out_when_there_is_none() {
        let merged =
            Report { generation: 0 }.merge(&Value::Null, vec![Condition::fails("A", "R", "m")]);
        let expect = json!([{"type": "A", "status": "False", "lastTransitionTime": NOW, "reason": "R", "message": "m"}]);
        assert_eq!(merged, expect);
    }

    #[test]
    fn refusals_join_under_the_reason_of_the_first() {
        let refusal = |message: &str| Some(Refusal::new("R", message));
        assert_eq!(Refusal::joined(refusal("a"), refusal("b")), refusal("a; b"));
        assert_eq!(Refusal::joined(None, refusal("b")), refusal("b"));
        assert_eq!(Refusal::joined(refusal("a"), None), refusal("a"));
    }
}
