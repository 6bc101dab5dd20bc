//! The form that objects have in answers: whole, as rows of a table, or their metadata only; JSON or YAML.

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};
use serin_objects::{Resource, convert, table};

use crate::http::accept::{Accept, Encoding, Shape};
use crate::http::{Body, shared};
use crate::server::request::{Call, answer};
use crate::store::Object;

/// The list's own metadata.
pub(super) struct ListMeta {
    pub(super) revision: u64,
    pub(super) more: Option<String>,
    pub(super) remaining: Option<usize>,
}

impl ListMeta {
    fn to_value(&self) -> Value {
        let mut out = json!({"resourceVersion": self.revision.to_string()});
        if let Some(more) = &self.more {
            out["continue"] = json!(more);
        }
        if let Some(remaining) = self.remaining.filter(|count| *count > 0) {
            out["remainingItemCount"] = json!(remaining);
        }
        out
    }
}

/// An object as the resource of a request shows it.
pub(super) fn shown(resource: &Resource, object: &Object) -> Value {
    convert::to_version(resource, object.value())
}

/// The bytes of an object, if they are what a request wants to see.
pub(super) fn as_kept<'o>(call: &Call, object: &'o Object) -> Option<&'o [u8]> {
    let plain = call.accept == Accept { encoding: Encoding::Json, shape: Shape::Whole };
    (plain && object.is_of(&call.resource.api_version())).then(|| object.bytes())
}

/// One object.
pub(super) fn one(call: &Call, code: StatusCode, object: &Value) -> Response<Body> {
    let value = match call.accept.shape {
        Shape::Whole => return encoded(call.accept, code, object),
        Shape::Metadata => partial(object),
        Shape::Table => {
            let meta = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
            rows_of(call, std::slice::from_ref(object), meta, true)
        }
    };
    encoded(call.accept, code, &value)
}

/// One object as it is kept.
pub(super) fn stored(call: &Call, object: &Object) -> Response<Body> {
    if as_kept(call, object).is_some() {
        return answer(StatusCode::OK, "application/json", shared(object.shared()).into());
    }
    one(call, StatusCode::OK, &shown(&call.resource, object))
}

/// Many objects.
pub(super) fn list(call: &Call, objects: Vec<Object>, meta: &ListMeta) -> Response<Body> {
    let resource = &call.resource;
    if call.accept.shape == Shape::Whole && call.accept.encoding == Encoding::Json {
        let head = format!(
            "{{\"kind\":{},\"apiVersion\":{},\"metadata\":{},\"items\":[",
            Value::from(resource.list_kind.as_str()),
            Value::from(resource.api_version()),
            meta.to_value()
        );
        let mut bytes = head.into_bytes();
        bytes.reserve(objects.iter().map(|object| object.bytes().len() + 1).sum::<usize>() + 2);
        for (index, object) in objects.iter().enumerate() {
            if index > 0 {
                bytes.push(b',');
            }
            match as_kept(call, object) {
                Some(kept) => bytes.extend_from_slice(kept),
                None => bytes.extend_from_slice(shown(resource, object).to_string().as_bytes()),
            }
        }
        bytes.extend_from_slice(b"]}");
        return answer(StatusCode::OK, "application/json", bytes.into());
    }
    let objects: Vec<Value> = objects.iter().map(|object| shown(resource, object)).collect();
    let value = match call.accept.shape {
        Shape::Table => rows_of(call, &objects, meta.to_value(), true),
        Shape::Metadata => json!({
            "kind": "PartialObjectMetadataList",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": meta.to_value(),
            "items": objects.iter().map(partial).collect::<Vec<_>>(),
        }),
        Shape::Whole => json!({
            "kind": resource.list_kind,
            "apiVersion": resource.api_version(),
            "metadata": meta.to_value(),
            "items": objects,
        }),
    };
    encoded(call.accept, StatusCode::OK, &value)
}

/// An object as one event of a watch shows it. `first` is the first of the stream, which names the columns.
pub(super) fn event_object(call: &Call, object: Value, first: bool) -> Value {
    match call.accept.shape {
        Shape::Whole => object,
        Shape::Metadata => partial(&object),
        Shape::Table => {
            let meta = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
            rows_of(call, &[object], meta, first)
        }
    }
}

fn partial(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"],
    })
}

fn rows_of(call: &Call, objects: &[Value], meta: Value, with_columns: bool) -> Value {
    let now = Timestamp::now();
    let columns: Vec<Value> = if with_columns {
        table::columns(&call.resource, call.subresource.as_deref())
            .into_iter()
            .map(|column| {
                json!({
                    "name": column.name,
                    "type": column.r#type,
                    "format": column.format,
                    "description": column.description,
                    "priority": column.priority,
                })
            })
            .collect()
    } else {
        Vec::new()
    };
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let mut row = json!({"cells": table::row(&call.resource, call.subresource.as_deref(), object, now)});
            match call.query.text("includeObject") {
                Some("None") => {}
                Some("Object") => row["object"] = object.clone(),
                _ => row["object"] = partial(object),
            }
            row
        })
        .collect();
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": meta,
        "columnDefinitions": columns,
        "rows": rows,
    })
}

fn encoded(accept: Accept, code: StatusCode, value: &Value) -> Response<Body> {
    match accept.encoding {
        Encoding::Json => answer(code, "application/json", Bytes::from(value.to_string()).into()),
        Encoding::Yaml => {
            answer(code, "application/yaml", Bytes::from(serin_api::yaml::write(value)).into())
        }
    }
}

/// Adds warnings, which clients show to their users.
pub(crate) fn with_warnings(mut response: Response<Body>, warnings: &[String]) -> Response<Body> {
    for warning in warnings {
        let quoted: String = warning
            .chars()
            .flat_map(|c| matches!(c, '"' | '\\').then_some('\\').into_iter().chain([c]))
            .filter(|c| !c.is_control())
            .collect();
        if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{quoted}\"").as_bytes()) {
            response.headers_mut().append(HeaderName::from_static("warning"), value);
        }
    }
    response
}
