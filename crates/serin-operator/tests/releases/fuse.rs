//! A client whose writes are written down and can be cut off.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response};
use serin_apiserver::{ApiServer, User};
use tower::Service as _;

/// Lets so many writes through, then no call at all.
#[derive(Clone)]
pub(crate) struct Fuse {
    left: Arc<AtomicI64>,
    /// Method and path of each.
    writes: Arc<Mutex<Vec<String>>>,
}

impl Default for Fuse {
    fn default() -> Self {
        Self { left: Arc::new(AtomicI64::new(i64::MAX)), writes: Arc::default() }
    }
}

impl Fuse {
    /// After so many writes nothing is written any more.
    pub(crate) fn cut_after(&self, writes: i64) {
        self.left.store(writes, Ordering::SeqCst);
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.left.load(Ordering::SeqCst) <= 0
    }

    /// Method and path of every write so far.
    pub(crate) fn writes(&self) -> Vec<String> {
        self.writes.lock().unwrap().clone()
    }

    /// A client of the server.
    pub(crate) fn client(&self, server: &ApiServer) -> kube::Client {
        let (connection, fuse) = (server.client(User::administrator()), self.clone());
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let (mut connection, fuse) = (connection.clone(), fuse.clone());
            async move {
                if fuse.is_cut() {
                    return Err(std::io::Error::other("the API is gone"));
                }
                if request.method() != Method::GET {
                    fuse.left.fetch_sub(1, Ordering::SeqCst);
                    let write = format!("{} {}", request.method(), request.uri().path());
                    fuse.writes.lock().unwrap().push(write);
                }
                let answer: Response<_> =
                    connection.call(request).await.unwrap_or_else(|never| match never {});
                Ok(answer)
            }
        });
        kube::Client::new(service, "default")
    }
}
