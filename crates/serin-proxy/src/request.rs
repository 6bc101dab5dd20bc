//! A request as the phases see it, whichever protocol it came by.

mod http2;

use std::rc::Rc;
use std::sync::Arc;

use serin_http1::{FieldName, FieldNames, Head, Target, Version, is_authority, normalize};
use serin_routing::authentication::{Checked, Token};
use serin_routing::model::Tunnel;
use serin_routing::request::{Downstream, Request as RoutedRequest};

use crate::connection::Ends;
use crate::message::{Headers, Span};
use crate::tls::TlsFacts;
use crate::upstream::has_token;

/// What a request wants its connection or stream to become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Upgrade {
    /// Nothing: it has a body and an answer.
    #[default]
    None,
    /// A WebSocket (RFC 6455, over HTTP/2 RFC 8441).
    WebSocket,
    /// A tunnel by `CONNECT`, or a protocol that no listener of Istio's lets through.
    Other,
}

/// A request's head. Header names are lower-case; `host` stands in `authority` only.
#[derive(Debug, Default)]
pub(crate) struct Request {
    pub(crate) headers: Headers,
    pub(crate) downstream: Downstream,
    method: Span,
    authority: Span,
    target: Span,
    pub(crate) upgrade: Upgrade,
    /// The client used TLS, as far as it can be trusted.
    pub(crate) secure: bool,
    /// What TLS told of the connection.
    pub(crate) tls: Option<Rc<TlsFacts>>,
    /// The token that the gateway has found good.
    pub(crate) token: Option<Rc<Token>>,
}

impl Request {
    /// Forgets everything but keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.headers.clear();
        self.upgrade = Upgrade::None;
        self.token = None;
    }

    /// Takes over what is known of the connection.
    pub(crate) fn take_ends(&mut self, ends: &Ends) {
        self.secure = ends.tls.is_some();
        self.tls.clone_from(&ends.tls);
        self.downstream.direct_remote = Some(ends.peer);
        self.downstream.local = ends.local;
        self.downstream.listener_port = ends.listener_port;
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
            Target::Absolute { scheme, .. }
                if scheme.eq_ignore_ascii_case(b"https") && !self.secure =>
            {
                return Err(serin_http1::Error::Scheme);
            }
            Target::Absolute { authority, path, .. } => (authority, path),
            Target::Authority(authority) => (authority, &b""[..]),
            Target::Asterisk => (host, &b"*"[..]),
        };
        self.headers.copy_head(head, buffer, Some(FieldName::Host));
        self.method = self.headers.intern(method);
        self.authority = self.headers.intern(authority);
        self.set_path(path)?;
        self.headers.join(FieldName::Connection, b",");
        self.headers.join(FieldName::Upgrade, b",");
        self.upgrade = self.upgrade_http1(head.version());
        if self.upgrade == Upgrade::None {
            self.headers.remove_any(FieldNames::of(&[FieldName::Upgrade]), |_| true);
        }
        Ok(())
    }

    /// What `upgrade` asks for, where `connection` says that it is meant for this hop. That clients would like to speak HTTP/2 is
    /// not taken up.
    fn upgrade_http1(&self, version: Version) -> Upgrade {
        if self.is_connect() {
            return Upgrade::Other;
        }
        let Some(protocol) = self.headers.known(FieldName::Upgrade) else { return Upgrade::None };
        let connection = self.headers.known(FieldName::Connection).unwrap_or_default();
        let has_body = self.headers.known(FieldName::TransferEncoding).is_some()
            || self.headers.known(FieldName::ContentLength).is_some_and(|length| length != b"0");
        if version == Version::Http10 || !has_token(connection, b"upgrade") || has_body {
            return Upgrade::None;
        }
        match protocol {
            protocol if protocol.eq_ignore_ascii_case(b"websocket") => Upgrade::WebSocket,
            protocol if protocol.eq_ignore_ascii_case(b"h2c") => Upgrade::None,
            _ => Upgrade::Other,
        }
    }

    fn set_path(&mut self, path: &[u8]) -> Result<(), serin_http1::Error> {
        self.target = match normalize(path)? {
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
        Ok(())
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

    /// Whether the request is for the server name that the connection's TLS was made for.
    pub(crate) fn is_for_server_name(&self) -> bool {
        let Some(tls) = &self.tls else { return true };
        let authority = self.authority_text();
        let colon = authority.iter().rposition(|&byte| byte == b':');
        let host = authority.get(..colon.unwrap_or(authority.len())).unwrap_or_default();
        tls.server_name.is_empty() || host.eq_ignore_ascii_case(tls.server_name.as_bytes())
    }

    /// A copy of the head.
    pub(crate) fn copy_head(&self) -> Self {
        Self {
            headers: self.headers.clone(),
            downstream: self.downstream.clone(),
            tls: self.tls.clone(),
            token: self.token.clone(),
            ..*self
        }
    }

    /// Takes over what the checking of its tokens has changed.
    pub(crate) fn change(&mut self, checked: &Checked) {
        checked.removed.iter().for_each(|name| self.headers.remove(name.as_bytes()));
        checked.added.iter().for_each(|(name, value)| self.headers.append(name.as_bytes(), value));
    }

    pub(crate) fn is_connect(&self) -> bool {
        self.method_text() == b"CONNECT"
    }

    /// Whether it is followed by the bytes of another protocol rather than a body, if its receiver agrees.
    pub(crate) fn is_tunnel(&self) -> bool {
        match self.upgrade {
            Upgrade::None => false,
            Upgrade::WebSocket => true,
            Upgrade::Other => self.is_connect(),
        }
    }

    /// A request of this proxy's own for a tunnel.
    pub(crate) fn for_tunnel(tunnel: &Tunnel, ends: &Ends) -> Self {
        let mut request = Self::default();
        request.take_ends(ends);
        let authority = tunnel.authority.as_bytes();
        let (method, target, upgrade) = if tunnel.by_post {
            (&b"POST"[..], &b"/"[..], Upgrade::None)
        } else {
            (&b"CONNECT"[..], authority, Upgrade::Other)
        };
        request.method = request.headers.intern(method);
        request.authority = request.headers.intern(authority);
        request.target = request.headers.intern(target);
        request.upgrade = upgrade;
        request
    }
}

/// Exactly one `host` (RFC 9112 §3.2). As in Envoy, HTTP/1.0 needs one too.
fn host<'b>(head: &Head, buffer: &'b [u8]) -> Result<&'b [u8], serin_http1::Error> {
    let mut hosts = head.all(FieldName::Host);
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_authority(host.value(buffer)) => Ok(host.value(buffer)),
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

    fn header_values<'r>(&'r self, name: &str) -> impl Iterator<Item = &'r [u8]> {
        self.headers.values(name)
    }

    fn may_steer(&self) -> bool {
        self.headers.names().has(FieldName::Envoy)
    }

    fn downstream(&self) -> &Downstream {
        &self.downstream
    }

    fn any_claim(&self, path: &[Arc<str>], accept: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.token.as_ref().is_some_and(|token| token.any_claim(path, accept))
    }
}
