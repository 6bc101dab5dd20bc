//! Reading the head of a request or response: the first line and the header fields (RFC 9112 §2–§5).

use memchr::memchr;

use crate::header::slice;
use crate::{Error, Field, FieldName, FieldNames};

/// Limits on a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole head, its empty line included (Envoy's default 60 KiB).
    pub head_bytes: usize,
    /// Header fields (Envoy's default 100).
    pub fields: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head_bytes: 60 * 1024, fields: 100 }
    }
}

/// Fields that there is room for from the beginning.
const FIELDS: usize = 24;

/// HTTP/1.0 or HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// Which message a head begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A request: the first line is method, target and version.
    Request,
    /// A response: the first line is version, status and reason.
    Response,
}

/// A head as offsets into the buffer it was read from. Reused from message to message.
#[derive(Clone, Debug)]
pub struct Head {
    version: Version,
    status: u16,
    first: (u32, u32),
    second: (u32, u32),
    length: usize,
    fields: Vec<Field>,
    names: FieldNames,
    /// Where the lines end, but for the empty one.
    feeds: Vec<u32>,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            version: Version::Http11,
            status: 0,
            first: (0, 0),
            second: (0, 0),
            length: 0,
            fields: Vec::new(),
            names: FieldNames::default(),
            feeds: Vec::new(),
        }
    }
}

impl Head {
    /// Reads a head from the start of `buffer`, making header names lower-case in place. `None` if its end has not arrived;
    /// the caller calls again with more. Empty lines before a request are skipped (RFC 9112 §2.2).
    ///
    /// # Errors
    /// The message is malformed or over a limit.
    pub fn read(
        &mut self,
        kind: Kind,
        buffer: &mut [u8],
        limits: Limits,
    ) -> Result<Option<()>, Error> {
        let start = if kind == Kind::Request { leading_empty_lines(buffer)? } else { 0 };
        let Some(length) = end_of_head(buffer, start, limits, &mut self.feeds)? else {
            return Ok(None);
        };
        self.fields.clear();
        self.names = FieldNames::default();
        self.fields.reserve(FIELDS);
        self.length = length;
        let head = buffer.get_mut(..length).unwrap_or_default();
        let mut at = start;
        for number in 0..self.feeds.len() {
            let feed = self.feeds.get(number).map_or(at, |&feed| feed as usize);
            match (number, kind) {
                (0, Kind::Request) => self.request_line(head, at, feed)?,
                (0, Kind::Response) => self.status_line(head, feed)?,
                _ if self.fields.len() == limits.fields => return Err(Error::TooManyFields),
                _ => self.field(head, at, feed)?,
            }
            at = feed + 1;
        }
        Ok(Some(()))
    }

    /// Bytes of the head in the buffer, its empty line included.
    pub const fn length(&self) -> usize {
        self.length
    }

