//! The web dashboard: services and the traffic between them, releases, routing, objects and requests, live.
//!
//! Pages are made here, as HTML for people and as JSON for scripts ([`page`](self)); a browser gets them again over server-sent events
//! whenever they have changed, and one small script swaps what is different. Objects come through a `kube::Client`, everything else
//! through the trait [`Mesh`], so that the same dashboard serves a mesh of any make. What only the dashboard knows is the last hour of
//! each release, for charts. It decides nothing: a command to a release is an annotation, as `serin canary` leaves it.

mod access;
mod answer;
mod assets;
mod commands;
mod events;
mod explain;
mod findings;
mod history;
mod layout;
mod mesh;
mod objects;
mod objects_page;
mod overview;
mod page;
mod parts;
mod problems;
mod release_page;
mod releases;
mod requests;
mod routing;
mod server;
mod services;
mod traffic;
mod world;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::JoinSet;

pub use access::token as fresh_token;
pub use mesh::{Asked, Explained, Live, Mesh, Question, Request, Rule, Sender};

use crate::access::Access;
use crate::world::World;

/// How the dashboard is served.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen; port 0 takes one that is free.
    pub address: SocketAddr,
    /// Windows that may follow a page at the same time.
    pub followers: usize,
    /// The secret that lets in whoever has it; `None` makes one.
    pub token: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { address: SocketAddr::from(([127, 0, 0, 1], PORT)), followers: 32, token: None }
    }
}

/// The port where nothing else is said.
pub const PORT: u16 = 15080;

/// Why there is no dashboard.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen at {address} for the dashboard: {source}")]
pub struct OpenError {
    /// The address.
    pub address: SocketAddr,
    /// What the operating system said.
    pub source: std::io::Error,
}

/// A dashboard that is served until it is dropped.
#[derive(Debug)]
pub struct Dashboard {
    address: SocketAddr,
    token: String,
    /// Dropped with this, which ends them.
    _tasks: JoinSet<()>,
}

impl Dashboard {
    /// Opens the socket and serves on the present tokio runtime.
    ///
    /// # Errors
    /// The address cannot be had.
    pub async fn start(
        client: kube::Client,
        mesh: Arc<dyn Mesh>,
        settings: &Settings,
    ) -> Result<Self, OpenError> {
        let failed = |source| OpenError { address: settings.address, source };
        let socket = server::open(settings.address).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let token = settings.token.clone().unwrap_or_else(access::token);
        let access = Access::new(&token, address.port());
        let world = Arc::new(World::new(client, mesh, access, settings.followers));
        let mut tasks = world.objects.follow(&world.client);
        let looking = Arc::clone(&world);
        tasks.spawn(async move { looking.look().await });
        tasks.spawn(server::serve(world, socket));
        Ok(Self { address, token, _tasks: tasks })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The secret that lets whoever has it in.
    pub fn token(&self) -> &str {
        &self.token
    }
}
