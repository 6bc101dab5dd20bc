//! Requests from and for HTTP/2 streams.
//!
//! The library has refused what is malformed by itself: names that are not lower-case, unknown or repeated pseudo headers,
//! headers for one connection only, `te` other than `trailers`. What is looked at here is what an HTTP/1 upstream could
//! read differently, and what this proxy wants beyond that.

use http::request::Parts;
use serin_http1::{Error, FieldName, Limits, Target, is_authority};
use serin_routing::request::Request as _;

use super::{Request, Upgrade};

impl Request {
    /// Takes over an HTTP/2 head. `is_end` says that no body follows.
    pub(crate) fn read_http2(
        &mut self,
        parts: &Parts,
        is_end: bool,
        limits: Limits,
    ) -> Result<(), Error> {
        if parts.headers.len() > limits.fields {
            return Err(Error::TooManyFields);
        }
        self.headers.copy_map(&parts.headers);
        let protocol = parts.extensions.get::<h2::ext::Protocol>();
        let method = match protocol {
            // As Envoy does, an extended CONNECT is from here on what it would be over HTTP/1.
            Some(_) => b"GET",
            None => parts.method.as_str().as_bytes(),
        };
        self.method = self.headers.intern(method);
        self.read_authority(parts)?;
        let path = parts.uri.path_and_query().map_or("", |path| path.as_str()).as_bytes();
        if !self.is_connect() {
            match Target::parse(method, path)? {
                Target::Origin(_) | Target::Asterisk => {}
                _ => return Err(Error::Target),
            }
        }
        self.set_path(path)?;
        self.check_length(is_end)?;
        self.headers.join(FieldName::Cookie, b"; ");
        self.upgrade = match protocol {
            None if self.is_connect() => Upgrade::Other,
            None => Upgrade::None,
            Some(protocol) => {
                self.headers.append(b"upgrade", protocol.as_ref());
                let is_websocket = protocol.as_str().eq_ignore_ascii_case("websocket");
                if is_websocket { Upgrade::WebSocket } else { Upgrade::Other }
            }
        };
        Ok(())
    }

    /// The head for an HTTP/2 upstream.
    ///
    /// # Errors
    /// The path or the authority has characters that HTTP/2 does not carry.
    pub(crate) fn to_http2(&self) -> Result<http::Request<()>, http::Error> {
        let mut request = http::Request::builder();
        let mut uri = http::Uri::builder().authority(self.authority_text());
        // `CONNECT` has an authority and nothing else (RFC 9113 §8.5).
        if !self.is_connect() {
            uri = uri.scheme(self.scheme());
            if self.target_text() != b"*" {
                uri = uri.path_and_query(self.target_text());
            }
        }
        if self.upgrade == Upgrade::WebSocket {
            let websocket = h2::ext::Protocol::from_static("websocket");
            request = request.method(http::Method::CONNECT).extension(websocket);
        } else {
            request = request.method(self.method_text());
        }
        let mut request = request.uri(uri.build()?).body(())?;
        let headers = request.headers_mut();
        *headers = self.headers.to_map();
        if self.upgrade == Upgrade::WebSocket {
            // The key proves to HTTP/1 clients that the server speaks WebSocket; HTTP/2 says so by itself.
            headers.remove(http::header::SEC_WEBSOCKET_KEY);
        }
        Ok(request)
    }

