//! HTTP/1 from clients: one request after the other on a connection.

use std::io::IoSlice;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

use serin_http1::{
    Error, FieldName, Framing, Head, Kind, request_framing, status_line, write_field,
};
use serin_routing::model::{Codec, HttpConnection};
use serin_routing::response::{Flag, Flags};
use tokio::time::{Instant, Sleep, sleep, timeout};

use crate::body::{Http1Source, Source};
use crate::connection::Ends;
use crate::exchange::{self, Ended, Exchange};
use crate::http2;
use crate::io::{Buffer, Io, Rewound, Stream};
use crate::listening::Drain;
use crate::request::{Request, Upgrade};
use crate::response::{Http1Reply, Reply, Responder, http_date};
use crate::telemetry::Refused;
use crate::upstream::{Version, has_token, keeps_alive};
use crate::worker::Worker;

/// How HTTP/2 begins: a request that no HTTP/1 client sends (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";
/// Time for a client to close a connection after its last answer (Envoy's default). What it still sends is read meanwhile, for
/// unread bytes would make the system take back the answer.
const LINGER: Duration = Duration::from_secs(1);

/// What a connection does next.
enum Next {
    /// Waits for a request.
    Idle,
    /// Ends.
    Close,
    /// Goes on in HTTP/2, after these bytes.
    Http2(Vec<u8>),
}

/// Serves a connection until it ends. While nothing is asked it holds no buffer, and no more than this small task.
pub(crate) async fn serve(worker: &Rc<Worker>, http: &HttpConnection, stream: Stream, ends: Ends) {
    let io = Io::new(stream);
    let mut may_change = http.codec == Codec::Auto;
    let draining = &ends.listener.draining;
    let limit = http.idle_timeout.unwrap_or(worker.settings.idle_timeout);
    let (timer, drained) = (pin!(sleep(limit)), pin!(draining.started()));
    let mut waiting = Waiting { limit, timer, draining, drained };
    while waiting.next_request(worker, &io).await {
        match Box::pin(serve_requests(worker, http, &io, &ends, may_change)).await {
            Next::Idle => {}
            Next::Close => break,
            Next::Http2(first) => {
                let stream = Rewound::new(first, io.into_inner());
                return Box::pin(http2::serve(worker, http, stream, ends.clone())).await;
            }
        }
        may_change = false;
    }
    // The peer may be gone already.
    if io.shutdown().await.is_ok() {
        let _ = timeout(LINGER, Box::pin(read_rest(worker, &io))).await;
    }
}

/// Reads and forgets what a client still sends.
async fn read_rest(worker: &Worker, io: &Io) {
    let mut rest = Buffer::new(&worker.buffers);
    while let Ok(1..) = rest.fill(io).await {
        rest.consume(rest.data().len());
    }
}

/// What a connection waits for beside a request. It stays registered from request to request.
struct Waiting<'w, D> {
    /// Longest time without a request.
    limit: Duration,
    timer: Pin<&'w mut Sleep>,
    draining: &'w Drain,
    drained: Pin<&'w mut D>,
}

impl<D: Future<Output = ()>> Waiting<'_, D> {
    /// Waits for a request; false if none comes in time. A client of a listener that drains may already be sending its next
    /// one, which is answered still.
    async fn next_request(&mut self, worker: &Worker, io: &Io) -> bool {
        let due = Instant::now() + self.limit;
        while !self.draining.has_started() {
            tokio::select! {
                biased;
                ready = io.readable() => return ready.is_ok(),
                () = &mut self.drained => {}
                () = &mut self.timer => {
                    // It was set for an earlier request: setting it for each would cost more than this.
                    if Instant::now() >= due {
                        return false;
                    }
                    self.timer.as_mut().reset(due);
                }
            }
        }
        tokio::select! {
            biased;
            ready = io.readable() => ready.is_ok(),
            () = sleep(worker.settings.last_request_time.min(self.limit)) => false,
        }
    }
}

