//! Which objects a request means: by label and by field.

use serde_json::Value;
use serin_objects::selector::{Fields, Labels};
use serin_objects::{Resource, Status};

use super::answer;
use crate::http::query::Query;
use crate::store::Object;

/// What the selectors of a request say.
pub(super) struct Selection {
    labels: Labels,
    fields: Fields,
    /// The name in the path, of a watch of one object.
    name: Option<String>,
}

impl Selection {
    pub(super) fn read(
        resource: &Resource,
        query: &Query,
        name: Option<&str>,
    ) -> Result<Self, Status> {
        let labels = Labels::parse(query.text("labelSelector").unwrap_or_default());
        let fields = Fields::parse(query.text("fieldSelector").unwrap_or_default());
        let (labels, fields) = match (labels, fields) {
            (Ok(labels), Ok(fields)) => (labels, fields),
            (Err(problem), _) | (_, Err(problem)) => return Err(Status::bad_request(problem)),
        };
        fields.check(resource).map_err(Status::bad_request)?;
        Ok(Self { labels, fields, name: name.map(str::to_owned) })
    }

    /// Whether every object is meant.
    pub(super) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty() && self.name.is_none()
    }

    /// Whether an object of the store fits. It is read as a whole only where more than labels and its name are asked for.
    pub(super) fn fits(&self, resource: &Resource, key: &str, object: &Object) -> bool {
        let (namespace, name) = key.split_once('/').unwrap_or(("", key));
        if self.name.as_deref().is_some_and(|wanted| wanted != name) {
            return false;
        }
        let by_name = self.fields.matches_name(namespace, name);
        if by_name == Some(false)
            || !self.labels.is_empty() && !self.labels.matches(&object.labels())
        {
            return false;
        }
        by_name.unwrap_or_else(|| self.fields.matches(&answer::shown(resource, object)))
    }

    pub(super) fn matches(&self, object: &Value) -> bool {
        self.name.as_ref().is_none_or(|name| object["metadata"]["name"] == name.as_str())
            && self.labels.matches_object(object)
            && self.fields.matches(object)
    }
}
