//! Sends bytes to a proxy and tells what became of them: every response, and whether the connection still serves.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What is told of a proxy that says nothing for longer than it is given.
pub(crate) const SILENT: &str = "silence";
/// Sent after each case to learn whether the connection goes on.
const PROBE: &[u8] = b"GET /exact?probe HTTP/1.1\r\nhost: shop.test\r\n\r\n";

/// Headers of responses whose values both proxies may choose as they like.
const FREE: &[&str] = &["date", "x-envoy-upstream-service-time"];

/// What became of `bytes`, as text to compare, where a proxy may be silent for so long.
pub(crate) fn send(proxy: SocketAddr, bytes: &[u8], silence: Duration) -> String {
    let mut stream = TcpStream::connect(proxy).expect("the proxy listens");
    stream.set_read_timeout(Some(silence)).expect("a time above zero");
    stream.set_nodelay(true).expect("a TCP socket");
    let mut told = String::new();
    // A proxy that refuses may close before everything was written.
    let _ = stream.write_all(bytes).and_then(|()| stream.write_all(PROBE));
    let mut reader = BufReader::new(&stream);
    let is_head = bytes.starts_with(b"HEAD ");
    loop {
        match response(&mut reader, is_head) {
            Ok(Some(response)) if response.contains("?probe HTTP/1.1") => {
                told.push_str("then: the connection goes on\n");
                break;
            }
            Ok(Some(response)) => told.push_str(&response),
            Ok(None) => {
                told.push_str("then: closed\n");
                break;
            }
            Err(why) => {
                let _ = writeln!(told, "then: {why}");
                break;
            }
        }
    }
    told
}

/// One response; `None` at the end of the connection.
fn response(reader: &mut impl BufRead, is_head: bool) -> Result<Option<String>, String> {
    let Some(line) = text(reader)? else { return Ok(None) };
    let mut told = String::new();
    let status: u16 = line
        .split(' ')
        .nth(1)
        .and_then(|it| it.parse().ok())
        .ok_or(format!("no response: {line:?}"))?;
    let mut headers = Vec::new();
    loop {
        let line = text(reader)?.ok_or("closed inside a head")?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or(format!("no header: {line:?}"))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let header = |name: &str| headers.iter().find(|it| it.0 == name).map(|it| it.1.as_str());
    let body = match (header("transfer-encoding"), header("content-length")) {
        _ if is_head || status < 200 || status == 204 || status == 304 => String::new(),
        (Some("chunked"), _) => chunks(reader)?,
        (_, Some(length)) => {
            let mut body = vec![0; length.parse().map_err(|_| format!("length {length}"))?];
            match reader.read_exact(&mut body) {
                Ok(()) => String::from_utf8_lossy(&body).into_owned(),
                Err(error) if is_over(&error) => "(breaks off)".to_owned(),
                Err(error) => return Err(why(&error)),
            }
        }
        (_, None) => {
            let mut body = Vec::new();
            reader.read_to_end(&mut body).map_err(|error| why(&error))?;
            String::from_utf8_lossy(&body).into_owned()
        }
    };
    let _ = writeln!(told, "{status}");
    let free = headers.iter_mut().filter(|(name, _)| FREE.contains(&name.as_str()));
    free.for_each(|(_, value)| *value = "(some)".to_owned());
    let is_own = status >= 400 && status != 418 && !body.contains(" HTTP/1.1\n");
    headers
        .retain(|(name, _)| !is_own || !matches!(name.as_str(), "content-type" | "content-length"));
    // The length follows from the body.
    let lengths = headers.iter_mut().filter(|(name, _)| name == "content-length");
    lengths.for_each(|(_, value)| *value = "(some)".to_owned());
    headers.sort();
    for (name, value) in headers {
        let _ = writeln!(told, "{name}: {value}");
    }
    // What a proxy says in its own answers are its own words, if any.
    let body = if is_own { "(words)" } else { body.as_str() };
    let _ = writeln!(told, "\n{body}");
    Ok(Some(told))
}

fn chunks(reader: &mut impl BufRead) -> Result<String, String> {
    let mut body = Vec::new();
    loop {
        let Some(line) = text(reader)? else { return Ok("(breaks off)".to_owned()) };
        let size = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)
            .map_err(|_| format!("no chunk: {line:?}"))?;
        if size == 0 {
            break;
        }
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk).map_err(|error| why(&error))?;
        body.extend_from_slice(&chunk[..size]);
    }
    let mut trailers = String::new();
    while let Some(line) = text(reader)?.filter(|line| !line.is_empty()) {
        let _ = writeln!(trailers, "trailer {line}");
    }
    Ok(format!("{}{trailers}", String::from_utf8_lossy(&body)))
}

/// A line; `None` at the end.
fn text(reader: &mut impl BufRead) -> Result<Option<String>, String> {
    let mut line = Vec::new();
    match reader.read_until(b'\n', &mut line) {
        Ok(0) => Ok(None),
        Ok(_) => Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned())),
        Err(error) if is_over(&error) => Ok(None),
        Err(error) => Err(why(&error)),
    }
}

fn is_over(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof)
}

fn why(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => SILENT.to_owned(),
        _ => error.to_string(),
    }
}
