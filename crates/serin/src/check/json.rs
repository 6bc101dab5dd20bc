//! Findings for scripts. The names of the fields are a contract.

use serde::Serialize;
use serin_api::{Location, ObjectRef, Severity};

use super::report::{Placed, Report};

#[derive(Serialize)]
struct Output<'a> {
    findings: Vec<Item<'a>>,
}

#[derive(Serialize)]
struct Item<'a> {
    code: &'static str,
    severity: Severity,
    object: Option<&'a ObjectRef>,
    field: String,
    #[serde(flatten)]
    place: Place<'a>,
    message: &'a str,
    help: Option<&'a str>,
    related: Vec<RelatedItem<'a>>,
}

#[derive(Serialize)]
struct RelatedItem<'a> {
    object: &'a ObjectRef,
    field: String,
    #[serde(flatten)]
    place: Place<'a>,
    message: &'a str,
}

/// Lines and columns count from 1; the end is the position after the last character.
#[derive(Default, Serialize)]
struct Place<'a> {
    file: Option<&'a str>,
    line: Option<usize>,
    column: Option<usize>,
    end_line: Option<usize>,
    end_column: Option<usize>,
}

impl<'a> From<Option<&'a Location>> for Place<'a> {
    fn from(location: Option<&'a Location>) -> Self {
        location.map_or_else(Self::default, |Location { file, span }| Self {
            file: Some(file),
            line: Some(span.start.line),
            column: Some(span.start.column),
            end_line: Some(span.end.line),
            end_column: Some(span.end.column),
        })
    }
}

impl<'a> From<&'a Placed> for Item<'a> {
    fn from(Placed { finding, place, related }: &'a Placed) -> Self {
        let related = finding.related.iter().zip(related).map(|(related, place)| RelatedItem {
            object: &related.object,
            field: related.field.to_string(),
            place: place.as_ref().into(),
            message: &related.label,
        });
        Self {
            code: finding.code.0,
            severity: finding.severity,
            object: finding.object.as_ref(),
            field: finding.field.to_string(),
            place: place.as_ref().into(),
            message: &finding.message,
            help: finding.help.as_deref(),
            related: related.collect(),
        }
    }
}

/// The findings as one document.
pub(super) fn of(report: &Report) -> impl Serialize {
    Output { findings: report.findings.iter().map(Item::from).collect() }
}
