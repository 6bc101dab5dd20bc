//! A request as the phases see it, whichever protocol it came by.

use serin_http1::{FieldName, Head, Target, is_authority, normalize};
use serin_routing::request::{Downstream, Request as RoutedRequest};

use crate::message::{Headers, Span};

/// A request's head. Header names are lower-case; `host` stands in `authority` only.
#[derive(Debug, Default)]
pub(crate) struct Request {
    pub(crate) headers: Headers,
    pub(crate) downstream: Downstream,
    method: Span,
    authority: Span,
    target: Span,
    /// The client used TLS, as far as it can be trusted.
    pub(crate) secure: bool,
}

impl Request {
    /// Forgets everything but keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.headers.clear();
    }

    /// Takes over an HTTP/1 head: target taken apart, authority found, path normalised.
    pub(crate) fn read_http1(
        &mut self,
        head: &Head,
        buffer: &[u8],
    ) -> Result<(), serin_http1::Error> {
        let (method, target) = (head.method(buffer), head.target(buffer));
        let target = Target::parse(method, target)?;
        let host = host(head, buffer)?;
        let (authority, path) = match target {
            Target::Origin(path) => (host, path),
            Target::Absolute { authority, path, .. } => (authority, path),
            Target::Authority(authority) => (authority, &b""[..]),
            Target::Asterisk => (host, &b"*"[..]),
        };
        self.headers.copy_head(head, buffer);
        self.headers.remove_all(|known, _| known == FieldName::Host);
        self.method = self.headers.intern(method);
        self.authority = self.headers.intern(authority);
        self.set_path(path);
        Ok(())
    }

    fn set_path(&mut self, path: &[u8]) {
        self.target = match normalize(path) {
            Some(normal) => self.headers.intern(&normal),
            // The absolute form may leave the path out (RFC 9112 §3.2.1).
            None if path.first().is_none_or(|&first| first == b'?') && !self.is_connect() => {
                self.headers.intern_with(|arena| {
                    arena.push(b'/');
                    arena.extend_from_slice(path);
                })
            }
            None => self.headers.intern(path),
        };
    }

    pub(crate) fn method_text(&self) -> &[u8] {
        self.headers.text(self.method)
    }

    pub(crate) fn authority_text(&self) -> &[u8] {
        self.headers.text(self.authority)
    }

    pub(crate) fn target_text(&self) -> &[u8] {
        self.headers.text(self.target)
    }

    pub(crate) fn set_authority(&mut self, authority: &[u8]) {
        self.authority = self.headers.intern(authority);
    }

    pub(crate) fn set_target(&mut self, target: &[u8]) {
        self.target = self.headers.intern(target);
    }

    /// A copy of the head.
    pub(crate) fn copy_head(&self) -> Self {
        Self { headers: self.headers.clone(), downstream: self.downstream.clone(), ..*self }
    }

    pub(crate) fn is_connect(&self) -> bool {
        self.method_text() == b"CONNECT"
    }
}

/// Exactly one `host` in HTTP/1.1 (RFC 9112 §3.2); HTTP/1.0 may leave it out.
fn host<'b>(head: &Head, buffer: &'b [u8]) -> Result<&'b [u8], serin_http1::Error> {
    let mut hosts = head.all(FieldName::Host);
    match (hosts.next(), hosts.next(), head.version()) {
        (Some(host), None, _) if is_authority(host.value(buffer)) => Ok(host.value(buffer)),
        (None, None, serin_http1::Version::Http10) => Ok(b""),
        _ => Err(serin_http1::Error::Host),
    }
}

impl RoutedRequest for Request {
    fn method(&self) -> &[u8] {
        self.method_text()
    }

    fn scheme(&self) -> &[u8] {
        if self.secure { b"https" } else { b"http" }
    }

    fn authority(&self) -> &[u8] {
        self.authority_text()
    }

    fn target(&self) -> &[u8] {
        self.target_text()
    }

    fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.headers.iter().map(|(_, name, value)| (name, value))
    }

    fn downstream(&self) -> &Downstream {
        &self.downstream
    }
}
