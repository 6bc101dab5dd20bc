//! The upstream of both proxies: it answers with what it was sent, so that a comparison of answers compares requests as well.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// Starts it; the port is free again when the test's process ends.
pub(crate) fn start() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || while serve(&stream).is_some() {});
        }
    });
    port
}

/// A port that refuses connections.
pub(crate) fn nobody() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

/// Serves one request; `None` when the connection is over.
fn serve(stream: &TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let request = read(&mut reader)?;
    answer(stream, &mut reader, &request)
}

struct Request {
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    trailers: Vec<String>,
}

fn read(reader: &mut impl BufRead) -> Option<Request> {
    let line = text(reader)?;
    let mut headers = Vec::new();
    loop {
        let line = text(reader)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(": ")?;
        headers.push((name.to_owned(), value.to_owned()));
    }
    let header = |name: &str| headers.iter().find(|it| it.0 == name).map(|it| it.1.as_str());
    let (mut body, mut trailers) = (Vec::new(), Vec::new());
    if header("transfer-encoding") == Some("chunked") {
        loop {
            let size = usize::from_str_radix(text(reader)?.split(';').next()?, 16).ok()?;
            if size == 0 {
                break;
            }
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk).ok()?;
            chunk.truncate(size);
            body.append(&mut chunk);
        }
        loop {
            let line = text(reader)?;
            if line.is_empty() {
                break;
            }
            trailers.push(line);
        }
    } else if let Some(length) = header("content-length") {
        body = vec![0; length.parse().ok()?];
        reader.read_exact(&mut body).ok()?;
    }
    Some(Request { line, headers, body, trailers })
}

fn text(reader: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).ok()?;
    let line = line.strip_suffix(b"\r\n")?;
    Some(String::from_utf8_lossy(line).into_owned())
}

