//! How findings look in each of the formats.

use serin_api::load::load;
use serin_api::{
    Code, CodeInfo, FieldPath, Finding, Location, ObjectRef, Position, Severity, Span,
};

use super::report::Report;
use super::{json, sarif, text};
use crate::terminal::{self, Palette};

const ROUTES: &str = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts: [reviews]
  http:
  - route:
    - destination:
        host: reviews
        subset: v22
";

fn object() -> ObjectRef {
    ObjectRef {
        api_version: "networking.istio.io/v1".into(),
        kind: "VirtualService".into(),
        namespace: "default".into(),
        name: "reviews".into(),
    }
}

/// The place of the first occurrence of `needle`.
fn place(file: &str, content: &str, needle: &str) -> Location {
    let start = content.find(needle).unwrap();
    let position = |offset: usize| {
        let before = &content[..offset];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Position {
            line: 1 + before.matches('\n').count(),
            column: 1 + before[line_start..].chars().count(),
            offset,
        }
    };
    Location {
        file: file.into(),
        span: Span { start: position(start), end: position(start + needle.len()) },
    }
}

fn subset_finding() -> Finding {
    let field =
        FieldPath::spec().keys("http").index(0).key("route").index(0).keys("destination.subset");
    Finding::new(
        Code("IST0101"),
        Severity::Error,
        &object(),
        field,
        "no DestinationRule defines the subset v22 of reviews",
    )
    .with_help("did you mean v2?")
    .with_related(&object(), FieldPath::spec().key("hosts"), "the host is this one")
}

fn report(findings: Vec<Finding>) -> Report {
    let loaded = load("routes.yaml", ROUTES, "default");
    let mut report = Report::new(&loaded);
    report.add(findings, &loaded);
    report.finish([("routes.yaml".into(), ROUTES.to_owned())].into())
}

