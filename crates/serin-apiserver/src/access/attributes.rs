//! What someone wants to do, and how it is said that they may not.

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

impl Attributes<'_> {
    /// `deployments/scale`, or `deployments`.
    fn combined(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.to_owned()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
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
