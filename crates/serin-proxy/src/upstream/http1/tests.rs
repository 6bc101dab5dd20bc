//! Bytes in from a client, bytes out to an upstream: what the upstream reads is what was decided on.
//!
//! The upstream is played by a reader of its own that knows nothing of this crate's parsers and is as trusting as servers are. If
//! it finds another request, another length or anything left over, a request was smuggled.

use serin_http1::request_framing;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::*;
use crate::body::{Http2Source, Sink, Source};
use crate::response::remove_hop_by_hop;

/// What input is put together from: so that much of it is nearly a request.
const FRAGMENTS: [&[u8]; 48] = [
    b"GET ",
    b"POST ",
    b"/",
    b"/a/../b",
    b"http://b.example/x",
    b" HTTP/1.1\r\n",
    b" HTTP/1.0\r\n",
    b"\r\n",
    b"Host: a.example\r\n",
    b"Host: b.example\r\n",
    b"Content-Length: 3\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length: 10\r\n",
    b"content-length:3\r\n",
    b"Content-Length: 3, 3\r\n",
    b"Content-Length: +3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding: x, chunked\r\n",
    b"Transfer-Encoding:\tchunked\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Connection: close\r\n",
    b"Connection: content-length\r\n",
    b"Connection: transfer-encoding, host\r\n",
    b"TE: trailers\r\n",
    b"Trailer: x\r\n",
    b"X: y\r\n",
    b"X: y\n",
    b" folded\r\n",
    b"X: a\0b\r\n",
    b"abc",
    b"0123456789",
    b"3\r\nabc\r\n",
    b"3;x=y\r\nabc\r\n",
    b"a\r\n0123456789\r\n",
    b"0\r\n",
    b"0\r\n\r\n",
    b"0\r\nX: y\r\n\r\n",
    b"0\r\nContent-Length: 3\r\n\r\n",
    b"ffffffffffffffff\r\n",
    b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 10\r\n\r\n",
    b"\n",
    b"\r",
    b" ",
    b"Upgrade: h2c\r\n",
    b"Expect: 100-continue\r\n",
];

/// The same for HTTP/2: fields, and what a request begins with.
const FIELDS: [(&str, &str); 30] = [
    ("x", "y"),
    ("host", "a.example"),
    ("host", "b.example"),
    ("content-length", "3"),
    ("content-length", "10"),
    ("content-length", "0"),
    ("content-length", "+3"),
    ("content-length", "3, 3"),
    ("content-length", ""),
    ("content-length ", "3"),
    ("transfer-encoding", "chunked"),
    ("te", "trailers"),
    ("te", "gzip"),
    ("connection", "close"),
    ("connection", "content-length"),
    ("proxy-connection", "close"),
    ("keep-alive", "1"),
    ("upgrade", "h2c"),
    ("expect", "100-continue"),
    ("trailer", "x"),
    ("cookie", "a=1"),
    ("cookie", "b=2"),
    ("x", "a\r\nhost: b.example"),
    ("x", "a\0b"),
    ("x\r\ny", "z"),
    ("X", "upper"),
    ("x y", "z"),
    ("x:", "y"),
    (":path", "/second"),
    (":authority", "b.example"),
];
const METHODS: [&str; 8] =
    ["GET", "POST", "HEAD", "OPTIONS", "CONNECT", "get", "", "GET / HTTP/1.1\r\nx: y\r\n\r\n"];
const PATHS: [&str; 9] = [
    "/",
    "/a/../b",
    "/a b",
    "/ HTTP/1.1\r\nhost: b.example\r\n\r\n",
    "*",
    "",
    "http://b.example/x",
    "/x?y#z",
    "//x",
];
const AUTHORITIES: [&str; 7] =
    ["a.example", "a.example:80", "u@a.example", "a b", "", "a.example\r\nx: y", "[::1]"];

/// The path of a request that comes after those of interest.
const NEXT: &str = "/next";

/// A request as it was decided on: its head, and its body without framing.
#[derive(Debug, PartialEq, Eq)]
struct Decided {
    method: Vec<u8>,
    target: Vec<u8>,
    host: Vec<u8>,
    body: Vec<u8>,
}

/// Takes all requests out of the input as long as they can be read: each with what went upstream for it.
async fn pass_on(input: &[u8]) -> Vec<(Decided, Vec<u8>)> {
    let (mut client, proxy) = UnixStream::pair().unwrap();
    client.write_all(input).await.unwrap();
    drop(client);
    let (io, buffers) = (Io::new(Stream::Unix(proxy)), BufferPool::default());
    let (mut buffer, mut head) = (Buffer::new(&buffers), Head::default());
    let mut passed = Vec::new();
    loop {
        match head.read(Kind::Request, buffer.data_mut(), Limits::default()) {
            Ok(Some(())) => {}
            Ok(None) if matches!(buffer.fill(&io).await, Ok(1..)) => continue,
            _ => return passed,
        }
        let Ok(framing) = request_framing(&head, buffer.data()) else { return passed };
        let mut request = Request::default();
        if request.read_http1(&head, buffer.data()).is_err() || request.upgrade != Upgrade::None {
            return passed;
        }
        buffer.consume(head.length());
        remove_hop_by_hop(&mut request.headers);
        let source = Source::Http1(Http1Source::new(&io, &mut buffer, framing));
        let Some(pair) = send(&request, source).await else { return passed };
        passed.push(pair);
    }
}

