//! The scale of an object: its replicas, as a small object of its own.

use serde_json::{Map, Value, json};

use crate::fields::{FieldError, Path};
use crate::selector::Labels;
use crate::table::JsonPath;
use crate::{Resource, Status};

/// Where the parts of a scale stand in an object.
struct Places {
    wanted: Vec<String>,
    existing: Vec<String>,
    selector: Option<Vec<String>>,
}

fn places(resource: &Resource) -> Option<Places> {
    let path = |text: &str| {
        let path = JsonPath::parse(text).ok()?;
        Some(path.fields()?.into_iter().map(str::to_owned).collect::<Vec<_>>())
    };
    if let Some(definition) = resource.definition() {
        let scale = definition.version(&resource.version)?.scale.as_ref()?;
        return Some(Places {
            wanted: path(&scale.spec_replicas)?,
            existing: path(&scale.status_replicas)?,
            selector: scale.label_selector.as_deref().and_then(path),
        });
    }
    resource.subresource("scale")?;
    Some(Places {
        wanted: texts!["spec", "replicas"],
        existing: texts!["status", "replicas"],
        selector: Some(texts!["spec", "selector"]),
    })
}

fn at<'v>(object: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(object, |value, name| value.get(name))
}

/// A selector as text, whether it is one already, a `LabelSelector` or a map of labels.
fn selector_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Object(map)
            if map.contains_key("matchLabels") || map.contains_key("matchExpressions") =>
        {
            Labels::from_object(value).ok().map(|it| it.to_string())
        }
        Value::Object(_) => Some(Labels::from_map(value).to_string()),
        _ => None,
    }
}

/// The `autoscaling/v1` Scale of an object.
///
/// # Errors
/// The status to answer with where the object has none.
pub fn get(resource: &Resource, object: &Value) -> Result<Value, Status> {
    let places = places(resource).ok_or_else(|| Status::method_not_allowed(resource, "get"))?;
    let mut metadata = Map::new();
    for name in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object["metadata"].get(name) {
            metadata.insert(name.to_owned(), value.clone());
        }
    }
    let number = |path: &[String]| at(object, path).and_then(Value::as_i64);
    let mut spec = Map::new();
    match number(&places.wanted) {
        Some(wanted) if wanted != 0 => {
            spec.insert("replicas".to_owned(), json!(wanted));
        }
        None if resource.is_custom() => {
            let path = places.wanted.join(".");
            return Err(Status::internal(format!(
                "the spec replicas field \".{path}\" does not exist"
            )));
        }
        _ => {}
    }
    let mut status = json!({ "replicas": number(&places.existing).unwrap_or(0) });
    let selector = places.selector.and_then(|path| selector_of(at(object, &path)?));
    if let Some(selector) = selector.filter(|it| !it.is_empty()) {
        status["selector"] = json!(selector);
    }
    Ok(json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": spec,
        "status": status,
    }))
}

/// The object with the replicas that a changed scale asks for, and with the resource version that the scale was read
/// with, if it says so. The next step is [`crate::prepare::update`] with the subresource `scale`.
///
/// # Errors
/// The status to answer with.
pub fn put(resource: &Resource, object: &Value, scale: &Value) -> Result<Value, Status> {
    let places = places(resource).ok_or_else(|| Status::method_not_allowed(resource, "update"))?;
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let body = crate::decode::Body { value: scale.clone(), duplicates: Vec::new() };
    let scale = crate::decode::of_kind(("autoscaling", "v1", "Scale"), body)?;
    let wanted = scale["spec"]["replicas"].as_i64().unwrap_or(0);
    if wanted < 0 {
        let why = "must be greater than or equal to 0";
        let error = FieldError::invalid(&Path::new("spec.replicas"), wanted, why);
        return Err(Status::invalid_kind("autoscaling", "Scale", name, &[error]));
    }
    let mut out = object.clone();
    for field in ["resourceVersion", "uid"] {
        let given = scale["metadata"][field].as_str().unwrap_or_default();
        if !given.is_empty() {
            out["metadata"][field] = json!(given);
        }
    }
    let mut place = &mut out;
    for name in &places.wanted {
        if place.is_null() {
            *place = json!({});
        }
        place = &mut place[name.as_str()];
    }
    *place = json!(wanted);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Catalog;

    #[test]
    fn replicas_are_read_and_written_through_the_scale() {
        let catalog = Catalog::builtin();
        let deployments = catalog.find("apps", "v1", "deployments").unwrap();
        let object = json!({"metadata": {"name": "web"}, "spec": {"replicas": 2, "selector": {"matchLabels": {"a": "b"}}},
            "status": {"replicas": 1}});
        let mut scale = get(deployments, &object).unwrap();
        assert_eq!(scale["spec"], json!({"replicas": 2}));
        assert_eq!(scale["status"], json!({"replicas": 1, "selector": "a=b"}));
        scale["spec"]["replicas"] = json!(5);
        assert_eq!(put(deployments, &object, &scale).unwrap()["spec"]["replicas"], 5);
        scale["spec"]["replicas"] = json!(-1);
        assert_eq!(
            put(deployments, &object, &scale).unwrap_err().message,
            "Scale.autoscaling \"web\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0"
        );
        assert!(get(catalog.find("", "v1", "pods").unwrap(), &object).is_err());
    }
}
