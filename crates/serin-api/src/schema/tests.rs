//! What schemas accept, and in which words they refuse.

use serde_json::{Value, json};

use super::*;

#[track_caller]
fn errors(schema: Value, value: Value, expect: &[&str]) {
    let schema = Schema::parse(&schema).unwrap();
    let found: Vec<String> =
        schema.validate(&value, None).iter().map(ToString::to_string).collect();
    assert_eq!(found, expect, "{value}");
}

/// The same for one field `x` of a `spec`.
#[track_caller]
fn field(schema: Value, value: Value, expect: &[&str]) {
    let object = json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {"x": schema}},
    }});
    errors(object, json!({"spec": {"x": value}}), expect);
}

const UNCHECKED: &str = "<nil>: Invalid value: null: some validation rules were not checked because the object was \
                         invalid; correct the existing errors to complete validation";

#[test]
fn types_are_checked_in_the_words_of_kubernetes() {
    field(
        json!({"type": "integer"}),
        json!("string"),
        &[
            "spec.x: Invalid value: \"string\": spec.x in body must be of type integer: \"string\"",
            UNCHECKED,
        ],
    );
    field(
        json!({"type": "object"}),
        Value::Null,
        &[
            "spec.x: Invalid value: \"null\": spec.x in body must be of type object: \"null\"",
            UNCHECKED,
        ],
    );
    field(
        json!({"type": "integer"}),
        json!(1.5),
        &[
            "spec.x: Invalid value: \"number\": spec.x in body must be of type integer: \"number\"",
            UNCHECKED,
        ],
    );
    field(
        json!({"x-kubernetes-int-or-string": true}),
        json!(true),
        &[
            "spec.x: Invalid value: \"boolean\": spec.x in body must be of type integer,string: \"boolean\"",
            UNCHECKED,
        ],
    );
    for (schema, value) in [
        (json!({"type": "number"}), json!(1)),
        (json!({"type": "integer"}), json!(1.0)),
        (json!({"type": "string", "nullable": true, "enum": ["a"]}), Value::Null),
        (json!({"x-kubernetes-int-or-string": true}), json!("50%")),
        (json!({}), json!([1, {"a": null}])),
    ] {
        field(schema, value, &[]);
    }
}

#[test]
fn limits_are_checked_in_the_words_of_kubernetes() {
    let text = |limit: Value, value: &str, expect: &[&str]| {
        let mut schema = limit;
        schema["type"] = json!("string");
        field(schema, json!(value), expect);
    };
    text(
        json!({"minLength": 1}),
        "",
        &["spec.x: Invalid value: \"\": spec.x in body should be at least 1 chars long"],
    );
    text(
        json!({"maxLength": 2}),
        "äöü",
        &["spec.x: Too long: may not be more than 2 bytes", UNCHECKED],
    );
    text(json!({"maxLength": 2}), "äö", &[]);
    text(
        json!({"pattern": "^a+$"}),
        "ab",
        &["spec.x: Invalid value: \"ab\": spec.x in body should match '^a+$'"],
    );
    text(
        json!({"format": "date-time"}),
        "x",
        &["spec.x: Invalid value: \"x\": spec.x in body must be of type date-time: \"x\""],
    );
    text(
        json!({"enum": ["red", "green"]}),
        "blue",
        &["spec.x: Unsupported value: \"blue\": supported values: \"red\", \"green\"", UNCHECKED],
    );
    let number = |limit: Value, value: f64, expect: &[&str]| {
        let mut schema = limit;
        schema["type"] = json!("number");
        field(schema, json!(value), expect);
    };
    number(
        json!({"minimum": 0}),
        -1.5,
        &["spec.x: Invalid value: -1.5: spec.x in body should be greater than or equal to 0"],
    );
    number(
        json!({"maximum": 10}),
        30.0,
        &["spec.x: Invalid value: 30: spec.x in body should be less than or equal to 10"],
    );
    number(
        json!({"maximum": 4294967295u32, "exclusiveMaximum": true}),
        4294967295.0,
        &[
            "spec.x: Invalid value: 4.294967295e+09: spec.x in body should be less than 4.294967295e+09",
        ],
    );
    number(
        json!({"multipleOf": 0.5}),
        0.75,
        &["spec.x: Invalid value: 0.75: spec.x in body should be a multiple of 0.5"],
    );
    field(
        json!({"type": "array", "maxItems": 1}),
        json!([1, 2]),
        &["spec.x: Too many: 2: must have at most 1 item", UNCHECKED],
    );
    field(
        json!({"type": "array", "minItems": 1}),
        json!([]),
        &["spec.x: Invalid value: 0: spec.x in body should have at least 1 items"],
    );
    field(
        json!({"type": "object", "maxProperties": 1}),
        json!({"a": 1, "b": 2}),
        &["spec.x: Too many: 2: must have at most 1 item", UNCHECKED],
    );
    field(
        json!({"type": "object", "minProperties": 1}),
        json!({}),
        &["spec.x: Invalid value: 0: spec.x in body should have at least 1 properties"],
    );
}

