//! One connection that asks for the version behind an address, again and again.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// An answer takes no longer, or is none.
const LIMIT: Duration = Duration::from_secs(5);

/// Asks `authority` at an address; the connection is kept, and opened anew after a failure.
pub(crate) struct Asker {
    address: String,
    request: Vec<u8>,
    stream: Option<TcpStream>,
    answer: Vec<u8>,
}

impl Asker {
    pub(crate) fn new(address: &str, authority: &str) -> Self {
        Self {
            address: address.to_owned(),
            request: format!("GET / HTTP/1.1\r\nhost: {authority}\r\n\r\n").into_bytes(),
            stream: None,
            answer: Vec::new(),
        }
    }

    /// The version that answers with 200.
    pub(crate) fn ask(&mut self) -> io::Result<String> {
        let result = self.try_ask();
        if result.is_err() {
            self.stream = None;
        }
        result
    }

    fn try_ask(&mut self) -> io::Result<String> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let stream = TcpStream::connect(&self.address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(LIMIT))?;
                none.insert(stream)
            }
        };
        stream.write_all(&self.request)?;
        self.answer.clear();
        loop {
            let mut piece = [0; 2048];
            let length = stream.read(&mut piece)?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.answer.extend_from_slice(piece.get(..length).unwrap_or_default());
            if let Some(version) = version(&self.answer)? {
                return Ok(version);
            }
        }
    }
}

/// The version that a whole answer tells; `None` if it is not whole.
fn version(answer: &[u8]) -> io::Result<Option<String>> {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return Ok(None) };
    let mut lines = head.lines();
    let status = lines.next().unwrap_or_default();
    let field = |wanted: &str| {
        head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(wanted).then(|| value.trim().to_owned())
        })
    };
    let length = field("content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
    if body.len() < length {
        return Ok(None);
    }
    if status.split(' ').nth(1) != Some("200") {
        return Err(io::Error::other(format!("{status}: {body}")));
    }
    Ok(Some(field("x-version").unwrap_or_default()))
}
