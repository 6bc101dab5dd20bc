//! Names of gateways as VirtualServices write them.

use std::fmt;
use std::sync::Arc;

use serin_api::Object;
use serin_api::networking::Gateway;

/// Where the rules of a VirtualService apply: a Gateway as `namespace/name`, or `mesh`, which is all sidecars.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct GatewayName(Arc<str>);

impl GatewayName {
    const MESH: &'static str = "mesh";

    /// The sidecars of the mesh.
    pub(crate) fn mesh() -> Self {
        Self(Arc::from(Self::MESH))
    }

    /// The name of a Gateway object.
    pub(crate) fn of(gateway: &Object<Gateway>) -> Self {
        Self::new(&gateway.meta.namespace, &gateway.meta.name)
    }

    /// The Gateway `name` of `namespace`.
    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        Self(Arc::from(format!("{namespace}/{name}")))
    }

    /// What `written` means in an object of `namespace`: `namespace/name`, `./name`, a name of the same namespace, or the
    /// old form `name.namespace.svc.cluster.local`, of which only the first two labels count (`resolveGatewayName`).
    pub(crate) fn resolve(written: &str, namespace: &str) -> Self {
        if written == Self::MESH {
            return Self::mesh();
        }
        match written.split_once('/') {
            Some((".", name)) => Self::new(namespace, name),
            Some(_) => Self(Arc::from(written)),
            None => match written.split_once('.') {
                Some((name, rest)) => Self::new(rest.split('.').next().unwrap_or_default(), name),
                None => Self::new(namespace, written),
            },
        }
    }

    /// The name as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GatewayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(written: &str, name: &str) {
        assert_eq!(GatewayName::resolve(written, "here").as_str(), name, "{written}");
    }

    #[test]
    fn gateway_names_are_resolved_in_all_their_forms() {
        check("gw", "here/gw");
        check("there/gw", "there/gw");
        check("./gw", "here/gw");
        check("gw.there.svc.cluster.local", "there/gw");
        check("reviews-gateway.istio-system.svc.cluster.local", "istio-system/reviews-gateway");
        check("gw.there", "there/gw");
        check("mesh", "mesh");
        check("./mesh", "here/mesh");
        check("there/with.dot", "there/with.dot");
    }
}