    /// `:authority`, or `host` where there is none; both must be the same (RFC 9113 §8.3.1).
    fn read_authority(&mut self, parts: &Parts) -> Result<(), Error> {
        let mut hosts = parts.headers.get_all(http::header::HOST).iter();
        let (host, another) = (hosts.next().map(http::HeaderValue::as_bytes), hosts.next());
        let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
        let authority = match (authority, host) {
            _ if another.is_some() => return Err(Error::Host),
            (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => {
                return Err(Error::Host);
            }
            (Some(authority), _) => authority,
            (None, Some(host)) => host,
            (None, None) => return Err(Error::Host),
        };
        if authority.is_empty() || !is_authority(authority) {
            return Err(Error::Host);
        }
        self.headers.remove(b"host");
        self.authority = self.headers.intern(authority);
        Ok(())
    }

    /// One number at most, and only before a body of so many bytes: what stands here is believed by HTTP/1 upstreams.
    fn check_length(&self, is_end: bool) -> Result<(), Error> {
        let mut lengths = self.headers.all(FieldName::ContentLength);
        let Some(length) = lengths.next() else { return Ok(()) };
        let is_number =
            !length.is_empty() && length.len() <= 19 && length.iter().all(u8::is_ascii_digit);
        let is_zero = length.iter().all(|&digit| digit == b'0');
        if !is_number || lengths.next().is_some() || (is_end && !is_zero) {
            return Err(Error::ContentLength);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(request: http::request::Builder, is_end: bool) -> Result<Request, Error> {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let mut request = Request::default();
        request.read_http2(&parts, is_end, Limits::default()).map(|()| request)
    }

    fn get() -> http::request::Builder {
        http::Request::get("http://a.example/x?y")
    }

    #[test]
    fn pseudo_headers_and_cookie_crumbs_are_put_together() {
        let request = get().header("cookie", "a=1").header("x", "y").header("cookie", "b=2");
        let request = read(request, true).unwrap();
        assert_eq!(request.method_text(), b"GET");
        assert_eq!(request.authority_text(), b"a.example");
        assert_eq!(request.target_text(), b"/x?y");
        assert_eq!(request.headers.find(b"cookie"), Some(&b"a=1; b=2"[..]));
        assert_eq!(request.headers.iter().count(), 2);
    }

    #[test]
    fn paths_are_normalised() {
        let request = read(http::Request::get("http://a.example/a/../b"), true).unwrap();
        assert_eq!(request.target_text(), b"/b");
    }

    #[test]
    fn the_host_header_is_the_authority_or_says_the_same() {
        let host = |host: &str| read(get().header("host", host), true).map(|_| ());
        assert_eq!(host("A.example"), Ok(()));
        assert_eq!(host("b.example"), Err(Error::Host));
        let only_host = http::Request::get("/").header("host", "b.example");
        assert_eq!(read(only_host, true).unwrap().authority_text(), b"b.example");
        assert_eq!(read(http::Request::get("/"), true).map(|_| ()), Err(Error::Host));
        let two = get().header("host", "a.example").header("host", "a.example");
        assert_eq!(read(two, true).map(|_| ()), Err(Error::Host));
        let user = http::Request::get("http://u@a.example/");
        assert_eq!(read(user, true).map(|_| ()), Err(Error::Host));
    }

    #[test]
    fn the_length_is_one_number_that_can_be_true() {
        let length =
            |value: &str, is_end| read(get().header("content-length", value), is_end).map(|_| ());
        assert_eq!(length("5", false), Ok(()));
        assert_eq!(length("0", true), Ok(()));
        for (value, is_end) in [("5", true), ("+5", false), ("5, 5", false), ("", false)] {
            assert_eq!(length(value, is_end), Err(Error::ContentLength), "{value:?}");
        }
        let two = get().header("content-length", "5").header("content-length", "5");
        assert_eq!(read(two, false).map(|_| ()), Err(Error::ContentLength));
    }

    #[test]
    fn an_extended_connect_is_an_upgrade() {
        let connect = |protocol: &'static str| {
            let request = http::Request::connect("http://a.example/chat")
                .extension(h2::ext::Protocol::from_static(protocol));
            read(request, false).unwrap()
        };
        let request = connect("websocket");
        assert_eq!((request.method_text(), request.upgrade), (&b"GET"[..], Upgrade::WebSocket));
        assert_eq!(connect("other").upgrade, Upgrade::Other);
        assert_eq!(
            read(http::Request::connect("a.example:443"), false).unwrap().upgrade,
            Upgrade::Other
        );
    }
}