/// Serves what has arrived.
async fn serve_requests(
    worker: &Rc<Worker>,
    http: &HttpConnection,
    io: &Io,
    ends: &Ends,
    mut may_change: bool,
) -> Next {
    let mut input = Buffer::new(&worker.buffers);
    let mut head = Head::default();
    let mut request = Request::default();
    loop {
        match read_head(worker, io, &mut input, &mut head).await {
            Ok(Arrived::Head) => {}
            Ok(Arrived::End) => return Next::Close,
            Ok(Arrived::Late) => return refuse(worker, (io, ends), http, late()).await,
            Err(Error::Version) if may_change && input.data().starts_with(PREFACE) => {
                return Next::Http2(input.data().to_vec());
            }
            Err(error) => return refuse(worker, (io, ends), http, malformed(&error)).await,
        }
        may_change = false;
        let is_http_10 = head.version() == serin_http1::Version::Http10;
        if is_http_10 && !http.accept_http_10 {
            return refuse(worker, (io, ends), http, too_old()).await;
        }
        let framing = match take_over(&mut request, &head, &input, ends) {
            Ok(framing) => framing,
            Err(error) => return refuse(worker, (io, ends), http, malformed(&error)).await,
        };
        let keep_alive = keeps_alive(&head, input.data());
        let expects = head
            .first(FieldName::Expect, input.data())
            .is_some_and(|value| has_token(value, b"100-continue"));
        input.consume(head.length());
        if expects && !is_http_10 {
            // As Envoy does, the proxy itself asks for the body: it wants it in any case.
            request.headers.remove(b"expect");
            if io.write_all(&mut [IoSlice::new(b"HTTP/1.1 100 Continue\r\n\r\n")]).await.is_err() {
                return Next::Close;
            }
        }
        let snapshot = worker.snapshot();
        let exchange = Exchange { worker, snapshot: &snapshot, http, version: Version::Http1 };
        let mut responder = Responder {
            reply: Reply::Http1(Http1Reply {
                io,
                is_http_10,
                keep_alive,
                draining: &ends.listener.draining,
            }),
            is_head: request.method_text() == b"HEAD",
            record: worker.telemetry.begin(worker.clock.now()),
        };
        let framing =
            if request.upgrade == Upgrade::WebSocket { Framing::UntilClose } else { framing };
        let body = Source::Http1(Http1Source::new(io, &mut input, framing));
        let ended = exchange::handle(&exchange, &mut request, body, &mut responder).await;
        worker.telemetry.end(&request, &responder.record, Version::Http1, worker.clock.now());
        let keep_alive = matches!(&responder.reply, Reply::Http1(reply) if reply.keep_alive);
        if ended == Ended::Broken || !keep_alive {
            return Next::Close;
        }
        if input.is_empty() {
            return Next::Idle;
        }
    }
}

/// What came of waiting for a head.
enum Arrived {
    /// It is there.
    Head,
    /// The connection has ended before the next request began.
    End,
    /// It takes too long.
    Late,
}

/// Reads until a head is complete.
async fn read_head(
    worker: &Worker,
    io: &Io,
    input: &mut Buffer,
    head: &mut Head,
) -> Result<Arrived, Error> {
    let reading = async {
        loop {
            if head.read(Kind::Request, input.data_mut(), worker.settings.heads)?.is_some() {
                return Ok(Arrived::Head);
            }
            match input.fill(io).await {
                Ok(0) | Err(_) => return Ok(Arrived::End),
                Ok(_) => {}
            }
        }
    };
    timeout(worker.settings.head_timeout, reading).await.unwrap_or(Ok(Arrived::Late))
}

fn take_over(
    request: &mut Request,
    head: &Head,
    input: &Buffer,
    ends: &Ends,
) -> Result<Framing, Error> {
    let framing = request_framing(head, input.data())?;
    request.clear();
    request.take_ends(ends);
    request.read_http1(head, input.data())?;
    Ok(framing)
}

/// An answer to what is not handled as a request, and its body.
type Refusal = (Refused, String);

fn refused(status: u16, details: &'static str, flags: Flags, body: String) -> Refusal {
    let (version, sent) = (Some(Version::Http1), body.len() as u64);
    (Refused { status, flags, details, version, sent }, body)
}

fn late() -> Refusal {
    refused(408, "request_header_timeout", Flags::NONE, "the request took too long".to_owned())
}

fn too_old() -> Refusal {
    refused(426, "low_version", Flags::NONE, String::new())
}

fn malformed(error: &Error) -> Refusal {
    let flags = Flags::NONE.with(Flag::DownstreamProtocolError);
    refused(error.status(), error.details(), flags, error.to_string())
}

/// Answers what is not handled as a request. The connection is closed in any case.
async fn refuse(
    worker: &Worker,
    (io, ends): (&Io, &Ends),
    http: &HttpConnection,
    (refused, body): Refusal,
) -> Next {
    worker.telemetry.log_refused(ends, refused);
    let status = refused.status;
    let mut answer = Vec::with_capacity(128);
    status_line(&mut answer, status);
    if !body.is_empty() {
        write_field(&mut answer, b"content-type", b"text/plain");
    }
    write_field(&mut answer, b"content-length", body.len().to_string().as_bytes());
    write_field(&mut answer, b"connection", b"close");
    write_field(&mut answer, b"server", http.server_name.as_bytes());
    let mut date = Vec::with_capacity(32);
    http_date(&mut date);
    write_field(&mut answer, b"date", &date);
    answer.extend_from_slice(b"\r\n");
    answer.extend_from_slice(body.as_bytes());
    // The peer may be gone already.
    let _ = io.write_all(&mut [IoSlice::new(&answer)]).await;
    Next::Close
}
