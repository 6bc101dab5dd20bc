//! Services of the same process that answer a part of the API: the node's kubelet, and groups that are served elsewhere.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

/// A service that takes requests without bodies. An upgrade (exec, attach, port forwarding) finds `hyper::upgrade::OnUpgrade`
/// in the request's extensions and is answered with 101.
pub type LocalService =
    BoxCloneSyncService<Request<()>, Response<UnsyncBoxBody<Bytes, Infallible>>, Infallible>;

/// One answer of a service.
pub(crate) async fn ask(
    service: &LocalService,
    request: Request<()>,
) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    match service.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
