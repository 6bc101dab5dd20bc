//! What a path names. The paths of the API are regular and are read by hand.

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// `/`: the list of paths.
    Root,
    /// `/api`: the versions of the core group.
    CoreVersions,
    /// `/apis`: all groups.
    Groups,
    /// `/apis/GROUP`.
    Group(String),
    /// `/api/v1` or `/apis/GROUP/VERSION`: the resources there.
    Resources { group: String, version: String },
    /// Objects.
    Resource(ResourcePath),
    /// `/openapi/v2`.
    OpenApiV2,
    /// `/openapi/v3`: the index.
    OpenApiV3Index,
    /// `/openapi/v3/PATH`: one group version.
    OpenApiV3(String),
    /// `/.well-known/openid-configuration`.
    OpenIdConfiguration,
    /// `/openid/v1/jwks`: the keys that sign tokens.
    Jwks,
    /// `/serin/backup`: a copy of the whole store.
    Backup,
    /// `/version`.
    Version,
    /// `/healthz`, `/livez`, `/readyz`, with what is below them.
    Health { endpoint: String, check: Option<String> },
    /// Nothing that exists.
    Unknown,
}

/// The path of objects: a resource, in a namespace or not, one object or all, itself or a part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResourcePath {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) namespace: Option<String>,
    pub(crate) resource: String,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
    /// The path below a proxy subresource.
    pub(crate) rest: String,
    /// The old form `/api/v1/watch/…`.
    pub(crate) watch: bool,
}

impl Target {
    /// Reads a path, which is still percent-encoded.
    pub(crate) fn parse(path: &str) -> Self {
        let parts: Vec<String> = path
            .split('/')
            .filter(|part| !part.is_empty())
            .map(|part| percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned())
            .collect();
        let words: Vec<&str> = parts.iter().map(String::as_str).collect();
        match words.as_slice() {
            [] => Self::Root,
            ["api"] => Self::CoreVersions,
            ["apis"] => Self::Groups,
            ["apis", group] => Self::Group((*group).into()),
            ["api", version] => {
                Self::Resources { group: String::new(), version: (*version).into() }
            }
            ["apis", group, version] => {
                Self::Resources { group: (*group).into(), version: (*version).into() }
            }
            ["api", version, rest @ ..] => resource("", version, rest),
            ["apis", group, version, rest @ ..] => resource(group, version, rest),
            ["openapi", "v2"] => Self::OpenApiV2,
            ["openapi", "v3"] => Self::OpenApiV3Index,
            ["openapi", "v3", rest @ ..] => Self::OpenApiV3(rest.join("/")),
            [".well-known", "openid-configuration"] => Self::OpenIdConfiguration,
            ["openid", "v1", "jwks"] => Self::Jwks,
            ["serin", "backup"] => Self::Backup,
            ["version"] => Self::Version,
            [endpoint @ ("healthz" | "livez" | "readyz")] => {
                Self::Health { endpoint: (*endpoint).into(), check: None }
            }
            [endpoint @ ("healthz" | "livez" | "readyz"), rest @ ..] => {
                Self::Health { endpoint: (*endpoint).into(), check: Some(rest.join("/")) }
            }
            _ => Self::Unknown,
        }
    }
}

/// What follows the group and version.
fn resource(group: &str, version: &str, mut words: &[&str]) -> Target {
    let mut path =
        ResourcePath { group: group.into(), version: version.into(), ..ResourcePath::default() };
    if let ["watch", rest @ ..] = words {
        path.watch = true;
        words = rest;
    }
    // A namespace is itself a resource: its parts are `status` and `finalize`, everything else stands inside it.
    let words = match words {
        ["namespaces", name, sub @ ("status" | "finalize")] => {
            path.resource = "namespaces".into();
            path.name = Some((*name).into());
            path.subresource = Some((*sub).into());
            return Target::Resource(path);
        }
        ["namespaces", namespace, resource, rest @ ..] => {
            path.namespace = Some((*namespace).into());
            path.resource = (*resource).into();
            rest
        }
        [resource, rest @ ..] => {
            path.resource = (*resource).into();
            rest
        }
        [] => return Target::Unknown,
    };
    match words {
        [] => {}
        [name] => path.name = Some((*name).into()),
        [name, sub, rest @ ..] => {
            path.name = Some((*name).into());
            path.subresource = Some((*sub).into());
            path.rest = rest.join("/");
            if !rest.is_empty() && *sub != "proxy" {
                return Target::Unknown;
            }
        }
    }
    Target::Resource(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expect: &str) {
        let Target::Resource(path) = Target::parse(path) else { panic!("{path} is no resource") };
        let text = format!(
            "{}|{}|{}|{}|{}|{}",
            path.group,
            path.version,
            path.namespace.unwrap_or_default(),
            path.resource,
            path.name.unwrap_or_default(),
            path.subresource.unwrap_or_default()
        );
        assert_eq!(text, expect);
    }

    #[test]
    fn objects_are_found_by_their_path() {
        check("/api/v1/pods", "|v1||pods||");
        check("/api/v1/namespaces", "|v1||namespaces||");
        check("/api/v1/namespaces/a", "|v1||namespaces|a|");
        check("/api/v1/namespaces/a/finalize", "|v1||namespaces|a|finalize");
        check("/api/v1/namespaces/a/pods/b/log", "|v1|a|pods|b|log");
        check("/apis/apps/v1/namespaces/a/deployments/b", "apps|v1|a|deployments|b|");
        check(
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:x",
            "rbac.authorization.k8s.io|v1||clusterroles|system:x|",
        );
        check("/api/v1/namespaces/a/pods/b%3Ac", "|v1|a|pods|b:c|");
    }

    #[test]
    fn everything_else_has_a_name_of_its_own() {
        assert_eq!(Target::parse("/"), Target::Root);
        assert_eq!(Target::parse("/apis/"), Target::Groups);
        assert_eq!(Target::parse("/nothing"), Target::Unknown);
        assert_eq!(Target::parse("/api/v1/namespaces/a/pods/b/log/c"), Target::Unknown);
        assert_eq!(
            Target::parse("/livez/ping"),
            Target::Health { endpoint: "livez".into(), check: Some("ping".into()) }
        );
    }
}