/// What goes upstream for a request; `None` if its body breaks off.
async fn send(request: &Request, mut source: Source<'_>) -> Option<(Decided, Vec<u8>)> {
    let (mut upstream, proxy) = UnixStream::pair().unwrap();
    let io = Io::new(Stream::Unix(proxy));
    let framing = framing(request, source.is_empty());
    let mut sink = Sink::Http1(Http1Sink::new(&io, request_head(request, framing), framing));
    let mut body = Vec::new();
    while sink.next_of(&mut source).await.ok()? {
        body.extend_from_slice(&source.piece());
        sink.write(source.piece()).await.ok()?;
        source.consume();
    }
    sink.finish(source.trailers()).await.ok()?;
    drop(sink);
    drop(io);
    let mut wire = Vec::new();
    upstream.read_to_end(&mut wire).await.unwrap();
    let (method, target) = (request.method_text().to_vec(), request.target_text().to_vec());
    let host = request.authority_text().to_vec();
    Some((Decided { method, target, host, body }, wire))
}

/// The same for a request in HTTP/2; `None` if it is refused.
async fn pass_on_http2(input: &[u8]) -> Option<(Decided, Vec<u8>)> {
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    client.write_all(input).await.unwrap();
    let mut connection = h2::server::handshake(server).await.ok()?;
    let (parts, body) = connection.accept().await?.ok()?.0.into_parts();
    if parts.uri.path() == NEXT {
        return None;
    }
    let mut request = Request::default();
    request.read_http2(&parts, body.is_end_stream(), Limits::default()).ok()?;
    if request.upgrade != Upgrade::None {
        return None;
    }
    remove_hop_by_hop(&mut request.headers);
    tokio::select! {
        biased;
        passed = send(&request, Source::Http2(Http2Source::new(body))) => passed,
        // The body's bytes come by the connection, which goes on until it fails.
        () = async { while let Some(Ok(_)) = connection.accept().await {} } => None,
    }
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags, 0, 0, 0, stream];
    frame.extend_from_slice(payload);
    frame
}

/// Fields as they are, without looking at them as a library's client would (RFC 7541 §6.2.2).
fn block<'f>(fields: impl IntoIterator<Item = (&'f str, &'f str)>) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// A connection with one request, of a client that knows no rules, and another behind it that shows when the first was refused.
fn http2_request(head: [&str; 3], fields: &[u8], body: &[u8], trailers: &[u8]) -> Vec<u8> {
    let pick = |choice: &u8| FIELDS[usize::from(*choice) % FIELDS.len()];
    let names = [":method", ":path", ":authority", ":scheme"];
    let pseudo = names.into_iter().zip(head.into_iter().chain(["http"]));
    let head = block(pseudo.chain(fields.iter().take(6).map(pick)));
    let mut input = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    input.extend(frame(4, 0, 0, b""));
    let is_end = body.is_empty() && trailers.is_empty();
    input.extend(frame(1, 4 | u8::from(is_end), 1, &head));
    for (index, choice) in body.iter().enumerate() {
        let is_last = trailers.is_empty() && index + 1 == body.len();
        let piece = FRAGMENTS[usize::from(*choice) % FRAGMENTS.len()];
        input.extend(frame(0, u8::from(is_last), 1, piece));
    }
    if !trailers.is_empty() {
        input.extend(frame(1, 5, 1, &block(trailers.iter().take(4).map(pick))));
    }
    let next = names.into_iter().zip(["GET", NEXT, "a.example", "http"]);
    input.extend(frame(1, 5, 3, &block(next)));
    input
}

/// Reads one request as a trusting server does; and what is left over.
fn read_as_server(wire: &[u8]) -> (Decided, Vec<u8>) {
    let end = wire.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&wire[..end]).into_owned();
    let mut rest = &wire[end + 4..];
    let mut lines = head.split('\n').map(|line| line.trim_end_matches('\r'));
    let mut first = lines.next().unwrap().splitn(3, ' ').map(|part| part.as_bytes().to_vec());
    let (method, target) = (first.next().unwrap(), first.next().unwrap());
    assert_eq!(first.next().unwrap(), b"HTTP/1.1");
    let fields: Vec<(String, String)> = lines
        .map(|line| line.split_once(':').unwrap())
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let all = |name: &str| -> Vec<&str> {
        fields.iter().filter(|field| field.0 == name).map(|field| field.1.as_str()).collect()
    };
    let body = match (all("content-length").as_slice(), all("transfer-encoding").as_slice()) {
        ([], []) => Vec::new(),
        ([length], []) => {
            let (body, after) = rest.split_at(length.parse().unwrap());
            rest = after;
            body.to_vec()
        }
        ([], ["chunked"]) => read_chunks(&mut rest),
        ambiguous => panic!("the length is ambiguous: {ambiguous:?}"),
    };
    let [host] = all("host")[..] else { panic!("not one host in {head}") };
    (Decided { method, target, host: host.as_bytes().to_vec(), body }, rest.to_vec())
}

