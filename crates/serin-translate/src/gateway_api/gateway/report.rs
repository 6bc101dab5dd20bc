//! Statuses of Gateways and ListenerSets.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use serin_api::Object;
use serin_api::gateway_api::{FrontendValidationMode, Gateway};

use super::{GatewayDraft, Listeners, SetDraft, SetVerdict};
use crate::gateway_api::address::{self, Binding};
use crate::gateway_api::condition::{Condition, Refusal};
use crate::gateway_api::listener::Verdict;
use crate::gateway_api::parent::{Owner, ParentKind};
use crate::gateway_api::route::Routes;
use crate::gateway_api::status::Outcome;
use crate::gateway_api::world::World;
use crate::gateway_api::{notice, tls};

/// Lists of a status that are empty are left out.
fn set_list(status: &mut Map<String, Value>, key: &str, list: Vec<Value>) {
    if list.is_empty() {
        status.remove(key);
    } else {
        status.insert(key.to_owned(), Value::Array(list));
    }
}

fn resource_accepted() -> Condition {
    Condition::holds("Accepted", "Accepted", "Resource accepted")
}

/// A Gateway of another control plane: its addresses are known, and that is all.
pub(super) fn remote(world: &World<'_>, object: &Object<Gateway>, outcome: &mut Outcome) {
    let conditions = vec![
        resource_accepted(),
        Condition::holds(
            "Programmed",
            "Programmed",
            "This Gateway is remote; Istio will not program it",
        ),
    ];
    let conditions = world.report(&object.meta).merge(&object.status["conditions"], conditions);
    outcome.status(object, |status| {
        set_list(status, "addresses", object.spec.addresses.iter().map(|it| json!(it)).collect());
        status.remove("listeners");
        status.insert("conditions".to_owned(), conditions);
    });
}

impl GatewayDraft<'_> {
    pub(super) fn report(self, world: &World<'_>, routes: &Routes, outcome: &mut Outcome) {
        let object = self.object;
        let ports = self.listeners.ports.union(&self.added_ports).copied().collect();
        let binding = address::bind(world, &object.meta.namespace, &self.services.hosts, &ports);
        let owner = Owner { kind: ParentKind::Gateway, meta: &object.meta };
        let conditions = self.conditions(world, &owner, &binding);
        // A service that a controller makes for the Gateway follows it; nobody needs to be told.
        let is_told = |it: &&Condition| it.kind != "Programmed" || self.services.account.is_empty();
        let told = conditions.iter().filter(is_told);
        notice::of_gateway(&object.reference(), told, &self.listeners.verdicts, outcome);
        let report = world.report(&object.meta);
        let listeners = self.listeners.write(world, &owner, routes, &object.status);
        let conditions = report.merge(&object.status["conditions"], conditions);
        let addresses = binding.addresses(object, self.class);
        outcome.status(object, |status| {
            // An address that was once reported stays until there is another.
            if !addresses.is_empty() {
                status.insert("addresses".to_owned(), Value::Array(addresses));
            }
            if self.attached_sets > 0 {
                status.insert("attachedListenerSets".to_owned(), json!(self.attached_sets));
            } else {
                status.remove("attachedListenerSets");
            }
            set_list(status, "listeners", listeners);
            status.insert("conditions".to_owned(), conditions);
        });
    }

    fn conditions(
        &self,
        world: &World<'_>,
        owner: &Owner<'_>,
        binding: &Binding,
    ) -> Vec<Condition> {
        let all = self.object.spec.listeners.len();
        let accepted = match (&self.services.refusal, self.listeners.valid) {
            (Some(refusal), _) => resource_accepted().unless(Some(refusal)),
            (None, 0) if all > 0 => Condition::fails(
                "Accepted",
                "ListenersNotValid",
                "None of the Gateway's listeners are valid",
            ),
            (None, valid) if valid < all => Condition::holds(
                "Accepted",
                "ListenersNotValid",
                "One or more of the Gateway's listeners are invalid",
            ),
            (None, _) => resource_accepted(),
        };
        let mut conditions = vec![
            accepted,
            binding.programmed(&self.services.hosts),
            Condition::holds("ResolvedRefs", "ResolvedRefs", "All references resolved")
                .unless(client_certificate(world, owner, &self.object.spec).as_ref()),
        ];
        if accepts_any_client(&self.object.spec) {
            let message = "Clients without a valid certificate are accepted";
            conditions.push(Condition::holds(
                "InsecureFrontendValidationMode",
                "ConfigurationChanged",
                message,
            ));
        }
        conditions
    }
}

