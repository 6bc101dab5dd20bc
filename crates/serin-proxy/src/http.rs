//! HTTP from clients, in whichever version they speak.

use std::rc::Rc;

use serin_routing::model::{Codec, HttpConnection};

use crate::connection::Ends;
use crate::io::Stream;
use crate::worker::Worker;
use crate::{http1, http2};

/// Serves a connection until it ends. `protocol` is what was agreed on with ALPN; without, HTTP/2 is known by its first bytes.
pub(crate) async fn serve(
    worker: &Rc<Worker>,
    http: &HttpConnection,
    stream: Stream,
    ends: Ends,
    protocol: Option<&[u8]>,
) {
    let is_http2 = match http.codec {
        Codec::Http2 => true,
        Codec::Http1 => false,
        Codec::Auto => protocol == Some(b"h2"),
    };
    if is_http2 {
        http2::serve(worker, http, stream, ends).await;
    } else {
        http1::serve(worker, http, stream, ends).await;
    }
}
