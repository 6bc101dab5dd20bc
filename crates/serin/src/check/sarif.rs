//! Findings as SARIF 2.1.0 (OASIS, Static Analysis Results Interchange Format), which code scanning services read.

use std::io::Write;

use serde_json::{Value, json};
use serin_api::{CodeInfo, Finding, Location, Severity};

use super::report::{Placed, Report};
use crate::terminal;

/// Writes the findings as one run. Every known code is a rule, whether it was found or not.
pub(super) fn write(
    report: &Report,
    rules: &[CodeInfo],
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let results: Vec<Value> = report.findings.iter().map(|placed| result(placed, rules)).collect();
    let log = json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {
                "driver": {
                    "name": "serin",
                    "semanticVersion": env!("CARGO_PKG_VERSION"),
                    "informationUri": env!("CARGO_PKG_REPOSITORY"),
                    "rules": rules.iter().map(rule).collect::<Vec<_>>(),
                }
            },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    terminal::json(&log, out)
}

fn rule(info: &CodeInfo) -> Value {
    json!({
        "id": info.code.0,
        "name": info.name,
        "shortDescription": { "text": info.summary },
        "defaultConfiguration": { "level": level(info.severity) },
    })
}

fn result(placed: &Placed, rules: &[CodeInfo]) -> Value {
    let Placed { finding, place, related } = placed;
    let mut result = json!({
        "ruleId": finding.code.0,
        "level": level(finding.severity),
        "message": { "text": message(finding) },
        "locations": [location(place.as_ref(), finding)],
    });
    if let Some(index) = rules.iter().position(|rule| rule.code == finding.code) {
        result["ruleIndex"] = index.into();
    }
    let related: Vec<Value> = finding
        .related
        .iter()
        .zip(related)
        .filter_map(|(related, place)| {
            let physical = physical(place.as_ref()?);
            Some(json!({ "physicalLocation": physical, "message": { "text": related.label } }))
        })
        .collect();
    if !related.is_empty() {
        result["relatedLocations"] = related.into();
    }
    result
}

fn message(finding: &Finding) -> String {
    match &finding.help {
        Some(help) => format!("{}\nHelp: {help}", finding.message),
        None => finding.message.clone(),
    }
}

fn location(place: Option<&Location>, finding: &Finding) -> Value {
    let mut location = json!({});
    if let Some(place) = place {
        location["physicalLocation"] = physical(place);
    }
    if let Some(object) = &finding.object {
        let name = if finding.field.is_root() {
            object.to_string()
        } else {
            format!("{object}: {}", finding.field)
        };
        location["logicalLocations"] = json!([{ "fullyQualifiedName": name, "kind": "object" }]);
    }
    location
}

fn physical(Location { file, span }: &Location) -> Value {
    json!({
        "artifactLocation": { "uri": uri(file) },
        "region": {
            "startLine": span.start.line,
            "startColumn": span.start.column,
            "endLine": span.end.line,
            "endColumn": span.end.column,
        },
    })
}

/// A file name as a URI reference (RFC 3986), relative unless the name is absolute.
fn uri(file: &str) -> String {
    let mut uri = String::from(if file.starts_with('/') { "file://" } else { "" });
    for byte in file.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte))
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_become_uri_references() {
        assert_eq!(uri("a/b c.yaml"), "a/b%20c.yaml");
        assert_eq!(uri("/srv/é.yaml"), "file:///srv/%C3%A9.yaml");
    }
}