fn shown(report: &Report) -> String {
    let mut out = Vec::new();
    text::write(report, Palette { colors: false }, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_finding_shows_its_lines_its_object_and_its_help() {
    insta::assert_snapshot!(shown(&report(vec![subset_finding()])), @"
    error[IST0101]: no DestinationRule defines the subset v22 of reviews
      --> routes.yaml:11:17
       |
     6 |   hosts: [reviews]
       |   ----- the host is this one
    ...
    11 |         subset: v22
       |                 ^^^
       |
       = in: VirtualService default/reviews, spec.http[0].route[0].destination.subset
       = help: did you mean v2?

    1 error: 1 object in 1 file
    ");
}

#[test]
fn a_finding_without_a_text_names_its_object() {
    let mut finding = subset_finding();
    finding.object = Some(ObjectRef { name: "elsewhere".into(), ..object() });
    finding.field = FieldPath::spec();
    finding.related.clear();
    insta::assert_snapshot!(shown(&report(vec![finding])), @"
    error[IST0101]: no DestinationRule defines the subset v22 of reviews
    --> VirtualService default/elsewhere, spec
     = help: did you mean v2?

    1 error: 1 object in 1 file
    ");
}

#[test]
fn a_value_of_many_lines_is_told_by_its_first() {
    let mut finding = subset_finding();
    finding.related.clear();
    finding.location =
        Some(place("routes.yaml", ROUTES, "route:\n    - destination:\n        host: reviews\n"));
    insta::assert_snapshot!(shown(&report(vec![finding])), @"
    error[IST0101]: no DestinationRule defines the subset v22 of reviews
     --> routes.yaml:8:5
      |
    8 |   - route:
      |     ^^^^^^
      |
      = in: VirtualService default/reviews, spec.http[0].route[0].destination.subset
      = help: did you mean v2?

    1 error: 1 object in 1 file
    ");
}

#[test]
fn no_line_of_a_secret_is_shown() {
    let mut finding = subset_finding();
    finding.object = Some(ObjectRef { kind: "Secret".into(), ..object() });
    finding.location = Some(place("routes.yaml", ROUTES, "v22"));
    let shown = shown(&report(vec![finding]));
    assert!(shown.contains("routes.yaml:11:17"), "{shown}");
    assert!(!shown.contains("subset: v22"), "{shown}");
}

#[test]
fn findings_are_sorted_by_place_and_told_once() {
    let at = |needle: &str| {
        let mut finding =
            Finding::new(Code("SRN0001"), Severity::Warning, &object(), FieldPath::root(), needle);
        finding.location = Some(place("routes.yaml", ROUTES, needle));
        finding
    };
    let report = report(vec![subset_finding(), at("kind"), at("apiVersion"), at("kind")]);
    let messages: Vec<&str> =
        report.findings.iter().map(|placed| placed.finding.message.as_str()).collect();
    assert_eq!(
        messages,
        ["apiVersion", "kind", "no DestinationRule defines the subset v22 of reviews"]
    );
}

#[test]
fn what_follows_from_a_mistake_is_not_told_again() {
    let about = |field: &str, name: &str| {
        let object = ObjectRef { name: name.into(), ..object() };
        Finding::new(
            Code("SRN0001"),
            Severity::Error,
            &object,
            FieldPath::spec().keys(field),
            field,
        )
    };
    let read = report(vec![about("route.destination", "reviews")]);
    let told =
        |field: &str, name: &str| !read.without_consequences(vec![about(field, name)]).is_empty();
    assert!(!told("route.destination", "reviews"));
    assert!(!told("route.destination.host", "reviews"));
    assert!(told("route", "reviews"));
    assert!(told("route.destination.host", "other"));
}

#[test]
fn finding_nothing_is_said() {
    assert_eq!(shown(&report(Vec::new())), "no problems found: 1 object in 1 file\n");
}

#[test]
fn json_has_the_fields_that_scripts_rely_on() {
    let mut out = Vec::new();
    terminal::json(&json::of(&report(vec![subset_finding()])), &mut out).unwrap();
    insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r#"
    {
      "findings": [
        {
          "code": "IST0101",
          "severity": "error",
          "object": {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "namespace": "default",
            "name": "reviews"
          },
          "field": "spec.http[0].route[0].destination.subset",
          "file": "routes.yaml",
          "line": 11,
          "column": 17,
          "end_line": 11,
          "end_column": 20,
          "message": "no DestinationRule defines the subset v22 of reviews",
          "help": "did you mean v2?",
          "related": [
            {
              "object": {
                "apiVersion": "networking.istio.io/v1",
                "kind": "VirtualService",
                "namespace": "default",
                "name": "reviews"
              },
              "field": "spec.hosts",
              "file": "routes.yaml",
              "line": 6,
              "column": 3,
              "end_line": 6,
              "end_column": 8,
              "message": "the host is this one"
            }
          ]
        }
      ]
    }
    "#);
}

const RULE: CodeInfo = CodeInfo {
    code: Code("IST0101"),
    severity: Severity::Error,
    name: "ReferencedResourceNotFound",
    summary: "An object names another one that does not exist.",
};

#[test]
fn sarif_names_rule_place_and_object() {
    let mut out = Vec::new();
    sarif::write(&report(vec![subset_finding()]), &[RULE], &mut out).unwrap();
    let log: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(
        (&log["version"], &log["runs"][0]["tool"]["driver"]["name"]),
        (&"2.1.0".into(), &"serin".into())
    );
    insta::assert_snapshot!(pretty(&log["runs"][0]["tool"]["driver"]["rules"]), @r#"
    [
      {
        "id": "IST0101",
        "name": "ReferencedResourceNotFound",
        "shortDescription": {
          "text": "An object names another one that does not exist."
        },
        "defaultConfiguration": {
          "level": "error"
        }
      }
    ]
    "#);
    insta::assert_snapshot!(pretty(&log["runs"][0]["results"]), @r#"
    [
      {
        "ruleId": "IST0101",
        "level": "error",
        "message": {
          "text": "no DestinationRule defines the subset v22 of reviews\nHelp: did you mean v2?"
        },
        "locations": [
          {
            "physicalLocation": {
              "artifactLocation": {
                "uri": "routes.yaml"
              },
              "region": {
                "startLine": 11,
                "startColumn": 17,
                "endLine": 11,
                "endColumn": 20
              }
            },
            "logicalLocations": [
              {
                "fullyQualifiedName": "VirtualService default/reviews: spec.http[0].route[0].destination.subset",
                "kind": "object"
              }
            ]
          }
        ],
        "ruleIndex": 0,
        "relatedLocations": [
          {
            "physicalLocation": {
              "artifactLocation": {
                "uri": "routes.yaml"
              },
              "region": {
                "startLine": 6,
                "startColumn": 3,
                "endLine": 6,
                "endColumn": 8
              }
            },
            "message": {
              "text": "the host is this one"
            }
          }
        ]
      }
    ]
    "#);
}

fn pretty(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}