    /// The version.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The status code of a response; 0 for a request.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The method of a request.
    pub fn method<'b>(&self, buffer: &'b [u8]) -> &'b [u8] {
        slice(buffer, self.first.0, self.first.1)
    }

    /// The target of a request, in whatever form it came.
    pub fn target<'b>(&self, buffer: &'b [u8]) -> &'b [u8] {
        slice(buffer, self.second.0, self.second.1)
    }

    /// The header fields in the order they came.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The names of the fields.
    pub const fn names(&self) -> FieldNames {
        self.names
    }

    /// The fields of one name.
    pub fn all(&self, name: FieldName) -> impl Iterator<Item = &Field> {
        let fields = if self.names.has(name) { self.fields.as_slice() } else { &[] };
        fields.iter().filter(move |field| field.known == name)
    }

    /// The value of the first field of one name.
    pub fn first<'b>(&self, name: FieldName, buffer: &'b [u8]) -> Option<&'b [u8]> {
        self.all(name).next().map(|field| field.value(buffer))
    }

    /// `method SP target SP HTTP/1.x CR LF`, with single spaces.
    fn request_line(&mut self, head: &[u8], start: usize, feed: usize) -> Result<(), Error> {
        let line = line(head.get(start..feed))?;
        let method = memchr(b' ', line).ok_or(Error::RequestLine)?;
        if method == 0 || !line.iter().take(method).all(|&byte| is_token(byte)) {
            return Err(Error::RequestLine);
        }
        let rest = line.get(method + 1..).unwrap_or_default();
        let target = memchr(b' ', rest).ok_or(Error::RequestLine)?;
        if target == 0 || !rest.iter().take(target).all(|&byte| byte > b' ' && byte != 0x7f) {
            return Err(Error::Target);
        }
        self.version = version(rest.get(target + 1..).unwrap_or_default())?;
        self.status = 0;
        self.first = (offset(start), offset(start + method));
        self.second = (offset(start + method + 1), offset(start + method + 1 + target));
        Ok(())
    }

    /// `HTTP/1.x SP 3DIGIT SP reason CR LF`; the space before an empty reason may be missing, as many servers leave it out.
    fn status_line(&mut self, head: &[u8], feed: usize) -> Result<(), Error> {
        let line = line(head.get(..feed))?;
        self.version = version(line.get(..8).ok_or(Error::StatusLine)?)?;
        let &[b' ', a, b, c] = line.get(8..12).ok_or(Error::StatusLine)? else {
            return Err(Error::StatusLine);
        };
        let digits = [a, b, c];
        if !digits.iter().all(u8::is_ascii_digit) || !matches!(line.get(12), None | Some(b' ')) {
            return Err(Error::StatusLine);
        }
        let reason = line.get(13..).unwrap_or_default();
        if !reason.iter().all(|&byte| is_value(byte)) {
            return Err(Error::StatusLine);
        }
        self.status = digits.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
        if self.status < 100 {
            return Err(Error::StatusLine);
        }
        self.first = (0, 0);
        self.second = (0, 0);
        Ok(())
    }

    /// `name ":" OWS value OWS CR LF`.
    fn field(&mut self, head: &mut [u8], start: usize, feed: usize) -> Result<(), Error> {
        let whole = head.get_mut(start..feed).unwrap_or_default();
        if let Some(b' ' | b'\t') = whole.first() {
            return Err(Error::Folding);
        }
        let mut length = 0;
        for byte in whole.iter_mut() {
            match TOKEN[usize::from(*byte)] {
                0 => break,
                lower => *byte = lower,
            }
            length += 1;
        }
        let (name, rest) = whole.split_at(length);
        if name.is_empty() || rest.first() != Some(&b':') {
            return Err(Error::FieldName);
        }
        let name_end = start + length;
        let line = line(rest.get(1..))?;
        // All of them without a way out between: that is done many at a time.
        if !line.iter().fold(true, |good, &byte| good & is_value(byte)) {
            return Err(Error::FieldValue);
        }
        let value = line.trim_ascii_start();
        let value_start = name_end + 1 + (line.len() - value.len());
        let value_end = value_start + value.trim_ascii_end().len();
        let known = FieldName::of(name);
        self.names.insert(known);
        self.fields.push(Field {
            known,
            name_start: offset(start),
            name_end: offset(name_end),
            value_start: offset(value_start),
            value_end: offset(value_end),
        });
        Ok(())
    }
}

/// A line without its carriage return, out of what stands before its line feed. A line feed alone is refused.
fn line(before_feed: Option<&[u8]>) -> Result<&[u8], Error> {
    match before_feed.and_then(<[u8]>::split_last) {
        Some((b'\r', line)) => Ok(line),
        _ => Err(Error::LineEnd),
    }
}

/// The length of the head once its empty line is there, and where the lines before it end. Looks for line feeds only: this is
/// repeated for a head that arrives in pieces, and must stay cheap for one that arrives byte by byte.
fn end_of_head(
    buffer: &[u8],
    start: usize,
    limits: Limits,
    feeds: &mut Vec<u32>,
) -> Result<Option<usize>, Error> {
    feeds.clear();
    let within = buffer.get(..limits.head_bytes).unwrap_or(buffer);
    let mut at = start;
    while let Some(feed) = memchr(b'\n', within.get(at..).unwrap_or_default()) {
        feeds.push(offset(at + feed));
        at += feed + 1;
        match within.get(at..) {
            Some([b'\r', b'\n', ..]) => return Ok(Some(at + 2)),
            // A bare line feed would end the head for a lenient reader.
            Some([b'\n', ..]) => return Err(Error::LineEnd),
            _ => {}
        }
    }
    if buffer.len() >= limits.head_bytes { Err(Error::HeadTooLong) } else { Ok(None) }
}

fn leading_empty_lines(buffer: &[u8]) -> Result<usize, Error> {
    let mut start = 0;
    while let Some(b"\r\n") = buffer.get(start..start + 2) {
        start += 2;
        // One is common after a body; more are an attempt to keep the connection busy.
        if start > 8 {
            return Err(Error::RequestLine);
        }
    }
    Ok(start)
}

fn version(text: &[u8]) -> Result<Version, Error> {
    match text {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', ..] => Err(Error::Version),
        _ => Err(Error::RequestLine),
    }
}

/// Heads are bounded by [`Limits::head_bytes`], far below what an offset can hold.
#[expect(clippy::cast_possible_truncation, reason = "heads are bounded far below 4 GiB")]
const fn offset(at: usize) -> u32 {
    at as u32
}

/// Characters of a token (RFC 9110 §5.6.2) in lower case; 0 for all others.
const TOKEN: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        let value = byte as u8;
        let is_mark = matches!(
            value,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        );
        if value.is_ascii_alphanumeric() || is_mark {
            table[byte] = value.to_ascii_lowercase();
        }
        byte += 1;
    }
    table
};

