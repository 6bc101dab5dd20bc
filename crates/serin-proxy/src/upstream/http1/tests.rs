//! Bytes in from a client, bytes out to an upstream: what the upstream reads is what was decided on.
//!
//! The upstream is played by a reader of its own that knows nothing of this crate's parsers and is as trusting as servers are. If
//! it finds another request, another length or anything left over, a request was smuggled.

use serin_http1::request_framing;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::*;
use crate::body::{Sink, Source};
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
        let Some(pair) = send(&request, Http1Source::new(&io, &mut buffer, framing)).await else {
            return passed;
        };
        passed.push(pair);
    }
}

/// What goes upstream for a request; `None` if its body breaks off.
async fn send(request: &Request, source: Http1Source<'_>) -> Option<(Decided, Vec<u8>)> {
    let (mut upstream, proxy) = UnixStream::pair().unwrap();
    let io = Io::new(Stream::Unix(proxy));
    let mut source = Source::Http1(source);
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
        let (read, rest) = read_as_server(&wire);
        let text = String::from_utf8_lossy(&wire);
        assert_eq!(read, decided, "{text}");
        assert!(rest.is_empty(), "{:?} is left over of {text}", String::from_utf8_lossy(&rest));
    }
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
fn the_reader_of_these_tests_finds_what_is_smuggled() {
    let wire = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n";
    assert!(!read_as_server(wire).1.is_empty());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let input = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n";
    let passed = runtime.block_on(pass_on(input));
    let bodies: Vec<&[u8]> = passed.iter().map(|(decided, _)| &decided.body[..]).collect();
    assert_eq!(bodies, [&b"abc"[..], b""]);
}
