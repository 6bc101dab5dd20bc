//! A listener on one core: the tasks that accept its connections, and how it ends.

use std::cell::Cell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_local};

use crate::connection;
use crate::worker::Worker;

/// A listener as a core serves it.
pub(crate) struct Served {
    pub(crate) name: Arc<str>,
    /// It accepts no more connections, and those it has end after their request.
    pub(crate) draining: Drain,
}

/// Whether connections are to end after their request.
#[derive(Default)]
pub(crate) struct Drain {
    started: Cell<bool>,
    notify: Notify,
}

impl Drain {
    /// Whether it has started.
    pub(crate) const fn has_started(&self) -> bool {
        self.started.get()
    }

    /// Waits until it starts.
    pub(crate) async fn started(&self) {
        while !self.started.get() {
            self.notify.notified().await;
        }
    }

    fn start(&self) {
        self.started.set(true);
        self.notify.notify_waiters();
    }
}

/// A listener, and the tasks that accept its connections.
pub(crate) struct Listening {
    served: Rc<Served>,
    acceptors: Vec<JoinHandle<()>>,
}

impl Listening {
    pub(crate) fn start(
        worker: &Rc<Worker>,
        name: &Arc<str>,
        sockets: Vec<std::net::TcpListener>,
    ) -> Self {
        let served = Rc::new(Served { name: Arc::clone(name), draining: Drain::default() });
        let start = |socket| spawn_local(accept(Rc::clone(worker), Rc::clone(&served), socket));
        let acceptors = sockets.into_iter().map(start).collect();
        Self { served, acceptors }
    }
}

/// Lets listeners drain, and waits until their sockets are closed.
pub(crate) async fn close(listeners: impl IntoIterator<Item = Listening>) {
    let mut acceptors = Vec::new();
    for listening in listeners {
        listening.served.draining.start();
        acceptors.extend(listening.acceptors);
    }
    for acceptor in acceptors {
        // One that has ended is what is waited for.
        let _ = acceptor.await;
    }
}

/// Accepts connections of a listener until it is to drain, and those that the system has accepted by then.
async fn accept(worker: Rc<Worker>, served: Rc<Served>, socket: std::net::TcpListener) {
    let listener = &served.name;
    let socket = match TcpListener::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => {
            return tracing::error!(%listener, %error, "the listener's socket cannot be used");
        }
    };
    // Clients of a socket that is bound to one address have reached that one; of others the system has to be asked for each.
    let bound = socket.local_addr().ok().filter(|bound| !bound.ip().is_unspecified());
    let serve = |stream, peer| serve(&worker, &served, stream, (peer, bound));
    while !served.draining.has_started() {
        let is_full = worker.is_full();
        let accepted = tokio::select! {
            biased;
            () = served.draining.started() => break,
            () = worker.closed(), if is_full => continue,
            accepted = socket.accept(), if !is_full => accepted,
        };
        match accepted {
            Ok((stream, peer)) => serve(stream, peer),
            Err(error) => {
                // Out of descriptors or a connection that is gone already: what is open goes on, and accepting is tried again.
                tracing::warn!(%listener, %error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
    while let Some((stream, peer)) = accept_waiting(&socket).await {
        serve(stream, peer);
    }
}

/// A connection that is there already.
async fn accept_waiting(socket: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    poll_fn(|context| match socket.poll_accept(context) {
        Poll::Ready(accepted) => Poll::Ready(accepted.ok()),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

fn serve(
    worker: &Rc<Worker>,
    served: &Rc<Served>,
    stream: TcpStream,
    ends: (SocketAddr, Option<SocketAddr>),
) {
    let open = worker.core().opened();
    let (worker, served) = (Rc::clone(worker), Rc::clone(served));
    spawn_local(async move {
        connection::serve(worker, served, stream, ends).await;
        drop(open);
    });
}