fn read_chunks(rest: &mut &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    let mut line = || {
        let end = rest.windows(2).position(|it| it == b"\r\n").unwrap();
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        *rest = &rest[end + 2..];
        let size = usize::from_str_radix(&line, 16);
        if let Ok(size @ 1..) = size {
            body.extend_from_slice(&rest[..size]);
            assert_eq!(&rest[size..size + 2], b"\r\n");
            *rest = &rest[size + 2..];
        }
        line
    };
    while line() != "0" {}
    while !line().is_empty() {}
    body
}

fn check(input: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    for (decided, wire) in runtime.block_on(pass_on(input)) {
        check_wire(&decided, &wire);
    }
}

fn check_wire(decided: &Decided, wire: &[u8]) {
    let (read, rest) = read_as_server(wire);
    let text = String::from_utf8_lossy(wire);
    assert_eq!(read, *decided, "{text}");
    assert!(rest.is_empty(), "{:?} is left over of {text}", String::from_utf8_lossy(&rest));
}

#[test]
fn an_upstream_reads_what_was_decided_on() {
    bolero::check!().with_type::<Vec<u8>>().for_each(|choices| {
        let fragment = |choice: &u8| FRAGMENTS[usize::from(*choice) % FRAGMENTS.len()];
        check(&choices.iter().flat_map(|choice| fragment(choice).to_vec()).collect::<Vec<u8>>());
    });
}

#[test]
fn an_upstream_reads_what_was_decided_on_of_requests_with_any_fields() {
    bolero::check!().with_type::<(bool, Vec<u8>, Vec<u8>)>().for_each(|(is_post, fields, body)| {
        let fragment = |choice: &u8| FRAGMENTS[8 + usize::from(*choice) % (FRAGMENTS.len() - 8)];
        let mut input = if *is_post { b"POST".to_vec() } else { b"GET".to_vec() };
        input.extend_from_slice(b" /a HTTP/1.1\r\nHost: a.example\r\n");
        fields.iter().take(6).for_each(|choice| input.extend_from_slice(fragment(choice)));
        input.extend_from_slice(b"\r\n");
        body.iter().for_each(|choice| input.extend_from_slice(fragment(choice)));
        check(&input);
    });
}

#[test]
fn an_upstream_reads_what_was_decided_on_of_requests_in_http2() {
    type Choices = ((u8, u8, u8), Vec<u8>, Vec<u8>, Vec<u8>);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    bolero::check!().with_type::<Choices>().for_each(|((method, path, host), rest, body, last)| {
        // Most requests begin well, or little would be seen of the rest.
        let usual = |choice: &u8, all: &[&'static str]| match choice {
            choice if choice % 2 == 0 => all[0],
            choice => all[usize::from(choice / 2) % all.len()],
        };
        let head = [usual(method, &METHODS), usual(path, &PATHS), usual(host, &AUTHORITIES)];
        let body = &body[..body.len().min(16)];
        let input = http2_request(head, rest, body, last);
        if let Some((decided, wire)) = runtime.block_on(pass_on_http2(&input)) {
            check_wire(&decided, &wire);
        }
    });
}

#[test]
fn requests_in_http2_of_these_tests_reach_the_upstream() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let pass = |head, fields: &[u8], body: &[u8], trailers: &[u8]| {
        let input = http2_request(head, fields, body, trailers);
        runtime.block_on(pass_on_http2(&input)).map(|(decided, _)| decided)
    };
    let abc = u8::try_from(FRAGMENTS.iter().position(|it| it == b"abc").unwrap()).unwrap();
    let head = ["POST", "/a/../b", "a.example"];
    let whole = pass(head, &[0, 3], &[abc], &[0]).unwrap();
    assert_eq!((&whole.target[..], &whole.body[..]), (&b"/b"[..], &b"abc"[..]));
    assert_eq!(pass(head, &[4], &[abc], &[]), None, "three bytes are not ten");
    assert_eq!(pass(head, &[10], &[abc], &[]), None, "there are no chunks in HTTP/2");
    assert!(pass(["GET", "/", "a.example"], &[], &[], &[]).is_some());
}

#[test]
fn the_reader_of_these_tests_finds_what_is_smuggled() {
    let wire = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n";
    assert!(!read_as_server(wire).1.is_empty());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let input = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n";
    let passed = runtime.block_on(pass_on(input));
    let bodies: Vec<&[u8]> = passed.iter().map(|(decided, _)| &decided.body[..]).collect();
    assert_eq!(bodies, [&b"abc"[..], b""]);
}
