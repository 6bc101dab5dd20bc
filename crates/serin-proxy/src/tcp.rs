//! Bytes between a client and an endpoint, for everything that is not HTTP.

use std::rc::Rc;

use rand_core::Rng;
use serin_routing::balancer::Attempts;
use serin_routing::model::TcpProxy;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;

use crate::connection::Ends;
use crate::io::Stream;
use crate::upstream::connect;
use crate::worker::Worker;

/// Connects a client to an endpoint and carries bytes until both are done. One draw per connection.
pub(crate) async fn serve(
    worker: &Rc<Worker>,
    proxy: &TcpProxy,
    mut client: TcpStream,
    ends: Ends,
) {
    let total = proxy.destinations.total_weight().max(1);
    let ticket = worker.random.borrow_mut().next_u64() % total;
    let Some(destination) = proxy.destinations.at(ticket) else { return };
    let Some(upstream) = worker.upstreams.get(&destination.cluster) else {
        return tracing::warn!(peer = %ends.peer, cluster = %destination.cluster, "the cluster does not exist");
    };
    let now = worker.clock.now();
    let target =
        upstream.choose(None, &mut Attempts::new(None), now, &mut worker.random.borrow_mut());
    let Some(target) = target else {
        return tracing::warn!(peer = %ends.peer, cluster = %destination.cluster, "no endpoint is healthy");
    };
    let _active = upstream.state().borrow().begin(target.id);
    let connected = match connect(&target.address, upstream.shared.cluster.connect_timeout).await {
        Ok(Stream::Tcp(mut server)) => copy_bidirectional(&mut client, &mut server).await.map(drop),
        Ok(Stream::Unix(mut server)) => {
            copy_bidirectional(&mut client, &mut server).await.map(drop)
        }
        Err(error) => {
            return tracing::warn!(peer = %ends.peer, %error, "no connection to the endpoint");
        }
    };
    if let Err(error) = connected {
        tracing::debug!(peer = %ends.peer, %error, "the connection broke");
    }
}
