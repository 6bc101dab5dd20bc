//! Writing heads and chunks into a buffer.

/// Writes a request line.
pub fn request_line(out: &mut Vec<u8>, method: &[u8], target: &[u8]) {
    out.extend_from_slice(method);
    out.push(b' ');
    out.extend_from_slice(target);
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// Writes a status line with the standard's reason phrase.
pub fn status_line(out: &mut Vec<u8>, status: u16) {
    out.extend_from_slice(b"HTTP/1.1 ");
    write_decimal(out, u64::from(status));
    out.push(b' ');
    out.extend_from_slice(reason(status).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Writes a header field.
pub fn write_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    // Once for all of it.
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Writes what stands before the content of a chunk. The caller writes the content and CR LF after it.
pub fn chunk_head(out: &mut Vec<u8>, size: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        out.push(DIGITS[(size >> (place * 4)) & 0xf]);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes the end of a chunked body. `trailers` are whole lines, each with its CR LF.
pub fn last_chunk(out: &mut Vec<u8>, trailers: &[u8]) {
    out.extend_from_slice(b"0\r\n");
    out.extend_from_slice(trailers);
    out.extend_from_slice(b"\r\n");
}

/// Writes a number.
pub fn write_decimal(out: &mut Vec<u8>, number: u64) {
    // Most are statuses, parts of addresses and small counts.
    if let Ok(number @ ..=u8::MAX) = u8::try_from(number) {
        let digits = [number / 100, number / 10 % 10, number % 10].map(|digit| b'0' + digit);
        let first = if number >= 100 {
            0
        } else if number >= 10 {
            1
        } else {
            2
        };
        return out.extend_from_slice(&digits[first..]);
    }
    let mut digits = [0; 20];
    let mut rest = number;
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Reason phrases of RFC 9110 §15 and the registry.
const fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_and_chunks_are_written_as_the_standard_says() {
        let mut out = Vec::new();
        request_line(&mut out, b"GET", b"/a?b");
        write_field(&mut out, b"host", b"example.com");
        status_line(&mut out, 503);
        for size in [0, 1, 15, 16, 255, 4096] {
            chunk_head(&mut out, size);
        }
        last_chunk(&mut out, b"x: y\r\n");
        let expected = "GET /a?b HTTP/1.1\r\nhost: example.com\r\nHTTP/1.1 503 Service Unavailable\r\n\
                        0\r\n1\r\nf\r\n10\r\nff\r\n1000\r\n0\r\nx: y\r\n\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
