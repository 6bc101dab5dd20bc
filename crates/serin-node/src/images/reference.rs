//! Names of images: registry, repository, and a tag or a digest.

use std::fmt;

/// A name with everything that people leave out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// The registry, with its port if it has one.
    pub registry: String,
    /// The repository.
    pub repository: String,
    /// A tag, or a digest: `sha256:…`.
    pub version: String,
}

/// Where names without a registry are.
const USUAL: &str = "docker.io";

impl Reference {
    /// The full form of a name as manifests write it.
    pub(super) fn new(name: &str) -> Self {
        let (first, rest) = name.split_once('/').unwrap_or(("", name));
        let is_registry = first.contains(['.', ':']) || first == "localhost";
        let (registry, path) = if is_registry { (first, rest) } else { (USUAL, name) };
        let (path, version) = match path.split_once('@') {
            // With a digest, a tag says nothing more.
            Some((path, digest)) => (tag(path).0, Some(digest)),
            None => tag(path),
        };
        let in_library = registry == USUAL && !path.contains('/');
        Self {
            registry: registry.to_owned(),
            repository: if in_library { format!("library/{path}") } else { path.to_owned() },
            version: version.unwrap_or("latest").to_owned(),
        }
    }

    /// Whether it names what it is by its content, which never changes.
    pub(super) fn is_digest(&self) -> bool {
        self.version.contains(':')
    }

    /// The host that serves it.
    pub(super) fn host(&self) -> String {
        // The usual registry is not served by the host that it is called by.
        if self.registry == USUAL { format!("registry-1.{USUAL}") } else { self.registry.clone() }
    }
}

/// A path without its tag, and the tag.
fn tag(path: &str) -> (&str, Option<&str>) {
    match path.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (path, None),
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.is_digest() { '@' } else { ':' };
        write!(f, "{}/{}{mark}{}", self.registry, self.repository, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_added() {
        let check = |name: &str, expect: &str| {
            assert_eq!(Reference::new(name).to_string(), expect, "{name}");
        };
        check("nginx", "docker.io/library/nginx:latest");
        check("istio/reviews:v1", "docker.io/istio/reviews:v1");
        check("docker.io/istio/reviews:v1", "docker.io/istio/reviews:v1");
        check("docker.io/nginx", "docker.io/library/nginx:latest");
        check("localhost:5000/a/b", "localhost:5000/a/b:latest");
        check("localhost/a", "localhost/a:latest");
        check("example.com/x@sha256:00", "example.com/x@sha256:00");
        check("example.com:80/x:1@sha256:00", "example.com:80/x@sha256:00");
    }
}
