//! What one proxy executes, in Envoy's vocabulary.
//!
//! A model is immutable; its parts are shared (`Arc`), so that a new version of the model costs only what changed.
//! Names follow Istio's: listeners `0.0.0.0_8080`, route tables `8080` or `http.8080`, virtual hosts
//! `reviews.default.svc.cluster.local:9080`, clusters `outbound|9080|v2|reviews.default.svc.cluster.local`.
//!
//! Matching by [`RouteTable`] as it stands here is linear and obvious; [`crate::index`] compiles it for speed.

mod by_name;
mod cluster;
mod listener;
mod route;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::authorization::{Authorization, Inbounds};

pub use by_name::ByName;
pub use cluster::{
    Cluster, ClusterTls, Discovery, Endpoint, EndpointAddress, EndpointTls, Endpoints, Health,
    Http2KeepAlive, KeepAlive, Locality, LocalityEndpoints, Tls, UpstreamProtocol, UpstreamTlsMode,
    WorkloadIdentity,
};
pub use listener::{
    Bind, CertificateSource, ClientCertificates, Codec, Direction, DownstreamTls, FilterChain,
    FilterChainMatch, HttpConnection, Inspect, Listener, MutualMode, NetworkFilter, TcpProxy,
    TlsVersion, TransportProtocol, Tunnel,
};
pub use route::{
    Abort, AbortStatus, Action, Claim, Cors, Delay, Destination, Destinations, DirectResponse,
    Fault, Forward, HashKey, HashPolicy, HeaderMatch, HeaderOps, HeaderValue, Mirror, Origin,
    PathMatch, PathRedirect, PathRewrite, QueryMatch, Redirect, RedirectPort, Route, RouteMatch,
    RouteTable, ValueMatch, VirtualHost,
};

/// Requests for destinations outside the registry, sent on to where they were meant for.
pub const PASSTHROUGH_CLUSTER: &str = "PassthroughCluster";
/// Connections that are not allowed anywhere.
pub const BLACK_HOLE_CLUSTER: &str = "BlackHoleCluster";
/// Inbound connections to ports that no Service names.
pub const INBOUND_PASSTHROUGH_CLUSTER: &str = "InboundPassthroughCluster";

/// Everything one proxy executes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Model {
    /// Listeners, by name.
    pub listeners: ByName<Listener>,
    /// Route tables, by name.
    pub route_tables: ByName<RouteTable>,
    /// Clusters, by name.
    pub clusters: ByName<Cluster>,
    /// Endpoints of the clusters that have a list of them, by cluster name. Apart from the clusters because they change
    /// more often.
    pub endpoints: ByName<Endpoints>,
    /// Who may do what at the workload's own listeners, where it is a gateway, by their ports.
    pub authorization: BTreeMap<u16, Arc<Authorization>>,
    /// What workloads take that have no proxy of their own: whoever connects to them keeps their rules.
    pub inbounds: Arc<Inbounds>,
}

/// A share in parts per million, the resolution of Envoy's fractions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PerMillion(u32);

impl PerMillion {
    /// All.
    pub const ALL: Self = Self(1_000_000);
    /// None.
    pub const NONE: Self = Self(0);

    /// A share given in percent: cut (not rounded) to the resolution, as Istio does, and to 0–100.
    pub fn from_percent(percent: f64) -> Self {
        let millionths = (percent * 10_000.0).clamp(0.0, 1_000_000.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to 0–1,000,000 above"
        )]
        Self(millionths as u32)
    }

    /// Parts per million.
    pub const fn parts(self) -> u32 {
        self.0
    }

    /// The share in percent.
    pub fn percent(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }
}
