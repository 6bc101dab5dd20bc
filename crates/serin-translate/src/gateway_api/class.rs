//! GatewayClasses that Serin answers for, under the names that Istio gives them.

use serde_json::Value;

use super::condition::Condition;
use super::status::Outcome;
use super::world::World;

/// The controller of Gateways at the edge, and of every route's status.
pub(super) const GATEWAY_CONTROLLER: &str = "istio.io/gateway-controller";
/// The controller of waypoints, and of what policies mean inside the mesh.
pub(super) const MESH_CONTROLLER: &str = "istio.io/mesh-controller";
const EAST_WEST_CONTROLLER: &str = "istio.io/eastwest-controller";
const REMOTE_CONTROLLER: &str = "istio.io/unmanaged-gateway";

/// Classes that exist without a GatewayClass object.
const BUILT_IN: [(&str, Class); 4] = [
    ("istio", Class::Edge),
    ("istio-waypoint", Class::Waypoint),
    ("istio-east-west", Class::EastWest),
    ("istio-remote", Class::Remote),
];

/// What kind of proxies serve the Gateways of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Proxies at the edge.
    Edge,
    /// Proxies in the middle of a mesh without sidecars.
    Waypoint,
    /// Proxies between the networks of a mesh without sidecars.
    EastWest,
    /// Proxies that another control plane looks after.
    Remote,
}

impl Class {
    fn of_controller(controller: &str) -> Option<Self> {
        match controller {
            GATEWAY_CONTROLLER => Some(Self::Edge),
            MESH_CONTROLLER => Some(Self::Waypoint),
            EAST_WEST_CONTROLLER => Some(Self::EastWest),
            REMOTE_CONTROLLER => Some(Self::Remote),
            _ => None,
        }
    }

    /// Whether the proxies speak HBONE and take no routes from VirtualServices.
    pub(super) const fn is_tunnel(self) -> bool {
        matches!(self, Self::Waypoint | Self::EastWest)
    }

    /// Whether ListenerSets may add listeners to a Gateway.
    pub(super) const fn takes_listener_sets(self) -> bool {
        matches!(self, Self::Edge)
    }

    /// The name of the deployment and the service made for a Gateway.
    pub(super) fn deployment_name(self, gateway: &str, class_name: &str) -> String {
        if self.is_tunnel() { gateway.to_owned() } else { format!("{gateway}-{class_name}") }
    }

    /// The type of the addresses to report; empty for every type.
    pub(super) const fn address_type(self) -> &'static str {
        if self.is_tunnel() { "" } else { "Hostname" }
    }
}

/// The class that a Gateway names, if Serin answers for it. An object wins over a built-in class of the same name.
pub(super) fn find(world: &World<'_>, name: &str) -> Option<Class> {
    match world.class(name) {
        Some(object) => Class::of_controller(&object.spec.controller_name),
        None => BUILT_IN.iter().find(|(built_in, _)| *built_in == name).map(|(_, class)| *class),
    }
}

/// Accepts the classes that Serin answers for.
pub(super) fn report(world: &World<'_>, outcome: &mut Outcome) {
    for object in &world.input.objects.gateway_classes {
        if Class::of_controller(&object.spec.controller_name).is_some() {
            let accepted = Condition::holds("Accepted", "Accepted", "Handled by Istio controller");
            let conditions =
                world.report(&object.meta).merge(&object.status["conditions"], vec![accepted]);
            outcome.status(object, |status| {
                status.insert("conditions".to_owned(), conditions);
            });
        }
    }
}

/// Whether the status of a parent is kept by one of the controllers that Serin answers for.
pub(super) fn is_own(controller: &Value) -> bool {
    controller == GATEWAY_CONTROLLER || controller == MESH_CONTROLLER
}
