//! VirtualServices by the gateways they are bound to and by who sees them.

use std::collections::HashMap;
use std::sync::Arc;

use serin_api::Finding;

use super::objects::same;
use crate::virtual_service::{GatewayName, Resolved, ResolvedVirtualService, Semantics};
use crate::visibility::VisibilityIndex;

/// Every VirtualService that is not a delegate.
#[derive(Clone, Debug, Default)]
pub(crate) struct VirtualServices {
    all: Resolved,
    bindings: Arc<Bindings>,
}

/// Those bound to each gateway, by who sees them, as places among all.
type Bindings = HashMap<GatewayName, VisibilityIndex<usize>>;

impl VirtualServices {
    /// VirtualServices in Istio's order. What they have in common with `last` is taken from there.
    pub(super) fn next(last: Option<&Arc<Self>>, all: Resolved) -> Arc<Self> {
        if let Some(last) = last
            && same(&last.all, &all)
        {
            return Arc::clone(last);
        }
        let has_same_place = |(one, other): (&Arc<_>, &Arc<_>)| {
            Arc::ptr_eq(one, other) || ResolvedVirtualService::has_same_place(one, other)
        };
        let bindings = match last {
            Some(last)
                if last.all.len() == all.len()
                    && last.all.iter().zip(&*all).all(has_same_place) =>
            {
                Arc::clone(&last.bindings)
            }
            _ => Arc::new(bindings(&all)),
        };
        Arc::new(Self { all, bindings })
    }

    /// Whether the VirtualServices are as in `other`, one by one, but for their rules: they are for the same hosts and gateways
    /// and seen by the same.
    pub(crate) fn differ_in_rules_only(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.bindings, &other.bindings)
    }

    /// All of them, in Istio's order.
    pub(crate) fn all(&self) -> &[Arc<ResolvedVirtualService>] {
        &self.all
    }

    /// The places of those bound to `gateway` that proxies of `namespace` see: private ones, those exported by name, and public
    /// ones, of which the Gateway API's routes of the namespace itself go first, so that a consumer can override a producer
    /// (`VirtualServicesForGateway`).
    pub(crate) fn places_bound_to<'a>(
        &'a self,
        gateway: &GatewayName,
        namespace: &'a str,
    ) -> impl Iterator<Item = usize> + use<'a> {
        let index = self.bindings.get(gateway);
        let is_consumers = move |place: &usize| {
            let it = &self.all[*place];
            it.semantics == Semantics::Gateway && it.namespace() == namespace
        };
        let narrow = index.into_iter().flat_map(move |it| it.narrow(namespace)).copied();
        let public = || index.into_iter().flat_map(VisibilityIndex::public).copied();
        let consumers = public().filter(is_consumers);
        narrow.chain(consumers).chain(public().filter(move |it| !is_consumers(it)))
    }

    /// The same, by themselves.
    pub(crate) fn bound_to<'a>(
        &'a self,
        gateway: &GatewayName,
        namespace: &'a str,
    ) -> impl Iterator<Item = &'a Arc<ResolvedVirtualService>> + use<'a> {
        self.places_bound_to(gateway, namespace).map(|place| &self.all[place])
    }

    /// What was found while names were resolved and delegates merged.
    pub(crate) fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.all.iter().flat_map(|it| &it.findings)
    }
}

fn bindings(all: &[Arc<ResolvedVirtualService>]) -> Bindings {
    let mut bindings = Bindings::new();
    for (place, rules) in all.iter().enumerate() {
        for gateway in &rules.gateways {
            let index = bindings.entry(gateway.clone()).or_default();
            index.add(place, rules.namespace(), &rules.visibility);
        }
    }
    bindings
}