#[test]
fn all_errors_are_told_with_their_paths() {
    let schema = json!({
        "type": "object",
        "required": ["spec"],
        "properties": {"spec": {
            "type": "object",
            "required": ["hosts"],
            "properties": {
                "hosts": {"type": "array", "items": {"type": "string"}},
                "http": {"type": "array", "items": {
                    "type": "object",
                    "properties": {"weight": {"type": "integer", "format": "int32"}},
                }},
                "labels": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 3}},
            },
        }},
    });
    errors(schema.clone(), json!({}), &["spec: Required value", UNCHECKED]);
    errors(
        schema,
        json!({"spec": {"http": [{"weight": "x"}, {"weight": 5_000_000_000u64}], "labels": {"a.b/c": "long"}}}),
        &[
            "spec.http[0].weight: Invalid value: \"string\": spec.http[0].weight in body must be of type integer: \
             \"string\"",
            "spec.http[1].weight: Invalid value: 5000000000: spec.http[1].weight in body must be of type int32: \
             5000000000",
            "spec.labels.a.b/c: Too long: may not be more than 3 bytes",
            "spec.hosts: Required value",
            UNCHECKED,
        ],
    );
}

#[test]
fn lists_that_are_sets_or_maps_hold_nothing_twice() {
    field(
        json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}),
        json!(["a", "b", "a"]),
        &["spec.x[2]: Duplicate value: \"a\""],
    );
    let ports = json!({
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["port", "protocol"],
        "items": {"type": "object", "properties": {
            "port": {"type": "integer"},
            "protocol": {"type": "string", "default": "TCP"},
            "name": {"type": "string"},
        }},
    });
    field(ports.clone(), json!([{"port": 1}, {"port": 1, "protocol": "UDP"}]), &[]);
    field(
        ports,
        json!([{"port": 1, "name": "a"}, {"port": 1, "protocol": "TCP"}]),
        &["spec.x[1]: Duplicate value: {\"port\":1,\"protocol\":\"TCP\"}"],
    );
}

#[test]
fn alternatives_are_told_without_a_field() {
    let one = json!({
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
        "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
    });
    field(one.clone(), json!({"a": "1"}), &[]);
    field(
        one.clone(),
        json!({"a": "1", "b": "2"}),
        &[
            "<nil>: Invalid value: \"\": \"spec.x\" must validate one and only one schema (oneOf). Found 2 valid alternatives",
        ],
    );
    field(
        one,
        json!({}),
        &[
            "<nil>: Invalid value: \"\": \"spec.x\" must validate one and only one schema (oneOf). Found none valid",
            "spec.x.a: Required value",
            UNCHECKED,
        ],
    );
    field(
        json!({"type": "string", "not": {"enum": ["x"]}}),
        json!("x"),
        &["<nil>: Invalid value: \"\": \"spec.x\" must not validate the schema (not)"],
    );
    field(
        json!({"anyOf": [{"type": "string"}, {"type": "integer"}]}),
        json!(true),
        &[
            "<nil>: Invalid value: \"\": \"spec.x\" must validate at least one schema (anyOf)",
            "spec.x: Invalid value: \"boolean\": spec.x in body must be of type string: \"boolean\"",
            UNCHECKED,
        ],
    );
}