fn client_certificate(world: &World<'_>, owner: &Owner<'_>, gateway: &Gateway) -> Option<Refusal> {
    let reference = gateway.tls.as_ref()?.backend.as_ref()?.client_certificate_ref.as_ref()?;
    tls::check_client_certificate(world, owner, reference).err()
}

fn accepts_any_client(gateway: &Gateway) -> bool {
    let Some(frontend) = gateway.tls.as_ref().and_then(|it| it.frontend.as_ref()) else {
        return false;
    };
    let of_ports = frontend.per_port.iter().filter_map(|it| it.tls.as_ref());
    let all = frontend.default.iter().chain(of_ports).filter_map(|it| it.validation.as_ref());
    all.into_iter().any(|it| it.mode == FrontendValidationMode::AllowInsecureFallback)
}

impl Listeners {
    /// The entries of the status of their object, which is `status` so far.
    fn write(
        &self,
        world: &World<'_>,
        owner: &Owner<'_>,
        routes: &Routes,
        status: &Value,
    ) -> Vec<Value> {
        let (report, key) = (world.report(owner.meta), owner.key());
        let write = |verdict: &Verdict| {
            let attached = routes.attached.get(&(key.clone(), verdict.name.clone()));
            verdict.write(report, &status["listeners"], attached.map_or(0, BTreeSet::len))
        };
        self.verdicts.iter().map(write).collect()
    }
}

impl SetDraft<'_> {
    pub(super) fn report(self, world: &World<'_>, routes: &Routes, outcome: &mut Outcome) {
        let Self { set, verdict } = self;
        let (conditions, listeners) = match verdict {
            SetVerdict::Unsupported(class) => (
                not_allowed(format!("The {class:?} GatewayClass does not support ListenerSet")),
                Vec::new(),
            ),
            SetVerdict::NotAllowed => {
                let message = "The parent Gateway does not allow this reference; check the 'spec.allowedRoutes'";
                (not_allowed(message.to_owned()), Vec::new())
            }
            SetVerdict::Attached { gateway, class, listeners } => {
                let services = address::services(gateway, class, world.input.domain);
                let binding = address::bind(
                    world,
                    &gateway.meta.namespace,
                    &services.hosts,
                    &listeners.ports,
                );
                let conditions = attached(&services, &binding, &listeners);
                let written = listeners.write(world, &set.owner(), routes, set.status);
                notice::of_listener_set(&set.object, &listeners.verdicts, outcome);
                (conditions, written)
            }
        };
        notice::of_conditions(&set.object, &conditions, outcome);
        let conditions = world.report(set.meta).merge(&set.status["conditions"], conditions);
        outcome.push(set.object, set.status, |status: &mut Map<String, Value>| {
            set_list(status, "listeners", listeners);
            status.insert("conditions".to_owned(), conditions);
        });
    }
}

fn not_allowed(message: String) -> Vec<Condition> {
    vec![
        Condition::fails("Accepted", "NotAllowed", message.clone()),
        Condition::fails("Programmed", "NotAllowed", message),
    ]
}

fn attached(
    services: &address::Services,
    binding: &Binding,
    listeners: &Listeners,
) -> Vec<Condition> {
    let message = "None of the ListenerSet's listeners are valid";
    let invalid = (listeners.valid == 0).then(|| Refusal::new("ListenersNotValid", message));
    let parent = services.refusal.as_ref();
    let parent =
        parent.map(|it| Refusal::new(it.reason, format!("Parent not accepted: {}", it.message)));
    vec![
        resource_accepted().unless(parent.as_ref().or(invalid.as_ref())),
        binding.programmed(&services.hosts).unless(invalid.as_ref()),
    ]
}
