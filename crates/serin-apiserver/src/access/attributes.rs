//! What someone wants to do, and how it is said that they may not.

use serin_objects::Status;
use serin_objects::status::Details;

/// What someone wants to do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attributes<'a> {
    pub(crate) verb: &'a str,
    /// Empty for things outside of namespaces, and for all namespaces.
    pub(crate) namespace: &'a str,
    pub(crate) group: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) subresource: &'a str,
    pub(crate) name: &'a str,
    /// A path that is no resource; then only the verb counts besides.
    pub(crate) path: Option<&'a str>,
}

impl<'a> Attributes<'a> {
    /// A request for a path that is no resource.
    pub(crate) fn of_path(verb: &'a str, path: &'a str) -> Self {
        Self { verb, path: Some(path), ..Self::default() }
    }

    /// `deployments/scale`, or `deployments`.
    pub(crate) fn combined(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.to_owned()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }

    /// The status of a user who may not do it. `reason` may be empty.
    pub(crate) fn forbidden(&self, user: &str, reason: &str) -> Status {
        let mut refusal = self.refusal(user);
        if !reason.is_empty() {
            refusal = format!("{refusal}: {reason}");
        }
        if self.path.is_some() {
            let message = format!("forbidden: {refusal}");
            return Status::new(403, "Forbidden", message).with(Details::default());
        }
        let group_resource = if self.group.is_empty() {
            self.resource.to_owned()
        } else {
            format!("{}.{}", self.resource, self.group)
        };
        let message = if self.name.is_empty() {
            format!("{group_resource} is forbidden: {refusal}")
        } else {
            format!("{group_resource} {:?} is forbidden: {refusal}", self.name)
        };
        let details = Details {
            name: self.name.to_owned(),
            group: self.group.to_owned(),
            kind: self.resource.to_owned(),
            ..Details::default()
        };
        Status::new(403, "Forbidden", message).with(details)
    }

    /// The sentence after which a user is refused.
    pub(crate) fn refusal(&self, user: &str) -> String {
        if let Some(path) = self.path {
            return format!("User {user:?} cannot {} path {path:?}", self.verb);
        }
        let place = if self.namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace {:?}", self.namespace)
        };
        format!(
            "User {user:?} cannot {} resource {:?} in API group {:?} {place}",
            self.verb,
            self.combined(),
            self.group
        )
    }
}
