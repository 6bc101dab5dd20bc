//! The metadata that all objects share.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::Schema;

/// The schema of `metadata` as an API server reads it from a manifest.
pub fn metadata() -> &'static Schema {
    static METADATA: LazyLock<Schema> = LazyLock::new(|| {
        #[expect(clippy::expect_used, reason = "the schema is a constant, which the tests parse")]
        Schema::parse(&description()).expect("the schema of metadata is well-formed")
    });
    &METADATA
}

fn description() -> Value {
    let text = json!({"type": "string", "nullable": true});
    let time = json!({"type": "string", "format": "date-time", "nullable": true});
    let texts =
        json!({"type": "object", "additionalProperties": {"type": "string"}, "nullable": true});
    json!({
        "type": "object",
        "properties": {
            "name": text,
            "generateName": text,
            "namespace": text,
            "selfLink": text,
            "uid": text,
            "resourceVersion": text,
            "generation": {"type": "integer", "nullable": true},
            "creationTimestamp": time,
            "deletionTimestamp": time,
            "deletionGracePeriodSeconds": {"type": "integer", "nullable": true},
            "labels": texts,
            "annotations": texts,
            "ownerReferences": {
                "type": "array",
                "nullable": true,
                "items": {
                    "type": "object",
                    "properties": {
                        "apiVersion": {"type": "string"},
                        "kind": {"type": "string"},
                        "name": {"type": "string"},
                        "uid": {"type": "string"},
                        "controller": {"type": "boolean", "nullable": true},
                        "blockOwnerDeletion": {"type": "boolean", "nullable": true},
                    },
                },
            },
            "finalizers": {"type": "array", "items": {"type": "string"}, "nullable": true},
            "managedFields": {
                "type": "array",
                "nullable": true,
                "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            },
            // Written by old clients and passed over ever since.
            "clusterName": text,
            "initializers": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "nullable": true},
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_texts_and_fields_are_known() {
        let value =
            json!({"name": "x", "labels": {"a": 1}, "anotations": {}, "creationTimestamp": null});
        let errors: Vec<String> =
            metadata().validate(&value, None).iter().map(ToString::to_string).collect();
        assert_eq!(
            errors[0],
            "labels.a: Invalid value: \"integer\": labels.a in body must be of type string: \
                               \"integer\""
        );
        let unknown = metadata().unknown_fields(&value);
        assert_eq!(unknown.len(), 1);
        assert_eq!(unknown[0].similar.as_deref(), Some("annotations"));
    }
}