/// Answers by what the path asks for; everywhere the body tells the request.
fn answer(mut stream: &TcpStream, reader: &mut impl Read, request: &Request) -> Option<()> {
    let path = request.line.split(' ').nth(1)?;
    let is_head = request.line.starts_with("HEAD ");
    let told = tell(request);
    let plain = |status: &str, more: &str| {
        let body = if is_head { "" } else { told.as_str() };
        format!("HTTP/1.1 {status}\r\n{more}content-length: {}\r\n\r\n{body}", told.len())
    };
    let asked = path.split(['?', '&']).skip(1).find(|it| !it.contains('=')).unwrap_or_default();
    let text = match asked {
        // Both proxies give up before this.
        "hang" => {
            let _ = reader.read(&mut [0]);
            return None;
        }
        "gone" => return None,
        "503" => plain("503 Service Unavailable", ""),
        "404" => plain("404 Not Found", "x-gone: 1\r\n"),
        "hints" => format!("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n{}", plain("200 OK", "")),
        "continue" => format!("HTTP/1.1 100 Continue\r\n\r\n{}", plain("200 OK", "")),
        "chunked" if is_head => "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned(),
        "chunked" => {
            format!(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n{:x}\r\n{told}\r\n0\r\nx-trailer: 1\r\n\r\n",
                told.len()
            )
        }
        "until-close" => format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{told}"),
        "http10" => format!("HTTP/1.0 200 OK\r\n\r\n{told}"),
        "odd" => plain(
            "200 Fine By Me",
            "server: backend\r\nX-Mixed-Case:  spaced \r\nset-cookie: a=1\r\nset-cookie: b=2\r\nx-empty:\r\nkeep-alive: timeout=5\r\nproxy-connection: x\r\nx-gone: 1\r\nx-set: old\r\nx-added: old\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n",
        ),
        "switched" => {
            return tunnel(
                stream,
                reader,
                "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: x\r\nx-more: 1\r\n",
            );
        }
        "switched-bare" => return tunnel(stream, reader, ""),
        "switched-other" => {
            return tunnel(stream, reader, "upgrade: other\r\nconnection: upgrade\r\n");
        }
        "switched-length" => {
            return tunnel(
                stream,
                reader,
                "upgrade: websocket\r\nconnection: upgrade\r\ncontent-length: 0\r\n",
            );
        }
        "big-head" => {
            format!("HTTP/1.1 200 OK\r\nx-big: {}\r\ncontent-length: 0\r\n\r\n", "b".repeat(70_000))
        }
        "envoys" => plain(
            "200 OK",
            "x-envoy-upstream-service-time: 7\r\nx-envoy-overloaded: true\r\nx-envoy-decorator-operation: a\r\nx-request-id: theirs\r\nvia: 1.1 a\r\n",
        ),
        "hop" => plain(
            "200 OK",
            "connection: x-hop\r\nx-hop: 1\r\nupgrade: h2c\r\nte: trailers\r\ntrailer: x-t\r\nproxy-authenticate: Basic\r\n",
        ),
        "two-servers" => plain("200 OK", "server: a\r\nserver: b\r\ndate: today\r\n"),
        "many-fields" => plain("200 OK", &"x-a: 1\r\n".repeat(150)),
        "many-hints" => {
            format!("{}{}", "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(20), plain("200 OK", ""))
        }
        "extra" => format!("{}surplus", plain("200 OK", "")),
        "two-answers" => plain("200 OK", "").repeat(2),
        "head-with-body" => {
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{told}", told.len())
        }
        other => match ODD.iter().find(|it| it.0 == other) {
            Some((_, text)) => (*text).to_owned(),
            None => plain("200 OK", ""),
        },
    };
    stream.write_all(text.as_bytes()).ok()?;
    let closes = matches!(asked, "garbage" | "short" | "short-chunk" | "until-close" | "http10");
    (!closes).then_some(())
}

/// Switches protocols, and answers what comes then so that it can be told from an answer of HTTP.
fn tunnel(mut stream: &TcpStream, reader: &mut impl Read, headers: &str) -> Option<()> {
    let head = format!("HTTP/1.1 101 Switching Protocols\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    let mut bytes = [0; 4096];
    let count = reader.read(&mut bytes).ok()?;
    let seen = String::from_utf8_lossy(&bytes[..count]);
    let length = seen.len();
    write!(stream, "HTTP/1.1 418 Tunnel\r\ncontent-length: {length}\r\n\r\n{seen}").ok()?;
    None
}

/// Answers that are at the edge of what is allowed, or beyond.
pub(crate) const ODD: [(&str, &str); 45] = [
    ("garbage", "HTTP/1.1 2x0 what\r\n\r\n"),
    ("short", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort"),
    ("204", "HTTP/1.1 204 No Content\r\n\r\n"),
    ("304", "HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\n\r\n"),
    ("both", "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("two-lengths", "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd"),
    ("bare-lf", "HTTP/1.1 200 OK\ncontent-length: 2\n\nok"),
    ("folded", "HTTP/1.1 200 OK\r\nx-a: one\r\n two\r\ncontent-length: 0\r\n\r\n"),
    (
        "switch",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    ),
    ("status-000", "HTTP/1.1 000 OK\r\ncontent-length: 0\r\n\r\n"),
    ("status-99", "HTTP/1.1 99 OK\r\ncontent-length: 0\r\n\r\n"),
    ("status-600", "HTTP/1.1 600 OK\r\ncontent-length: 0\r\n\r\n"),
    ("status-999", "HTTP/1.1 999 OK\r\ncontent-length: 0\r\n\r\n"),
    ("status-1000", "HTTP/1.1 1000 OK\r\ncontent-length: 0\r\n\r\n"),
    ("length-plus", "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok"),
    ("length-minus", "HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok"),
    ("length-hex", "HTTP/1.1 200 OK\r\ncontent-length: 0x2\r\n\r\nok"),
    ("length-empty", "HTTP/1.1 200 OK\r\ncontent-length: \r\n\r\nok"),
    ("length-list", "HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nok"),
    ("length-twice", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok"),
    ("length-zeros", "HTTP/1.1 200 OK\r\ncontent-length: 002\r\n\r\nok"),
    ("length-huge", "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999999\r\n\r\nok"),
    (
        "coding-gzip",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ),
    ("coding-unknown", "HTTP/1.1 200 OK\r\ntransfer-encoding: x\r\nconnection: close\r\n\r\nok"),
    (
        "coding-twice",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ),
    ("coding-upper", "HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
    (
        "coding-in-http10",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ),
    ("204-length", "HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\nok"),
    ("204-zero", "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n"),
    (
        "204-chunked",
        "HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ),
    ("205-length", "HTTP/1.1 205 Reset Content\r\ncontent-length: 2\r\n\r\nok"),
    ("304-length", "HTTP/1.1 304 Not Modified\r\ncontent-length: 10\r\n\r\n"),
    ("304-chunked", "HTTP/1.1 304 Not Modified\r\ntransfer-encoding: chunked\r\n\r\n"),
    ("nul", "HTTP/1.1 200 OK\r\nx-a: a\0b\r\ncontent-length: 0\r\n\r\n"),
    ("control", "HTTP/1.1 200 OK\r\nx-a: a\u{1}b\r\ncontent-length: 0\r\n\r\n"),
    ("latin", "HTTP/1.1 200 OK\r\nx-a: \u{e9}\r\ncontent-length: 0\r\n\r\n"),
    ("name-space", "HTTP/1.1 200 OK\r\nx a: 1\r\ncontent-length: 0\r\n\r\n"),
    ("name-then-space", "HTTP/1.1 200 OK\r\nx-a : 1\r\ncontent-length: 0\r\n\r\n"),
    ("name-empty", "HTTP/1.1 200 OK\r\n: 1\r\ncontent-length: 0\r\n\r\n"),
    ("no-colon", "HTTP/1.1 200 OK\r\nx-a\r\ncontent-length: 0\r\n\r\n"),
    ("no-reason", "HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n"),
    ("http12", "HTTP/1.2 200 OK\r\ncontent-length: 0\r\n\r\n"),
    ("http2", "HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n"),
    ("bad-chunk", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n"),
    ("short-chunk", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel"),
];

/// The request as text. Values that are random are left out.
fn tell(request: &Request) -> String {
    let mut headers: Vec<String> = request
        .headers
        .iter()
        .map(|(name, value)| match name.as_str() {
            "x-request-id" => "x-request-id: (some)".to_owned(),
            // Envoy tells the address of its machine in the place of a loopback address at the end of the list.
            "x-forwarded-for" => format!(
                "x-forwarded-for: {} and the peer",
                value.rsplit_once(',').map_or("", |it| it.0)
            ),
            _ => format!("{name}: {value}"),
        })
        .collect();
    headers.sort();
    let body = String::from_utf8_lossy(&request.body);
    let shown: String = body.chars().take(80).collect();
    format!(
        "{}\n{}\n\n{} bytes: {shown}\ntrailers: {:?}\n",
        request.line,
        headers.join("\n"),
        request.body.len(),
        request.trailers
    )
}
