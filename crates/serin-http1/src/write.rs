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
    if status == 200 {
        return out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    }
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
    // Most are small counts.
    if let Ok(digit @ ..=9) = u8::try_from(number) {
        return out.push(b'0' + digit);
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

/// Writes an address of IP version 4.
pub fn write_ipv4(out: &mut Vec<u8>, address: [u8; 4]) {
    // Each number is written with room for three digits and a dot; the next begins where it ends.
    let mut text = [0; 16];
    let mut at = 0;
    for octet in address {
        let (digits, length) = OCTETS[usize::from(octet)];
        if let Some(place) = text.get_mut(at..at + 4) {
            place.copy_from_slice(&digits);
        }
        at += length;
    }
    // Without the last dot.
    out.extend_from_slice(text.get(..at - 1).unwrap_or_default());
}

/// Numbers of one byte with a dot after them, and how long that is.
const OCTETS: [([u8; 4], usize); 256] = {
    let mut table = [([b'.'; 4], 0); 256];
    let mut number = 0;
    while number < 256 {
        let (mut digits, mut at) = ([b'.'; 4], 0);
        let mut unit = 100;
        while unit > 0 {
            if number >= unit || unit == 1 {
                digits[at] = b'0' + (number / unit % 10) as u8;
                at += 1;
            }
            unit /= 10;
        }
        table[number] = (digits, at + 1);
        number += 1;
    }
    table
};

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

    #[test]
    fn numbers_and_addresses_are_written_in_decimals() {
        let text = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            write(&mut out);
            String::from_utf8(out).unwrap()
        };
        for number in [0, 9, 10, 99, 100, 255, 256, u64::MAX] {
            assert_eq!(text(&|out| write_decimal(out, number)), number.to_string());
        }
        for octets in [[0, 0, 0, 0], [1, 10, 100, 255], [255, 255, 255, 255], [127, 0, 0, 1]] {
            let expected = std::net::Ipv4Addr::from(octets).to_string();
            assert_eq!(text(&|out| write_ipv4(out, octets)), expected);
        }
    }
}
