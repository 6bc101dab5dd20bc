//! The findings of one run with everything needed to show them: places, texts, counts.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use serin_api::load::Loaded;
use serin_api::{FieldPath, Finding, Location, ObjectRef, Severity};

/// What a run of `serin check` found, in the order in which it is shown.
#[derive(Clone, Debug, Default)]
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
    /// A report on what was read, without findings.
    pub(crate) fn new(loaded: &Loaded) -> Self {
        Self { objects: loaded.readable().count(), ..Self::default() }
    }

    /// Adds findings, their places in the texts of `loaded`.
    pub(crate) fn add(&mut self, findings: impl IntoIterator<Item = Finding>, loaded: &Loaded) {
        self.findings.extend(findings.into_iter().map(|finding| {
            let locate = |object: &ObjectRef, field: &FieldPath| loaded.place(object, field);
            let of_object = || locate(finding.object.as_ref()?, &finding.field);
            let place = finding.location.clone().or_else(of_object);
            let related = finding.related.iter().map(|it| locate(&it.object, &it.field)).collect();
            Placed { finding, place, related }
        }));
    }

    /// Drops findings of an analysis about a field that has a mistake already or stands below one: they come from the
    /// same mistake.
    pub(crate) fn without_consequences(&self, findings: Vec<Finding>) -> Vec<Finding> {
        let errors = self.findings.iter().map(|placed| &placed.finding);
        let mistakes: Vec<&Finding> = errors
            .filter(|finding| finding.severity == Severity::Error && finding.object.is_some())
            .filter(|finding| !finding.field.is_root())
            .collect();
        let follows = |finding: &Finding| {
            mistakes.iter().any(|mistake| {
                finding.object == mistake.object
                    && finding.field.segments().starts_with(mistake.field.segments())
            })
        };
        findings.into_iter().filter(|finding| !follows(finding)).collect()
    }

    /// The report with the texts to show; findings in order, each once.
    pub(crate) fn finish(mut self, texts: BTreeMap<Arc<str>, String>) -> Self {
        self.findings.sort_by(Placed::order);
        self.findings.dedup_by(|later, earlier| later.repeats(earlier));
        self.texts = texts;
        self
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
    /// Whether this says no more than `earlier`, which stands before it in order: reading and analysis may find the same.
    fn repeats(&self, earlier: &Self) -> bool {
        let (this, that) = (&self.finding, &earlier.finding);
        self.place == earlier.place
            && (this.code, &this.object, &this.field, &this.message)
                == (that.code, &that.object, &that.field, &that.message)
    }

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
            .then_with(|| other.finding.related.len().cmp(&self.finding.related.len()))
    }
}
