//! HTTP from clients, in whichever version they speak.

use std::rc::Rc;

use serin_routing::model::{Codec, HttpConnection};

use crate::connection::Ends;
use crate::io::Stream;
use crate::worker::Worker;
use crate::{http1, http2};

/// Serves a connection until it ends. Where ALPN has not told, HTTP/2 is known by its first bytes.
pub(crate) async fn serve(
    worker: &Rc<Worker>,
    http: &HttpConnection,
    stream: Stream,
    ends: Rc<Ends>,
) {
    let is_http2 = match http.codec {
        Codec::Http2 => true,
        Codec::Http1 => false,
        Codec::Auto => ends.tls.as_ref().is_some_and(|tls| tls.is_http2()),
    };
    if is_http2 {
        // It is large, and connections that are idle should be small.
        Box::pin(http2::serve(worker, http, stream, ends)).await;
    } else {
        http1::serve(worker, http, stream, ends).await;
    }
}
