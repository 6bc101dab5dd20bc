//! The findings of one run with everything needed to show them: places, texts, counts.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use serin_api::{Finding, Location, ObjectRef, Severity};

/// What a run of `serin check` found, in the order in which it is shown.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// By file, line, column, then code; what has no place comes last.
    pub(crate) findings: Vec<Placed>,
    /// The texts that were read, by file.
    pub(crate) texts: BTreeMap<Arc<str>, String>,
    /// How many objects were read.
    pub(crate) objects: usize,
}

/// A finding and the places it speaks of.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    /// The finding.
    pub(crate) finding: Finding,
    /// Where it is; `None` if the object did not come from a text.
    pub(crate) place: Option<Location>,
    /// The finding's related places, in its order.
    pub(crate) related: Vec<Option<Location>>,
}

impl Report {
    /// Finds places with `locate`, drops findings that say the same twice, and sorts.
    pub(crate) fn new(
        findings: Vec<Finding>,
        texts: BTreeMap<Arc<str>, String>,
        objects: usize,
        locate: impl Fn(&ObjectRef, &serin_api::FieldPath) -> Option<Location>,
    ) -> Self {
        let place = |finding: Finding| {
            let place = finding.location.clone().or_else(|| {
                finding.object.as_ref().and_then(|object| locate(object, &finding.field))
            });
            let related = finding.related.iter().map(|r| locate(&r.object, &r.field)).collect();
            Placed { finding, place, related }
        };
        let mut findings: Vec<Placed> = findings.into_iter().map(place).collect();
        findings.sort_by(Placed::order);
        findings.dedup_by(|a, b| a.finding == b.finding);
        Self { findings, texts, objects }
    }

    /// How many findings have this severity.
    pub(crate) fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|placed| placed.finding.severity == severity).count()
    }

    /// Whether a finding is at or above `severity`.
    pub(crate) fn reaches(&self, severity: Severity) -> bool {
        self.findings.iter().any(|placed| placed.finding.severity >= severity)
    }
}

impl Placed {
    fn order(&self, other: &Self) -> Ordering {
        let key = |placed: &Self| {
            let start = placed.place.as_ref().map(|place| (place.file.clone(), place.span.start));
            (start.is_none(), start)
        };
        key(self)
            .cmp(&key(other))
            .then_with(|| other.finding.severity.cmp(&self.finding.severity))
            .then_with(|| self.finding.code.cmp(&other.finding.code))
            .then_with(|| self.finding.object.cmp(&other.finding.object))
            .then_with(|| self.finding.field.cmp(&other.finding.field))
            .then_with(|| self.finding.message.cmp(&other.finding.message))
    }
}
