//! Findings for people, as a compiler shows them: what, where with the lines and the place underlined, what to do.

use std::io::Write;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serin_api::{Finding, Location, Severity};

use super::report::{Placed, Report};
use crate::terminal::Palette;

/// Related places farther from the finding than this are shown on their own rather than in one picture with it.
const SAME_PICTURE_LINES: usize = 60;

/// Writes all findings and one line that sums up.
pub(crate) fn write(report: &Report, palette: Palette, out: &mut dyn Write) -> anyhow::Result<()> {
    let renderer = if palette.colors { Renderer::styled() } else { Renderer::plain() };
    for placed in &report.findings {
        writeln!(out, "{}\n", renderer.render(&[group(placed, report)]))?;
    }
    writeln!(out, "{}", summary(report, palette))?;
    Ok(())
}

fn group<'a>(placed: &'a Placed, report: &'a Report) -> Group<'a> {
    let Placed { finding, place, .. } = placed;
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Info => Level::INFO,
    };
    let title = level.primary_title(finding.message.as_str()).id(finding.code.0);
    let mut group = match place {
        Some(place) => with_pictures(title, place, placed, report),
        None => Group::with_title(title),
    };
    if let Some(subject) = subject(finding) {
        group = match place {
            Some(_) => group.element(Level::NOTE.with_name("in").message(subject)),
            None => group.element(Origin::path(subject)),
        };
    }
    if let Some(help) = &finding.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    group
}

/// Which object and which of its fields.
fn subject(finding: &Finding) -> Option<String> {
    let object = finding.object.as_ref()?;
    if finding.field.is_root() {
        return Some(object.to_string());
    }
    Some(format!("{object}, {}", finding.field))
}

/// The lines of the finding and of the places that belong to it.
fn with_pictures<'a>(
    title: annotate_snippets::Title<'a>,
    place: &'a Location,
    placed: &'a Placed,
    report: &'a Report,
) -> Group<'a> {
    let hidden = placed.finding.object.as_ref().is_some_and(|object| object.kind == "Secret");
    let Some(text) = report.texts.get(&place.file).filter(|_| !hidden) else {
        let origin = Origin::path(&*place.file)
            .line(place.span.start.line)
            .char_column(place.span.start.column);
        return Group::with_title(title).element(origin);
    };
    let mut picture = Picture::new(place, text);
    let mut others = Vec::new();
    for (related, location) in placed.finding.related.iter().zip(&placed.related) {
        let Some(location) = location else { continue };
        let Some(other_text) = report.texts.get(&location.file) else { continue };
        let near = location.span.start.line.abs_diff(place.span.start.line) <= SAME_PICTURE_LINES;
        if location.file == place.file && near {
            picture.add(location, &related.label);
        } else {
            let mut other = Picture::of(location, other_text);
            other.add(location, &related.label);
            others.push(other);
        }
    }
    let pictures = std::iter::once(picture).chain(others).map(Picture::snippet);
    Group::with_title(title).elements(pictures)
}

/// Some lines of one file with places marked in them.
struct Picture<'a> {
    file: &'a str,
    text: &'a str,
    marks: Vec<(Range<usize>, Option<&'a str>)>,
}

impl<'a> Picture<'a> {
    fn of(location: &'a Location, text: &'a str) -> Self {
        Self { file: &location.file, text, marks: Vec::new() }
    }

    /// The place of a finding. Its mark is the first, without a label: the title says it all.
    fn new(location: &'a Location, text: &'a str) -> Self {
        let mut picture = Self::of(location, text);
        picture.marks.push((first_line(location, text), None));
        picture
    }

    fn add(&mut self, location: &Location, label: &'a str) {
        self.marks.push((first_line(location, self.text), Some(label)));
    }

    /// Only the lines from the first mark to the last are handed over: the renderer reads all that it is given.
    fn snippet(self) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
        let start = self.marks.iter().map(|(range, _)| range.start).min().unwrap_or(0);
        let end = self.marks.iter().map(|(range, _)| range.end).max().unwrap_or(start);
        let start = self.text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let end = self.text[end..].find('\n').map_or(self.text.len(), |newline| end + newline);
        let line = 1 + self.text[..start].matches('\n').count();
        let marks = self.marks.into_iter().map(|(range, label)| {
            let kind =
                if label.is_none() { AnnotationKind::Primary } else { AnnotationKind::Context };
            kind.span(range.start - start..range.end - start).label(label)
        });
        Snippet::source(&self.text[start..end]).path(self.file).line_start(line).annotations(marks)
    }
}

/// The part of a place that is on its first line, as bytes of the text. A value of many lines is told by its beginning.
fn first_line(location: &Location, text: &str) -> Range<usize> {
    let start = floor(text, location.span.start.offset);
    let end = floor(text, location.span.end.offset).max(start);
    let line = text[start..end].split('\n').next().unwrap_or_default();
    start..start + line.trim_end().len()
}

fn floor(text: &str, offset: usize) -> usize {
    (0..=offset.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

fn summary(report: &Report, palette: Palette) -> String {
    let read =
        format!("{} in {}", counted(report.objects, "object"), counted(report.texts.len(), "file"));
    let counts = [
        (report.count(Severity::Error), "error"),
        (report.count(Severity::Warning), "warning"),
        (report.count(Severity::Info), "remark"),
    ];
    let found: Vec<String> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, noun)| {
            let text = counted(count, noun);
            match noun {
                "error" => palette.error(text).to_string(),
                "warning" => palette.warning(text).to_string(),
                _ => text,
            }
        })
        .collect();
    if found.is_empty() {
        return format!("{}: {read}", palette.good("no problems found"));
    }
    format!("{}: {read}", found.join(", "))
}

/// `1 file`, `2 files`.
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