fn ruled(rules: Value) -> Value {
    json!({
        "type": "object",
        "properties": {
            "min": {"type": "integer"},
            "max": {"type": "integer"},
            "namespace": {"type": "string"},
            "timeout": {"type": "string", "format": "duration"},
            "ratio": {"type": "number"},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        "x-kubernetes-validations": rules,
    })
}

#[test]
fn rules_are_evaluated_with_their_messages() {
    let rule = |rule: &str| json!([{"rule": rule, "message": "no"}]);
    for expression in [
        "self.min <= self.max",
        "!has(self.other)",
        "self.__namespace__ == 'a'",
        "self.timeout < duration('1m')",
        "self.ratio == 2.0",
        "self.labels.all(key, key.size() > 0 && self.labels[key].matches('^\\\\w+$'))",
        "url('https://a.example').getScheme() == 'https' && isURL('http://x')",
        "quantity('1Gi').isGreaterThan(quantity('1M'))",
        "['a', 'b'].exists_one(x, x == self.__namespace__)",
    ] {
        let value = json!({"min": 1, "max": 2, "namespace": "a", "timeout": "5s", "ratio": 2, "labels": {"k/x": "v"}});
        field(ruled(rule(expression)), value, &[]);
    }
    let wrong = json!({"min": 3, "max": 2});
    field(
        ruled(rule("self.min <= self.max")),
        wrong.clone(),
        &["spec.x: Invalid value: \"object\": no"],
    );
    field(
        ruled(json!([{"rule": "self.min <= self.max"}])),
        wrong.clone(),
        &["spec.x: Invalid value: \"object\": failed rule: self.min <= self.max"],
    );
    field(
        ruled(json!([{
            "rule": "self.min <= self.max",
            "messageExpression": "'%d is more than %d'.format([self.min, self.max])",
            "fieldPath": ".min",
            "reason": "FieldValueForbidden",
        }])),
        wrong.clone(),
        &["spec.x.min: Forbidden: 3 is more than 2"],
    );
    field(
        ruled(rule("self.other == 1")),
        wrong,
        &["spec.x: Invalid value: \"object\": no such key: other evaluating rule: no"],
    );
}

#[test]
fn rules_on_changes_need_an_old_value() {
    let parse = |rule: Value| Schema::parse(&ruled(json!([rule]))).unwrap();
    let count = |schema: &Schema, value: Value, old: Option<Value>| {
        schema.validate(&value, old.as_ref()).len()
    };
    let schema = parse(json!({"rule": "self.min >= oldSelf.min"}));
    assert_eq!(count(&schema, json!({"min": 1}), None), 0);
    assert_eq!(count(&schema, json!({"min": 1}), Some(json!({"min": 1}))), 0);
    assert_eq!(count(&schema, json!({"min": 1}), Some(json!({"min": 2}))), 1);
    let schema = parse(
        json!({"rule": "oldSelf.hasValue() ? self.min >= oldSelf.value().min : self.min == 0", "optionalOldSelf": true}),
    );
    assert_eq!(count(&schema, json!({"min": 1}), None), 1);
    assert_eq!(count(&schema, json!({"min": 0}), None), 0);
    assert_eq!(count(&schema, json!({"min": 3}), Some(json!({"min": 2}))), 0);
    // Elements are compared with the element of the same keys.
    let schema = Schema::parse(&json!({
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": {"type": "object", "properties": {"name": {"type": "string"}, "v": {"type": "integer"}},
            "x-kubernetes-validations": [{"rule": "self.v >= oldSelf.v"}]},
    })).unwrap();
    let old = json!([{"name": "a", "v": 1}, {"name": "b", "v": 5}]);
    assert_eq!(count(&schema, json!([{"name": "b", "v": 4}, {"name": "a", "v": 1}]), Some(old)), 1);
}

#[test]
fn rules_are_evaluated_beside_errors_only_when_asked() {
    let schema = Schema::parse(&json!({"type": "object", "properties": {
        "a": {"type": "integer", "x-kubernetes-validations": [{"rule": "self > 0", "message": "positive"}]},
        "b": {"type": "integer"},
    }, "x-kubernetes-validations": [{"rule": "false", "message": "whole"}]})).unwrap();
    let value = json!({"a": 0, "b": "x"});
    let told =
        |errors: Vec<SchemaError>| errors.iter().map(ToString::to_string).collect::<Vec<_>>();
    let wrong_type = "b: Invalid value: \"string\": b in body must be of type integer: \"string\"";
    assert_eq!(told(schema.validate(&value, None)), [wrong_type, UNCHECKED]);
    assert_eq!(
        told(schema.validate_thoroughly(&value, &FieldPath::root())),
        [wrong_type, "a: Invalid value: \"integer\": positive"]
    );
}