pub(crate) const fn is_token(byte: u8) -> bool {
    TOKEN[byte as usize] != 0
}

/// Visible characters, spaces, tabs and bytes above ASCII (RFC 9110 §5.5).
const fn is_value(byte: u8) -> bool {
    ((byte >= b' ') & (byte != 0x7f)) | (byte == b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: Kind, text: &str) -> Result<Option<(Head, Vec<u8>)>, Error> {
        let mut buffer = text.as_bytes().to_vec();
        let mut head = Head::default();
        Ok(head.read(kind, &mut buffer, Limits::default())?.map(|()| (head, buffer)))
    }

    fn refused(text: &str, error: Error) {
        assert_eq!(read(Kind::Request, text).map(|_| ()), Err(error), "{text:?}");
    }

    #[test]
    fn a_request_is_read_into_offsets() {
        let text = "\r\nGET /a?b=c HTTP/1.1\r\nHost: example.com\r\nX-Empty:\r\nX-Spaces:  a b \t\r\n\r\nbody";
        let (head, buffer) = read(Kind::Request, text).unwrap().unwrap();
        assert_eq!(head.method(&buffer), b"GET");
        assert_eq!(head.target(&buffer), b"/a?b=c");
        assert_eq!(head.length(), text.len() - "body".len());
        let fields: Vec<_> =
            head.fields().iter().map(|it| (it.name(&buffer), it.value(&buffer))).collect();
        let expected: [(&[u8], &[u8]); 3] =
            [(b"host", b"example.com"), (b"x-empty", b""), (b"x-spaces", b"a b")];
        assert_eq!(fields, expected);
        assert_eq!(head.first(FieldName::Host, &buffer), Some(&b"example.com"[..]));
    }

    #[test]
    fn a_response_is_read_with_or_without_reason() {
        for text in
            ["HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 204 \r\n\r\n", "HTTP/1.1 204\r\n\r\n"]
        {
            let (head, _) = read(Kind::Response, text).unwrap().unwrap();
            assert_eq!((head.status(), head.version()), (204, Version::Http11));
        }
        assert_eq!(
            read(Kind::Response, "HTTP/1.1 20 OK\r\n\r\n").map(|_| ()),
            Err(Error::StatusLine)
        );
        assert_eq!(
            read(Kind::Response, "HTTP/1.1 099 OK\r\n\r\n").map(|_| ()),
            Err(Error::StatusLine)
        );
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        refused("GET / HTTP/1.1\nHost: a\r\n\r\n", Error::LineEnd);
        refused("GET / HTTP/1.1\r\nHost: a\n\n", Error::LineEnd);
        refused("GET / HTTP/1.1\r\nHost: a\r\rx: y\r\n\r\n", Error::FieldValue);
        refused("GET / HTTP/1.1\r\nHost : a\r\n\r\n", Error::FieldName);
        refused("GET / HTTP/1.1\r\n Host: a\r\n\r\n", Error::Folding);
        refused("GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", Error::Folding);
        refused("GET / HTTP/1.1\r\n: a\r\n\r\n", Error::FieldName);
        refused("GET / HTTP/1.1\r\nnocolon\r\n\r\n", Error::FieldName);
        refused("GET / HTTP/1.1\r\na: b\0c\r\n\r\n", Error::FieldValue);
        refused("GET  / HTTP/1.1\r\n\r\n", Error::Target);
        refused("GET / HTTP/1.1 \r\n\r\n", Error::Version);
        refused("GET / HTTP/2.0\r\n\r\n", Error::Version);
        refused("GET /\r\n\r\n", Error::RequestLine);
        refused("G(T / HTTP/1.1\r\n\r\n", Error::RequestLine);
        refused("GET /\x7f HTTP/1.1\r\n\r\n", Error::Target);
    }

    #[test]
    fn limits_hold_before_the_end_has_arrived() {
        let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(60 * 1024));
        refused(&long, Error::HeadTooLong);
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(101));
        refused(&many, Error::TooManyFields);
        assert!(read(Kind::Request, "GET / HTTP/1.1\r\nHost: a\r\n").unwrap().is_none());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_and_a_prefix_never_reads_as_more(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300), cut in 0usize..300,
        ) {
            let mut head = Head::default();
            let mut whole = bytes.clone();
            let full = head.read(Kind::Request, &mut whole, Limits::default());
            let mut prefix = bytes.get(..cut.min(bytes.len())).unwrap_or_default().to_vec();
            let partial = Head::default().read(Kind::Request, &mut prefix, Limits::default());
            if partial == Ok(Some(())) {
                assert_eq!(full, Ok(Some(())));
            }
        }
    }
}
