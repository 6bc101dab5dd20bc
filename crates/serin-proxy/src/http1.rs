//! HTTP/1 from clients: one request after the other on a connection.

use serin_http1::{
    Decoder, Error, FieldName, Framing, Head, Kind, Version, request_framing, status_line,
    write_field,
};
use serin_routing::model::HttpConnection;
use std::io::IoSlice;
use std::rc::Rc;

use crate::body::{Http1Source, Source};
use crate::connection::Ends;
use crate::exchange::{self, Ended, Exchange};
use crate::io::{Buffer, Io, Stream};
use crate::record::Record;
use crate::request::Request;
use crate::response::Responder;
use crate::upstream::{has_token, keeps_alive};
use crate::worker::Worker;

/// What a connection does next.
enum Next {
    /// Waits for a request.
    Idle,
    /// Ends.
    Close,
}

/// Serves a connection until it ends. While nothing is asked it holds no buffer, and no more than this small task.
pub(crate) async fn serve(worker: &Rc<Worker>, http: &HttpConnection, stream: Stream, ends: Ends) {
    let io = Io::new(stream);
    loop {
        tokio::select! {
            biased;
            ready = io.readable() => if ready.is_err() { return },
            () = worker.draining.started() => break,
            () = tokio::time::sleep(http.idle_timeout.unwrap_or(worker.settings.idle_timeout)) => break,
        }
        match Box::pin(serve_requests(worker, http, &io, ends)).await {
            Next::Idle => {}
            Next::Close => break,
        }
    }
    // The peer may be gone already.
    let _ = io.shutdown().await;
}

/// Serves what has arrived.
async fn serve_requests(worker: &Rc<Worker>, http: &HttpConnection, io: &Io, ends: Ends) -> Next {
    let mut input = Buffer::new(&worker.buffers);
    let mut head = Head::default();
    let mut request = Request::default();
    let mut head_buffer = Vec::new();
    loop {
        match read_head(worker, io, &mut input, &mut head).await {
            Ok(true) => {}
            Ok(false) => return Next::Close,
            Err(error) => {
                refuse(io, error).await;
                return Next::Close;
            }
        }
        let framing = match take_over(&mut request, &head, &input, ends) {
            Ok(framing) => framing,
            Err(error) => {
                refuse(io, error).await;
                return Next::Close;
            }
        };
        let keep_alive = keeps_alive(&head, input.data()) && !worker.draining.has_started();
        let expects = head
            .first(FieldName::Expect, input.data())
            .is_some_and(|value| has_token(value, b"100-continue"));
        input.consume(head.length());
        if expects && framing != Framing::None && input.is_empty() {
            // As Envoy does, the proxy itself asks for the body: it wants it in any case.
            request.headers.remove(b"expect");
            if io.write_all(&mut [IoSlice::new(b"HTTP/1.1 100 Continue\r\n\r\n")]).await.is_err() {
                return Next::Close;
            }
        }
        let snapshot = worker.snapshot();
        let exchange = Exchange { worker, snapshot: &snapshot, http };
        let mut decoder = Decoder::new(framing);
        let is_head = request.method_text() == b"HEAD";
        let is_http_10 = head.version() == Version::Http10;
        let mut responder = Responder {
            io,
            is_http_10,
            is_head,
            keep_alive,
            head: std::mem::take(&mut head_buffer),
            record: Record::new(worker.clock.now()),
        };
        let body = match framing {
            Framing::None => Source::Empty,
            _ => Source::Http1(Http1Source::new(io, &mut input, &mut decoder)),
        };
        let ended = exchange::handle(&exchange, &mut request, body, &mut responder).await;
        head_buffer = responder.head;
        if ended == Ended::Broken || !responder.keep_alive {
            return Next::Close;
        }
        if input.is_empty() {
            return Next::Idle;
        }
    }
}

/// Reads until a head is complete; `false` if the connection ends before the next request begins.
async fn read_head(
    worker: &Worker,
    io: &Io,
    input: &mut Buffer,
    head: &mut Head,
) -> Result<bool, Error> {
    let reading = async {
        loop {
            if head.read(Kind::Request, input.data_mut(), worker.settings.heads)?.is_some() {
                return Ok(true);
            }
            match input.fill(io).await {
                Ok(0) | Err(_) => return Ok(false),
                Ok(_) => {}
            }
        }
    };
    // What has arrived whole needs no timer.
    tokio::time::timeout(worker.settings.head_timeout, reading).await.unwrap_or(Ok(false))
}

fn take_over(
    request: &mut Request,
    head: &Head,
    input: &Buffer,
    ends: Ends,
) -> Result<Framing, Error> {
    let framing = request_framing(head, input.data())?;
    request.clear();
    request.secure = false;
    request.downstream.direct_remote = Some(ends.peer);
    request.downstream.local = ends.local;
    request.downstream.listener_port = ends.local.map_or(0, |local| local.port());
    request.read_http1(head, input.data())?;
    Ok(framing)
}

/// Answers a request that cannot be read.
async fn refuse(io: &Io, error: Error) {
    let mut answer = Vec::with_capacity(128);
    let body = error.to_string();
    status_line(&mut answer, error.status());
    write_field(&mut answer, b"content-type", b"text/plain");
    write_field(&mut answer, b"content-length", body.len().to_string().as_bytes());
    write_field(&mut answer, b"connection", b"close");
    answer.extend_from_slice(b"\r\n");
    answer.extend_from_slice(body.as_bytes());
    // The connection is closed in any case.
    let _ = io.write_all(&mut [IoSlice::new(&answer)]).await;
}
