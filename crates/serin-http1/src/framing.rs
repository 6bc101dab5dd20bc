//! How long a body is (RFC 9112 §6), with everything ambiguous refused.

use crate::{Error, FieldName, Head, Version};

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks, then trailers.
    Chunked,
    /// All bytes until the connection ends (responses only).
    UntilClose,
}

/// How long the body of a request is.
///
/// # Errors
/// The length is ambiguous, not a number, or in a coding that is not supported.
pub fn request_framing(head: &Head, buffer: &[u8]) -> Result<Framing, Error> {
    Ok(declared(head, buffer)?.unwrap_or(Framing::None))
}

/// How long the body of a response to a request of `method` is. Responses that switch protocols or answer `CONNECT` have no body:
/// what follows belongs to the new protocol.
///
/// # Errors
/// As for requests; or the status says that there is no body, and the length that there is one.
pub fn response_framing(head: &Head, buffer: &[u8], method: &[u8]) -> Result<Framing, Error> {
    let declared = declared(head, buffer)?;
    let is_empty = matches!(declared, None | Some(Framing::Length(0)));
    if matches!(head.status(), 100..=199 | 204) && !is_empty {
        return Err(Error::UnwantedBody);
    }
    let never = method == b"HEAD"
        || matches!(head.status(), 100..=199 | 204 | 304)
        || (method == b"CONNECT" && matches!(head.status(), 200..=299));
    Ok(if never { Framing::None } else { declared.unwrap_or(Framing::UntilClose) })
}

fn declared(head: &Head, buffer: &[u8]) -> Result<Option<Framing>, Error> {
    let mut lengths = head.all(FieldName::ContentLength);
    let mut codings = head.all(FieldName::TransferEncoding);
    match (lengths.next(), codings.next()) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(Error::Ambiguous),
        (Some(length), None) if lengths.next().is_none() => {
            number(length.value(buffer)).map(Framing::Length).map(Some)
        }
        (Some(_), None) => Err(Error::ContentLength),
        (None, Some(_)) if head.version() == Version::Http10 => Err(Error::Ambiguous),
        (None, Some(coding)) => {
            let only_chunked =
                coding.value(buffer).eq_ignore_ascii_case(b"chunked") && codings.next().is_none();
            if only_chunked { Ok(Some(Framing::Chunked)) } else { Err(Error::TransferEncoding) }
        }
    }
}

/// Digits only: no sign, no list, no white space.
fn number(text: &[u8]) -> Result<u64, Error> {
    if text.is_empty() || text.len() > 19 || !text.iter().all(u8::is_ascii_digit) {
        return Err(Error::ContentLength);
    }
    Ok(text.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, Limits};

    fn request(fields: &str) -> Result<Framing, Error> {
        let mut buffer = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes();
        let mut head = Head::default();
        head.read(Kind::Request, &mut buffer, Limits::default())?.unwrap();
        request_framing(&head, &buffer)
    }

    #[test]
    fn one_number_or_chunked_is_the_length_of_a_request() {
        assert_eq!(request(""), Ok(Framing::None));
        assert_eq!(request("Content-Length: 12\r\n"), Ok(Framing::Length(12)));
        assert_eq!(request("Transfer-Encoding: Chunked\r\n"), Ok(Framing::Chunked));
    }

    #[test]
    fn smuggling_attempts_are_refused() {
        for fields in [
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 1\r\nContent-Length: 2\r\n",
            "Content-Length: 1\r\nContent-Length: 1\r\n",
            "Content-Length: +1\r\n",
            "Content-Length: 1, 1\r\n",
            "Content-Length: 0x1\r\n",
            "Content-Length:\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            "Transfer-Encoding:\x0bchunked\r\n",
        ] {
            let framing = request(fields);
            assert!(framing.is_err(), "{fields:?} gave {framing:?}");
        }
    }

    #[test]
    fn a_response_that_has_no_body_declares_none() {
        for (status, field) in [
            ("204 No Content", "Content-Length: 2"),
            ("204 No Content", "Transfer-Encoding: chunked"),
            ("103 Early Hints", "Content-Length: 2"),
            ("101 Switching Protocols", "Transfer-Encoding: chunked"),
        ] {
            let mut buffer = format!("HTTP/1.1 {status}\r\n{field}\r\n\r\n").into_bytes();
            let mut head = Head::default();
            head.read(Kind::Response, &mut buffer, Limits::default()).unwrap().unwrap();
            let framing = response_framing(&head, &buffer, b"GET");
            assert_eq!(framing, Err(Error::UnwantedBody), "{status} {field}");
        }
    }

    #[test]
    fn a_response_without_a_length_lasts_until_the_connection_ends() {
        let framing = |text: &str, method: &str| {
            let mut buffer = text.as_bytes().to_vec();
            let mut head = Head::default();
            head.read(Kind::Response, &mut buffer, Limits::default()).unwrap().unwrap();
            response_framing(&head, &buffer, method.as_bytes()).unwrap()
        };
        assert_eq!(framing("HTTP/1.1 200 OK\r\n\r\n", "GET"), Framing::UntilClose);
        assert_eq!(
            framing("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "GET"),
            Framing::Length(5)
        );
        assert_eq!(framing("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD"), Framing::None);
        assert_eq!(
            framing("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "GET"),
            Framing::None
        );
        assert_eq!(framing("HTTP/1.1 204 No Content\r\n\r\n", "GET"), Framing::None);
        let empty = "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(framing(empty, "GET"), Framing::None);
        assert_eq!(framing("HTTP/1.1 200 OK\r\n\r\n", "CONNECT"), Framing::None);
    }
}
