//! Definitions of custom resources, and policies of admission.

use serde_json::json;

use super::*;

/// What is wrong with a definition of one version, below its schema.
fn definition(version: Value, schema: Value) -> Vec<String> {
    let mut whole = json!({"name": "v1", "served": true, "storage": true,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": schema}}}});
    for (name, value) in version.as_object().unwrap() {
        whole[name] = value.clone();
    }
    let object = json!({"metadata": {"name": "as.x.io"}, "spec": {"group": "x.io", "scope": "Cluster",
        "names": {"plural": "as", "kind": "A"}, "versions": [whole]}});
    let at = "spec.versions[0].";
    let errors = wrong("apiextensions.k8s.io", "customresourcedefinitions", object);
    errors
        .iter()
        .map(|it| it.strip_prefix(at).unwrap_or(it))
        .map(|it| it.replace("schema.openAPIV3Schema.properties[spec].", ""))
        .collect()
}

fn schema(schema: Value, expect: &[&str]) {
    assert_eq!(definition(json!({}), schema.clone()), expect, "{schema}");
}

#[test]
fn schemas_cannot_say_all_that_openapi_can() {
    let any = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    schema(any, &[]);
    schema(
        json!({"type": "object", "$ref": "#/x", "properties": {"a": {"type": "string"}},
            "additionalProperties": {"type": "string"}}),
        &[
            "$ref: Forbidden: $ref is not supported",
            "additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive",
        ],
    );
    schema(
        json!({"type": "string", "x-kubernetes-map-type": "atomic"}),
        &["type: Invalid value: \"string\": must be object if x-kubernetes-map-type is specified"],
    );
}

#[test]
fn selectable_fields_are_scalars_of_the_schema() {
    let any =
        json!({"type": "object", "properties": {"a": {"type": "string"}, "l": {"type": "object"}}});
    let of = |paths: &[&str]| {
        let fields: Vec<Value> = paths.iter().map(|it| json!({"jsonPath": it})).collect();
        definition(json!({"selectableFields": fields}), any.clone())
    };
    assert!(of(&[".spec.a"]).is_empty());
    assert_eq!(
        of(&[".spec.b", ".spec.l", ".spec.a", ".spec.a"]),
        [
            "selectableFields[0].jsonPath: Invalid value: \".spec.b\": is an invalid path: does not refer to a valid field",
            "selectableFields[1]: Invalid value: \".spec.l\": must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.",
            "selectableFields[3]: Duplicate value: \".spec.a\"",
        ]
    );
    assert_eq!(
        definition(json!({"deprecationWarning": "old"}), any),
        ["deprecationWarning: Invalid value: \"old\": can only be set for deprecated versions"]
    );
}

/// What is wrong with a rule on an object of a text `a`, a number `n` and a switch `b`.
fn rule(rule: Value, expect: &[&str]) {
    let schema = json!({"type": "object", "x-kubernetes-validations": [rule], "properties":
        {"a": {"type": "string"}, "n": {"type": "integer"}, "b": {"type": "boolean"}}});
    let found: Vec<String> = definition(json!({}), schema)
        .iter()
        .map(|it| it.replace("x-kubernetes-validations[0].", ""))
        // The rule itself is shown with all its parts.
        .map(|it| match (it.find('{'), it.find("}: ")) {
            (Some(start), Some(end)) => format!("{}…{}", &it[..start], &it[end + 1..]),
            _ => it,
        })
        .collect();
    assert_eq!(found, expect, "{rule}");
}

#[test]
fn rules_are_conditions_over_fields_that_fit() {
    rule(json!({"rule": "self.b && self.n > 1"}), &[]);
    rule(json!({"rule": "self.b"}), &[]);
    rule(
        json!({"rule": "has(self.a) ? self.a == 'x' : true", "messageExpression": "'a is ' + self.a"}),
        &[],
    );
    rule(
        json!({"rule": "self.n"}),
        &["rule: Invalid value: …: cel expression must evaluate to a bool"],
    );
    rule(
        json!({"rule": "self.n == 'a'"}),
        &[
            "rule: Invalid value: …: compilation failed: ERROR: <input>:1:8: found no matching overload for '_==_' applied to '(int, string)'\n | self.n == 'a'\n | .......^",
        ],
    );
    rule(
        json!({"rule": "self.b", "messageExpression": "self.n"}),
        &["messageExpression: Invalid value: …: messageExpression must evaluate to a string"],
    );
}

#[test]
fn what_stands_beside_a_rule_is_looked_at() {
    rule(
        json!({"rule": "self.b", "reason": "Odd", "fieldPath": ".c", "message": " "}),
        &[
            "message: Invalid value: \" \": message must be non-empty if specified",
            "reason: Unsupported value: \"Odd\": supported values: \"FieldValueDuplicate\", \"FieldValueForbidden\", \"FieldValueInvalid\", \"FieldValueRequired\"",
            "fieldPath: Invalid value: \".c\": fieldPath must be a valid path",
        ],
    );
    rule(
        json!({"rule": "self.b\n&& self.b"}),
        &["message: Required value: message must be specified if rule contains line breaks"],
    );
}

fn policy(spec: Value, expect: &[&str]) {
    let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["pods"]});
    let mut object = json!({"spec": {"matchConstraints": {"resourceRules": [rule]}}});
    for (name, value) in spec.as_object().unwrap() {
        object["spec"][name] = value.clone();
    }
    let found = wrong("admissionregistration.k8s.io", "validatingadmissionpolicies", object);
    assert_eq!(found, expect, "{spec}");
}

#[test]
fn expressions_of_policies_come_to_what_is_asked_for() {
    policy(
        json!({"validations": [{"expression": "object.spec.x == 'a' && request.operation == 'CREATE'",
            "messageExpression": "'no ' + string(object.spec.x)", "reason": "Forbidden"}],
            "variables": [{"name": "v", "expression": "size('a')"}],
            "auditAnnotations": [{"key": "k", "valueExpression": "'x'"}]}),
        &[],
    );
    policy(
        json!({"validations": [{"expression": "variables.v", "messageExpression": "1", "reason": "Odd"},
                {"expression": "object.spec.x"}],
            "variables": [{"name": "v", "expression": "size('a')"}, {"name": "1a", "expression": ""}],
            "matchConditions": [{"name": "c", "expression": "'x'"}],
            "auditAnnotations": [{"key": "k", "valueExpression": "true"}]}),
        &[
            "spec.matchConditions[0].expression: Invalid value: \"'x'\": must evaluate to bool but got string",
            "spec.variables[1].name: Invalid value: \"1a\": name is not a valid CEL identifier",
            "spec.variables[1].expression: Required value: expression is not specified",
            "spec.validations[0].expression: Invalid value: \"variables.v\": must evaluate to bool but got int",
            "spec.validations[0].messageExpression: Invalid value: \"1\": must evaluate to string but got int",
            "spec.validations[0].reason: Unsupported value: \"Odd\": supported values: \"Forbidden\", \"Invalid\", \"RequestEntityTooLarge\", \"Unauthorized\"",
            "spec.validations[1].expression: Invalid value: \"object.spec.x\": must evaluate to bool but got dyn",
            "spec.auditAnnotations[0].valueExpression: Invalid value: \"true\": must evaluate to one of [string null_type] but got bool",
        ],
    );
    policy(
        json!({}),
        &[
            "spec.validations: Required value: validations or auditAnnotations must contain at least one item",
            "spec.auditAnnotations: Required value: validations or auditAnnotations must contain at least one item",
        ],
    );
}
