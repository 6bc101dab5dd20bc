//! What can go wrong when a controller does something: always a request to the API.

use kube::Resource;

use crate::objects::Key;

/// A request that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} {kind} {namespace}/{name}: {}", text(source))]
pub(crate) struct Error {
    verb: &'static str,
    kind: String,
    namespace: String,
    name: String,
    source: kube::Error,
}

impl Error {
    pub(crate) fn new<K: Resource<DynamicType = ()>>(
        verb: &'static str,
        key: &Key,
        source: kube::Error,
    ) -> Self {
        Self::of_kind(verb, &K::kind(&()), key, source)
    }

    pub(crate) fn of_kind(verb: &'static str, kind: &str, key: &Key, source: kube::Error) -> Self {
        Self {
            verb,
            kind: kind.to_owned(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            source,
        }
    }

    /// What the API said, without what was tried.
    pub(crate) fn reason(&self) -> String {
        text(&self.source)
    }

    /// The name that the API gives to what went wrong.
    pub(crate) fn is(&self, reason: &str) -> bool {
        matches!(&self.source, kube::Error::Api(status) if status.reason == reason)
    }

    /// Whether the object is not what it was when the decision was made: the next look decides anew.
    pub(crate) fn is_outdated(&self) -> bool {
        self.is("Conflict") || self.is("NotFound")
    }

    /// Whether the namespace takes nothing new any more.
    pub(crate) fn is_terminating(&self) -> bool {
        let kube::Error::Api(status) = &self.source else { return false };
        let causes = status.details.iter().flat_map(|details| &details.causes);
        causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
            || status.message.contains("because it is being terminated")
    }
}

fn text(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}
