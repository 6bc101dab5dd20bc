//! Input that is meant to do harm.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use crate::support::{Setup, connect, echo, next_request, read_until, talk, upstream};

/// An upstream that fails the test if anything reaches it.
fn untouched() -> (SocketAddr, mpsc::Receiver<String>) {
    let (tell, told) = mpsc::channel();
    let address = upstream(move |mut stream| {
        let request = next_request(&mut stream, &mut Vec::new()).unwrap_or_default();
        let _ = tell.send(request);
    });
    (address, told)
}

#[test]
fn what_two_readers_could_read_differently_never_reaches_the_upstream() {
    let (address, reached) = untouched();
    let running = Setup::new(address).start();
    let bytes: &[(&[u8], u16)] = &[
        (b"POST / HTTP/1.1\r\nHost: echo.example\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: echo.example\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: echo.example\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nabcd", 400),
        (b"POST / HTTP/1.1\r\nHost: echo.example\r\nContent-Length: 4, 4\r\n\r\nabcd", 400),
        (b"POST / HTTP/1.1\r\nHost: echo.example\r\nContent-Length: +4\r\n\r\nabcd", 400),
        (b"POST / HTTP/1.1\r\nHost: echo.example\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: echo.example\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: echo.example\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.0\r\nHost: echo.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: echo.example\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: echo.example\r\nX: a\r\n b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: echo.example\r\nX: a\0b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: echo.example\r\nX: a\rb\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: echo.example\r\nX Y: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: echo.example\r\nHost: other.example\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a@echo.example\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: echo.example/x\r\n\r\n", 400),
        (b"GET /a#b HTTP/1.1\r\nHost: echo.example\r\n\r\n", 400),
        (b"GET http://user@echo.example/ HTTP/1.1\r\nHost: echo.example\r\n\r\n", 400),
        (b"GET ftp://echo.example/ HTTP/1.1\r\nHost: echo.example\r\n\r\n", 400),
        (b"GET a HTTP/1.1\r\nHost: echo.example\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\nHost: echo.example\r\n\r\n", 400),
        (b"GET / HTTP/1.2\r\nHost: echo.example\r\n\r\n", 505),
        (b"GET / HTTP/3.0\r\nHost: echo.example\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    ];
    for (bytes, status) in bytes {
        let answer = talk(running.address, bytes);
        let text = String::from_utf8_lossy(bytes);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{text:?} gave {answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
    assert!(reached.try_recv().is_err());
}

#[test]
fn heads_are_bounded() {
    let running = Setup::new(echo()).start();
    let head = |fields: &str| {
        format!("GET / HTTP/1.1\r\nHost: echo.example\r\n{fields}Connection: close\r\n\r\n")
    };
    let long = head(&format!("X: {}\r\n", "a".repeat(61 * 1024)));
    assert!(talk(running.address, long).starts_with("HTTP/1.1 431 "));
    let many = head(&"X: a\r\n".repeat(100));
    assert!(talk(running.address, many).starts_with("HTTP/1.1 431 "));
    let target = format!("GET /{} HTTP/1.1\r\n", "a".repeat(70 * 1024));
    assert!(talk(running.address, target).starts_with("HTTP/1.1 431 "));
    let fits = head(&format!("X: {}\r\n{}", "a".repeat(50 * 1024), "Y: b\r\n".repeat(90)));
    assert!(talk(running.address, fits).starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_head_that_does_not_come_is_not_waited_for() {
    let mut setup = Setup::new(echo());
    setup.settings.head_timeout = Duration::from_millis(50);
    let running = setup.start();
    let answer = talk(running.address, "GET / HTTP/1.1\r\nHost: ec");
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
}

#[test]
fn a_request_whose_body_does_not_come_is_given_up_with_408_and_one_that_is_not_answered_with_504() {
    let silent = upstream(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let mut setup = Setup::new(silent);
    setup.http.stream_idle_timeout = Some(Duration::from_millis(50));
    let running = setup.start();
    let post =
        "POST / HTTP/1.1\r\nHost: echo.example\r\nConnection: close\r\nContent-Length: 5\r\n\r\n";
    let answer = talk(running.address, format!("{post}he"));
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
    assert!(answer.ends_with("stream timeout"), "{answer}");
    let answer = talk(running.address, format!("{post}hello"));
    assert!(answer.starts_with("HTTP/1.1 504 Gateway Timeout\r\n"), "{answer}");
}

#[test]
fn chunks_that_are_malformed_end_the_connection() {
    let running = Setup::new(echo()).start();
    let head = "POST / HTTP/1.1\r\nHost: echo.example\r\nTransfer-Encoding: chunked\r\n\r\n";
    for chunks in [
        "x\r\n",
        "5\r\nhello!\r\n",
        "-1\r\n",
        "0x1\r\na\r\n",
        "1 \r\na\r\n",
        "0\r\nHost: a\r\n\r\n",
        "fffffffffffffffff\r\n",
    ] {
        let answer = talk(running.address, format!("{head}{chunks}"));
        assert!(!answer.starts_with("HTTP/1.1 200"), "{chunks:?} gave {answer}");
    }
}

#[test]
fn a_response_that_could_be_read_differently_is_answered_with_502() {
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 1\n\n",
        "HTTP/1.1 200 OK\r\nX : 1\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        let up = crate::support::answering(move |_| head.to_owned());
        let answer = talk(
            Setup::new(up).start().address,
            "GET / HTTP/1.1\r\nHost: echo.example\r\nConnection: close\r\n\r\n",
        );
        assert!(answer.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{head:?} gave {answer}");
    }
}

#[test]
fn paths_are_normalised_before_anything_looks_at_them() {
    let running = Setup::new(echo()).start();
    for (sent, seen) in [
        ("/a/../b", "/b"),
        ("/a/%2e%2e/b", "/b"),
        ("/../../b", "/b"),
        ("/a\\b", "/a/b"),
        ("//a//b", "//a//b"),
        ("/a%2Fb", "/a%2Fb"),
        ("http://echo.example/a/./b?x=/../y", "/a/b?x=/../y"),
        ("http://echo.example", "/"),
    ] {
        let request =
            format!("GET {sent} HTTP/1.1\r\nHost: echo.example\r\nConnection: close\r\n\r\n");
        let answer = talk(running.address, request);
        assert!(
            answer.contains(&format!("GET {seen} HTTP/1.1\r\nhost: echo.example\r\n")),
            "{sent} gave {answer}"
        );
    }
}

#[test]
fn the_absolute_form_decides_the_host() {
    let running = Setup::new(echo()).start();
    let answer = talk(
        running.address,
        "GET http://echo.example/ HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n",
    );
    assert!(answer.contains("\r\nhost: echo.example\r\n"), "{answer}");
    let answer = talk(
        running.address,
        "GET http://other.example/ HTTP/1.1\r\nHost: echo.example\r\nConnection: close\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

/// A connection that has begun to speak HTTP/2, one frame at a time.
struct Frames(TcpStream);

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `POST http://echo.example/` without Huffman coding.
const HEAD: &[u8] = b"\x83\x86\x84\x01\x0cecho.example";

impl Frames {
    fn open(address: SocketAddr) -> Self {
        let mut stream = connect(address);
        stream.set_nodelay(true).unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        let mut frames = Self(stream);
        frames.send(SETTINGS, 0, 0, b"");
        frames
    }

    /// Sends a frame; the peer may have hung up already.
    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend_from_slice(&[kind, flags]);
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        self.0.write_all(&frame).is_ok()
    }

    /// The next frame: kind, stream and payload; `None` at the end.
    fn next(&mut self) -> Option<(u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        self.0.read_exact(&mut payload).ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some((head[3], stream, payload))
    }

    /// The error of the peer's goodbye, or 0 if it ended without one.
    fn goodbye(&mut self) -> u32 {
        while let Some((kind, _, payload)) = self.next() {
            if kind == GOAWAY {
                return u32::from_be_bytes(payload[4..8].try_into().unwrap());
            }
        }
        0
    }

    /// The error that a stream was reset with, or `None` if the connection ended before that.
    fn reset_of(&mut self, wanted: u32) -> Option<u32> {
        loop {
            let (kind, stream, payload) = self.next()?;
            if (kind, stream) == (RST_STREAM, wanted) {
                return Some(u32::from_be_bytes(payload.try_into().unwrap()));
            }
        }
    }
}

const PROTOCOL_ERROR: u32 = 1;
const ENHANCE_YOUR_CALM: u32 = 11;

#[test]
fn rapid_resets_end_the_connection() {
    // Requests wait upstream, so that each reset ends a stream that is being handled.
    let silent = upstream(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let mut setup = Setup::new(silent);
    setup.settings.http2.premature_resets = 50;
    let running = setup.start();
    let mut frames = Frames::open(running.address);
    for number in 0..2000 {
        let stream = number * 2 + 1;
        let is_sent = frames.send(HEADERS, END_HEADERS | END_STREAM, stream, HEAD)
            && frames.send(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
        // An answer in between lets the stream be handled before it is reset.
        if !is_sent || !frames.send(PING, 0, 0, &[0; 8]) {
            break;
        }
    }
    assert_eq!(frames.goodbye(), ENHANCE_YOUR_CALM);
}

#[test]
fn a_flood_of_continuations_ends_the_connection() {
    let running = Setup::new(echo()).start();
    let mut frames = Frames::open(running.address);
    frames.send(HEADERS, 0, 1, HEAD);
    // Fields that are never complete.
    let mut is_sent = true;
    for _ in 0..10_000 {
        is_sent = is_sent && frames.send(CONTINUATION, 0, 1, b"\x00\x01a\x01b");
    }
    let mut frames = frames;
    assert_eq!(frames.goodbye(), ENHANCE_YOUR_CALM);
}

#[test]
fn a_flood_of_empty_data_ends_the_connection() {
    let silent = upstream(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let running = Setup::new(silent).start();
    let mut frames = Frames::open(running.address);
    frames.send(HEADERS, END_HEADERS, 1, HEAD);
    for _ in 0..20_000 {
        if !frames.send(DATA, 0, 1, b"") {
            break;
        }
    }
    assert_eq!(frames.goodbye(), ENHANCE_YOUR_CALM);
}

#[test]
fn a_list_of_headers_over_the_limit_is_answered_with_431() {
    let running = Setup::new(echo()).start();
    let mut frames = Frames::open(running.address);
    // One field of 4,000 bytes, indexed once and then repeated by its index: a bomb of 80 kB in 4 kB.
    let mut head = HEAD.to_vec();
    head.extend_from_slice(b"\x40\x01x\x7f\xa1\x1e");
    head.extend_from_slice(&[b'a'; 4000]);
    head.extend_from_slice(&[0xbe; 20]);
    frames.send(HEADERS, END_HEADERS | END_STREAM, 1, &head);
    let answer = std::iter::from_fn(|| frames.next()).find(|(kind, ..)| *kind == HEADERS).unwrap();
    // `:status: 431` in Huffman coding.
    assert_eq!(answer.2, [0x48, 0x83, 0x69, 0x90, 0xff]);
}

#[test]
fn malformed_heads_reset_their_stream_and_not_the_connection() {
    let running = Setup::new(echo()).start();
    let heads: &[&[u8]] = &[
        // Headers for one connection only; `te` other than `trailers`.
        b"\x83\x86\x84\x01\x0cecho.example\x00\x0aconnection\x05close",
        b"\x83\x86\x84\x01\x0cecho.example\x00\x11transfer-encoding\x07chunked",
        b"\x83\x86\x84\x01\x0cecho.example\x00\x07upgrade\x01x",
        b"\x83\x86\x84\x01\x0cecho.example\x00\x02te\x04gzip",
        // A pseudo header after a header, a repeated one, and none at all.
        b"\x83\x86\x84\x00\x01a\x01b\x01\x0cecho.example",
        b"\x83\x83\x86\x84\x01\x0cecho.example",
        b"\x01\x0cecho.example",
    ];
    for head in heads {
        let mut frames = Frames::open(running.address);
        frames.send(HEADERS, END_HEADERS | END_STREAM, 1, head);
        let text = String::from_utf8_lossy(head).into_owned();
        assert_eq!(frames.reset_of(1), Some(PROTOCOL_ERROR), "{text:?}");
        frames.send(HEADERS, END_HEADERS | END_STREAM, 3, HEAD);
        let answered = std::iter::from_fn(|| frames.next()).any(|it| (it.0, it.1) == (HEADERS, 3));
        assert!(answered, "{text:?}");
    }
}

#[test]
fn names_that_cannot_be_end_the_connection() {
    let running = Setup::new(echo()).start();
    for name in [&b"\x01A"[..], b"\x02:x"] {
        let mut frames = Frames::open(running.address);
        let head = [HEAD, b"\x00", name, b"\x01b"].concat();
        frames.send(HEADERS, END_HEADERS | END_STREAM, 1, &head);
        assert_ne!(frames.goodbye(), 0, "{name:?}");
    }
}

#[test]
fn a_body_that_is_not_as_long_as_it_says_resets_its_stream() {
    let running = Setup::new(echo()).start();
    let mut head = HEAD.to_vec();
    head.extend_from_slice(b"\x00\x0econtent-length\x013");
    for body in [&b"four"[..], b"2"] {
        let mut frames = Frames::open(running.address);
        frames.send(HEADERS, END_HEADERS, 1, &head);
        frames.send(DATA, END_STREAM, 1, body);
        assert_eq!(frames.reset_of(1), Some(PROTOCOL_ERROR));
    }
}

#[test]
fn streams_over_the_limit_are_refused() {
    let silent = upstream(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let mut setup = Setup::new(silent);
    setup.settings.http2.concurrent_streams = 2;
    let running = setup.start();
    let mut frames = Frames::open(running.address);
    for stream in [1, 3, 5] {
        frames.send(HEADERS, END_HEADERS | END_STREAM, stream, HEAD);
    }
    const REFUSED_STREAM: u32 = 7;
    assert_eq!(frames.reset_of(5), Some(REFUSED_STREAM));
}

#[test]
fn more_than_one_request_in_a_packet_is_answered_in_order() {
    let running = Setup::new(echo()).start();
    let mut stream = connect(running.address);
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: echo.example\r\n\r\n");
    stream.write_all(format!("{}{}{}", get("/1"), get("/2"), get("/3")).as_bytes()).unwrap();
    for path in ["/1", "/2", "/3"] {
        read_until(&mut stream, &format!("GET {path} HTTP/1.1\r\n"));
    }
}
