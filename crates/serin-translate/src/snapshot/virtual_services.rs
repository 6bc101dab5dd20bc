//! VirtualServices by the gateways they are bound to and by who sees them.

use std::collections::HashMap;
use std::sync::Arc;

use serin_api::Finding;

use super::objects::same;
use crate::virtual_service::{GatewayName, ResolvedVirtualService, Semantics};
use crate::visibility::VisibilityIndex;

/// Every VirtualService that is not a delegate.
#[derive(Clone, Debug, Default)]
pub(crate) struct VirtualServices {
    all: Vec<Arc<ResolvedVirtualService>>,
    by_gateway: HashMap<GatewayName, VisibilityIndex<Arc<ResolvedVirtualService>>>,
}

impl VirtualServices {
    /// VirtualServices in Istio's order.
    pub(super) fn new(all: Vec<Arc<ResolvedVirtualService>>) -> Self {
        let mut by_gateway = HashMap::<_, VisibilityIndex<_>>::new();
        for rules in &all {
            for gateway in &rules.gateways {
                let index = by_gateway.entry(gateway.clone()).or_default();
                index.add(Arc::clone(rules), rules.namespace(), &rules.visibility);
            }
        }
        Self { all, by_gateway }
    }

    pub(super) fn is_of(&self, resolved: &[Arc<ResolvedVirtualService>]) -> bool {
        same(&self.all, resolved)
    }

    /// All of them, in Istio's order.
    #[allow(dead_code, reason = "analysis looks at all of them")]
    pub(crate) fn all(&self) -> &[Arc<ResolvedVirtualService>] {
        &self.all
    }

    /// Those bound to `gateway` that proxies of `namespace` see: private ones, those exported by name, and public ones, of
    /// which the Gateway API's routes of the namespace itself go first, so that a consumer can override a producer
    /// (`VirtualServicesForGateway`).
    pub(crate) fn bound_to<'a>(
        &'a self,
        gateway: &GatewayName,
        namespace: &'a str,
    ) -> impl Iterator<Item = &'a Arc<ResolvedVirtualService>> + use<'a> {
        let index = self.by_gateway.get(gateway);
        let is_consumers = move |it: &&Arc<ResolvedVirtualService>| {
            it.semantics == Semantics::Gateway && it.namespace() == namespace
        };
        let narrow = index.into_iter().flat_map(move |it| it.narrow(namespace));
        let consumers = index.into_iter().flat_map(VisibilityIndex::public).filter(is_consumers);
        let others =
            index.into_iter().flat_map(VisibilityIndex::public).filter(move |it| !is_consumers(it));
        narrow.chain(consumers).chain(others)
    }

    /// What was found while names were resolved and delegates merged.
    pub(crate) fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.all.iter().flat_map(|it| &it.findings)
    }
}
