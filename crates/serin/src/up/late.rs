//! Services that the API passes requests on to, before they are there: the API is up first, and who answers needs it.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use serin_apiserver::LocalService;
use tower::ServiceExt as _;

/// A place for a service.
#[derive(Clone, Default)]
pub(super) struct Late(Arc<OnceLock<LocalService>>);

impl Late {
    /// The service is there. The first one stays.
    #[expect(dead_code, reason = "the node does not answer yet")]
    pub(super) fn set(&self, service: LocalService) {
        // Nobody sets it twice.
        let _ = self.0.set(service);
    }

    /// What asks the service, once it is there; before, it is not available.
    pub(super) fn service(&self) -> LocalService {
        let place = Arc::clone(&self.0);
        LocalService::new(tower::service_fn(move |request: Request<()>| {
            let service = place.get().cloned();
            async move {
                match service {
                    Some(service) => service.oneshot(request).await,
                    None => Ok::<_, Infallible>(starting()),
                }
            }
        }))
    }
}

fn starting() -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    let body = Full::from("the node is starting").boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}
