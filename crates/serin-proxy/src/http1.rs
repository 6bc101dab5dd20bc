//! HTTP/1 from clients: one request after the other on a connection.

mod waiting;

use std::future::poll_fn;
use std::io::IoSlice;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use serin_http1::{
    Error, FieldName, Framing, Head, Kind, Version as Http1Version, request_framing, status_line,
    write_field,
};
use serin_routing::model::{Codec, HttpConnection};
use serin_routing::response::{Flag, Flags};
use tokio::time::{sleep, timeout};

use crate::body::{Http1Source, Source};
use crate::connection::Ends;
use crate::exchange::{self, Ended, Exchange};
use crate::http2;
use crate::io::{Buffer, Io, Rewound, Stream};
use crate::memory;
use crate::request::{Request, Upgrade};
use crate::response::{Http1Reply, Reply, Responder, http_date};
use crate::telemetry::Refused;
use crate::upstream::{Version, has_token, keeps_alive};
use crate::worker::Worker;

use waiting::{Follows, Waiting};

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
    /// Ends, and the client has said that it sends no more.
    Over,
    /// Goes on in HTTP/2, after these bytes.
    Http2(Vec<u8>),
}

/// Serves a connection until it ends. While nothing is asked it holds no buffer, and no more than this small task.
pub(crate) async fn serve(
    worker: &Rc<Worker>,
    http: &HttpConnection,
    stream: Stream,
    ends: Rc<Ends>,
) {
    let io = Io::new(stream);
    let mut may_change = http.codec == Codec::Auto;
    let draining = &ends.listener.draining;
    let limit = http.idle_timeout.unwrap_or(worker.settings.idle_timeout);
    let (timer, drained) = (pin!(sleep(limit)), pin!(draining.started()));
    let mut waiting = Waiting { limit, timer, draining, drained };
    let mut is_first = true;
    while waiting.next_request(worker, &io).await {
        match Box::pin(serve_requests(worker, http, &io, &ends, (may_change, !is_first))).await {
            Next::Idle => {}
            Next::Close => break,
            Next::Over => {
                // The peer may be gone already.
                let _ = io.say_goodbye().await;
                return;
            }
            Next::Http2(first) => {
                let stream = Rewound::new(first, io.into_inner());
                return Box::pin(http2::serve(worker, http, stream, Rc::clone(&ends))).await;
            }
        }
        (may_change, is_first) = (false, false);
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

/// Serves what has arrived. One that `stays` keeps for a while what it needs for the next request, which a client that has sent
/// two is likely to send at once.
async fn serve_requests(
    worker: &Rc<Worker>,
    http: &HttpConnection,
    io: &Io,
    ends: &Ends,
    (mut may_change, stays): (bool, bool),
) -> Next {
    let mut follows = stays.then(|| Follows::new(&ends.listener.draining));
    let mut input = Buffer::new(&worker.buffers);
    let mut request = Request::default();
    loop {
        let head = match read_head(worker, io, &mut input, &mut request, (http, ends)).await {
            Ok(Arrived::Head(head)) => head,
            Ok(Arrived::End) => return Next::Close,
            Ok(Arrived::Late) => return refuse(worker, (io, ends), http, late()).await,
            Ok(Arrived::TooOld) => return refuse(worker, (io, ends), http, too_old()).await,
            Err(Error::Version) if may_change && input.data().starts_with(PREFACE) => {
                return Next::Http2(input.data().to_vec());
            }
            Err(error) => {
                return refuse(worker, (io, ends), http, Refused::malformed(error, Version::Http1))
                    .await;
            }
        };
        may_change = false;
        let ReadHead { framing, is_http_10, keep_alive, expects } = head;
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
        let stays = matches!(&responder.reply, Reply::Http1(reply) if reply.keep_alive);
        match ended {
            Ended::Complete if stays => {}
            Ended::Complete if !keep_alive && input.is_empty() => return Next::Over,
            _ => return Next::Close,
        }
        if input.is_empty() {
            input.release();
            let follows = match &mut follows {
                Some(follows) => follows.next_request(worker, io).await,
                None => false,
            };
            if !follows {
                return Next::Idle;
            }
        }
    }
}

/// What came of waiting for a head.
enum Arrived {
    /// It is there.
    Head(ReadHead),
    /// It is there, but in a version that is not accepted.
    TooOld,
    /// The connection has ended before the next request began.
    End,
    /// It takes too long.
    Late,
}

/// What a head says beside what the request holds.
struct ReadHead {
    framing: Framing,
    is_http_10: bool,
    keep_alive: bool,
    /// Whether the client waits until it is asked for the body.
    expects: bool,
}

/// Reads until a head is complete, and takes it over.
async fn read_head(
    worker: &Worker,
    io: &Io,
    input: &mut Buffer,
    request: &mut Request,
    (http, ends): (&HttpConnection, &Ends),
) -> Result<Arrived, Error> {
    let mut reading = pin!(async {
        loop {
            if !input.is_empty()
                && let Some(arrived) = take_over(worker, input, request, (http, ends))?
            {
                return Ok(arrived);
            }
            match input.fill(io).await {
                Ok(0) | Err(_) => return Ok(Arrived::End),
                Ok(_) => {}
            }
        }
    });
    // Most heads are there as a whole: only the others need a timer.
    let now = poll_fn(|context| Poll::Ready(reading.as_mut().poll(context)));
    if let Poll::Ready(arrived) = now.await {
        return arrived;
    }
    timeout(worker.settings.head_timeout, reading).await.unwrap_or(Ok(Arrived::Late))
}

/// Takes over a head, if it is complete.
fn take_over(
    worker: &Worker,
    input: &mut Buffer,
    request: &mut Request,
    (http, ends): (&HttpConnection, &Ends),
) -> Result<Option<Arrived>, Error> {
    memory::with_head(|head: &mut Head| {
        if head.read(Kind::Request, input.data_mut(), worker.settings.heads)?.is_none() {
            return Ok(None);
        }
        let is_http_10 = head.version() == Http1Version::Http10;
        if is_http_10 && !http.accept_http_10 {
            return Ok(Some(Arrived::TooOld));
        }
        let data = input.data();
        let framing = request_framing(head, data)?;
        request.clear();
        request.take_ends(ends);
        request.read_http1(head, data)?;
        let expects = head.first(FieldName::Expect, data);
        let read = ReadHead {
            framing,
            is_http_10,
            keep_alive: keeps_alive(head, data),
            expects: expects.is_some_and(|value| has_token(value, b"100-continue")),
        };
        input.consume(head.length());
        Ok(Some(Arrived::Head(read)))
    })
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
    let flags = Flags::NONE.with(Flag::DownstreamProtocolError);
    refused(426, "low_version", flags, String::new())
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
    http_date(&mut date, worker.clock.now());
    write_field(&mut answer, b"date", &date);
    answer.extend_from_slice(b"\r\n");
    answer.extend_from_slice(body.as_bytes());
    // The peer may be gone already.
    let _ = io.write_all(&mut [IoSlice::new(&answer)]).await;
    Next::Close
}