fn shop() -> Schema {
    Schema::parse(&json!({
        "type": "object",
        "properties": {
            "spec": {"type": "object", "properties": {
                "hosts": {"type": "array", "items": {"type": "string"}},
                "routes": {"type": "array", "items": {"type": "object", "properties": {
                    "weight": {"type": "integer", "default": 100},
                }}},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                "tls": {"type": "object", "default": {}, "properties": {"mode": {"type": "string", "default": "OFF"}}},
            }},
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        },
    })).unwrap()
}

#[test]
fn unknown_fields_are_named_and_pruned() {
    let mut value = json!({
        "apiVersion": "v1", "kind": "Shop", "metadata": {"name": "x"},
        "spec": {
            "host": ["a"],
            "routes": [{"weight": 1}, {"wieght": 2}],
            "labels": {"any": "thing"},
            "free": {"a": {"b": 1}},
        },
        "status": {"x": 1},
        "extra": 1,
    });
    let schema = shop();
    let unknown = schema.unknown_fields(&value);
    let told: Vec<String> = unknown.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "unknown field \"spec.host\"",
            "unknown field \"spec.routes[1].wieght\"",
            "unknown field \"extra\"",
        ]
    );
    let similar: Vec<_> = unknown.iter().map(|field| field.similar.as_deref()).collect();
    assert_eq!(similar, [Some("hosts"), Some("weight"), None]);
    schema.prune(&mut value);
    assert_eq!(
        value,
        json!({
            "apiVersion": "v1", "kind": "Shop", "metadata": {"name": "x"},
            "spec": {"routes": [{"weight": 1}, {}], "labels": {"any": "thing"}, "free": {"a": {"b": 1}}},
            "status": {"x": 1},
        })
    );
    assert_eq!(schema.unknown_fields(&value), []);
}

#[test]
fn defaults_are_filled_in_from_the_outside_in() {
    let mut value = json!({"spec": {"routes": [{}, {"weight": 0}, {"weight": null}]}});
    shop().apply_defaults(&mut value);
    assert_eq!(
        value,
        json!({"spec": {
            "routes": [{"weight": 100}, {"weight": 0}, {"weight": 100}],
            "tls": {"mode": "OFF"},
        }})
    );
}

#[test]
fn defects_of_schemas_are_told_with_their_place() {
    for (schema, expect) in [
        (
            json!({"properties": {"a": {"type": "text"}}}),
            "properties.a.type: there is no type \"text\"",
        ),
        (json!({"items": 5}), "items: a schema is an object"),
        (json!({"required": "a"}), "required: must be a list"),
    ] {
        assert_eq!(Schema::parse(&schema).unwrap_err().to_string(), expect);
    }
    let defect =
        Schema::parse(&json!({"x-kubernetes-validations": [{"rule": "self."}]})).unwrap_err();
    assert_eq!(defect.field.to_string(), "x-kubernetes-validations[0]");
    let defect = Schema::parse(&json!({"type": "string", "pattern": "("})).unwrap_err();
    assert_eq!(defect.field.to_string(), "pattern");
}

#[test]
fn complicated_rules_need_no_more_stack_than_there_is() {
    let holds = |rule: String| {
        let schema = Schema::parse(
            &json!({"type": "integer", "x-kubernetes-validations": [{"rule": rule}]}),
        );
        schema.map(|schema| schema.validate(&json!(1), None).len())
    };
    let nested = |open: &str, count: usize, close: &str| {
        format!("{}self == 1{}", open.repeat(count), close.repeat(count))
    };
    assert_eq!(holds(nested("(", 40, ")")).ok(), Some(0));
    assert_eq!(holds(format!("{}self == 900", "self+".repeat(899))).ok(), Some(0));
    assert_eq!(holds(format!("{}false", "self == 1 && ".repeat(200))).ok(), Some(1));
    assert!(holds(nested("(", 5000, ")")).is_err());
    assert!(holds("(".repeat(40)).is_err());
    assert!(holds("!".repeat(5000)).is_err());
}
