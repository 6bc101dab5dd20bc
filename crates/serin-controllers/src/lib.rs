//! The workload controllers of a cluster without a cluster: what turns Deployments into ReplicaSets, ReplicaSets into pods,
//! Services and pods into endpoints.
//!
//! They hold a `kube::Client` and nothing else, and know neither the API server nor the node that they work with. What to do
//! is decided by functions of what is there and the time; a loop each feeds them and does what they say. All state is in the
//! API: a process may end at any point, and the next one goes on.

mod autoscaler;
mod cron_job;
mod daemon_set;
mod deployment;
mod disruption;
mod endpoints;
mod error;
mod events;
mod hash;
mod job;
mod objects;
mod owner;
mod pods;
mod queue;
mod replica_set;
mod revisions;
mod stateful_set;
mod world;

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use kube::Client;
use tokio::task::{JoinError, JoinSet};

use self::objects::Key;
use self::queue::{Outcome, Queue};
use self::world::{Queues, World};

/// Where Services of type LoadBalancer are reached.
type Addresses = dyn Fn(&Service) -> Vec<IpAddr> + Send + Sync;

/// What the controllers have to be told.
#[derive(Clone)]
pub struct Settings {
    /// The addresses at which a Service of type LoadBalancer is reached from outside; without it, its status is somebody else's
    /// to write.
    pub load_balancer_address: Option<Arc<Addresses>>,
    /// How often autoscalers look at what pods use; 15 s by default.
    pub autoscaling_interval: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { load_balancer_address: None, autoscaling_interval: Duration::from_secs(15) }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Settings").finish_non_exhaustive()
    }
}

/// How long controllers pause before they begin anew, should one of them end.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs all controllers until `shutdown` comes. What is under way then is left as it is, to be continued by the next run.
pub async fn run(client: Client, settings: Settings, shutdown: impl Future<Output = ()>) {
    let anew = async {
        loop {
            let ended = run_once(&client, settings.clone()).await;
            tracing::error!(?ended, "a workload controller ended; all of them begin anew");
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::select! {
        () = shutdown => {}
        () = anew => {}
    }
}

/// Runs all controllers. None of them ends by itself: tells of the one that did.
async fn run_once(client: &Client, settings: Settings) -> Option<Result<(), JoinError>> {
    let (world, events) = World::new(client, settings);
    let mut tasks = JoinSet::new();
    tasks.spawn(events.run());
    let followed = Arc::clone(&world);
    tasks.spawn(async move { followed.follow().await });
    start(&mut tasks, &world, |queues| &queues.deployments, deployment::reconcile);
    start(&mut tasks, &world, |queues| &queues.replica_sets, replica_set::reconcile);
    start(&mut tasks, &world, |queues| &queues.services, endpoints::reconcile);
    start(&mut tasks, &world, |queues| &queues.endpoints, endpoints::reconcile_legacy);
    start(&mut tasks, &world, |queues| &queues.jobs, job::reconcile);
    start(&mut tasks, &world, |queues| &queues.cron_jobs, cron_job::reconcile);
    start(&mut tasks, &world, |queues| &queues.autoscalers, autoscaler::reconcile);
    start(&mut tasks, &world, |queues| &queues.stateful_sets, stateful_set::reconcile);
    start(&mut tasks, &world, |queues| &queues.daemon_sets, daemon_set::reconcile);
    start(&mut tasks, &world, |queues| &queues.budgets, disruption::reconcile);
    tasks.join_next().await
}

/// Starts a controller: it looks at what its queue says as soon as everything is known.
fn start<F>(
    tasks: &mut JoinSet<()>,
    world: &Arc<World>,
    queue: fn(&Queues) -> &Queue,
    look: fn(Arc<World>, Key) -> F,
) where
    F: Future<Output = Outcome> + Send + 'static,
{
    let world = Arc::clone(world);
    tasks.spawn(async move {
        world.complete().await;
        queue(&world.queues).work(|key| look(Arc::clone(&world), key)).await;
    });
}
