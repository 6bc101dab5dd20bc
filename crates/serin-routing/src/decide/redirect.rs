//! Answers that send the client elsewhere.

use super::rewrite::replace_prefix;
use crate::model::{PathRedirect, Redirect, RedirectPort, RouteMatch};
use crate::request::{Request, host_end, split_target};

/// An answer that sends the client elsewhere. Its `%RESPONSE_CODE_DETAILS%` are `direct_response`.
#[derive(Clone, Copy, Debug)]
pub enum Redirection<'m> {
    /// The virtual host wants HTTPS.
    ToHttps,
    /// The rule redirects.
    Rule {
        /// How.
        redirect: &'m Redirect,
        /// What the rule matched.
        condition: &'m RouteMatch,
    },
}

impl Redirection<'_> {
    /// The status.
    pub const fn status(&self) -> u16 {
        match self {
            Self::ToHttps => 301,
            Self::Rule { redirect, .. } => redirect.status,
        }
    }

    /// The `location` header.
    pub fn location<R: Request>(&self, request: &R) -> Vec<u8> {
        match self {
            Self::ToHttps => [b"https://", request.authority(), request.target()].concat(),
            Self::Rule { redirect, condition } => location(redirect, condition, request),
        }
    }
}

fn location<R: Request>(redirect: &Redirect, condition: &RouteMatch, request: &R) -> Vec<u8> {
    let old_scheme = request.scheme();
    let scheme = redirect.scheme.as_ref().map_or(old_scheme, |scheme| scheme.as_bytes());
    let port = new_port(redirect, scheme, request.downstream().listener_port);
    let mut location = [scheme, b"://"].concat();
    match &redirect.authority {
        Some(authority) => location.extend_from_slice(authority.as_bytes()),
        None => {
            let drops_port = port.is_some()
                || scheme != old_scheme && has_default_port(request.authority(), old_scheme);
            let end =
                if drops_port { host_end(request.authority()) } else { request.authority().len() };
            location.extend_from_slice(&request.authority()[..end]);
        }
    }
    if let Some(port) = port {
        location.extend_from_slice(format!(":{port}").as_bytes());
    }
    location.extend_from_slice(&new_target(redirect, condition, request.target()));
    location
}

/// The port to be written: none if the rule says nothing, or if it is the scheme's own.
fn new_port(redirect: &Redirect, scheme: &[u8], listener_port: u16) -> Option<u16> {
    let port = match redirect.port? {
        RedirectPort::Port(port) => port,
        RedirectPort::RequestPort => listener_port,
        RedirectPort::ProtocolDefault => return None,
    };
    (Some(port) != default_port(scheme)).then_some(port)
}

fn default_port(scheme: &[u8]) -> Option<u16> {
    match scheme {
        b"http" => Some(80),
        b"https" => Some(443),
        _ => None,
    }
}

/// Whether an authority names the port that its scheme has anyway.
fn has_default_port(authority: &[u8], scheme: &[u8]) -> bool {
    let port = &authority[host_end(authority)..];
    matches!((scheme, port), (b"http", b":80") | (b"https", b":443"))
}

/// The path of the rule, with the request's query unless the rule's has one.
fn new_target(redirect: &Redirect, condition: &RouteMatch, target: &[u8]) -> Vec<u8> {
    let (path, _) = split_target(target);
    let mut new = match &redirect.path {
        None => return target.to_vec(),
        Some(PathRedirect::Full(full)) if full.contains('?') => return full.as_bytes().to_vec(),
        Some(PathRedirect::Full(full)) => full.as_bytes().to_vec(),
        Some(PathRedirect::Prefix(prefix)) => replace_prefix(&condition.path, path, prefix),
    };
    new.extend_from_slice(&target[path.len()..]);
    new
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PathMatch;
    use crate::request::RequestParts;

    const PLAIN: Redirect =
        Redirect { status: 301, scheme: None, authority: None, port: None, path: None };

    #[track_caller]
    fn check(redirect: &Redirect, url: &str, expected: &str) {
        let condition =
            RouteMatch { path: PathMatch::Prefix("/old".into()), ..RouteMatch::default() };
        let (scheme, rest) = url.split_once("://").unwrap();
        let (authority, path) = rest.split_once('/').unwrap();
        let mut request = RequestParts {
            scheme: scheme.to_owned(),
            ..RequestParts::get(authority, &format!("/{path}"))
        };
        request.downstream.listener_port = 8080;
        let location = Redirection::Rule { redirect, condition: &condition }.location(&request);
        assert_eq!(String::from_utf8(location).unwrap(), expected, "{redirect:?} of {url}");
    }

    #[test]
    fn what_a_redirect_does_not_name_stays() {
        let host = Redirect { authority: Some("new.example".into()), ..PLAIN };
        check(&host, "http://old.example:8080/x?y=z", "http://new.example/x?y=z");
        let path = Redirect { path: Some(PathRedirect::Full("/new".into())), ..PLAIN };
        check(&path, "http://old.example:8080/x?y=z", "http://old.example:8080/new?y=z");
        let with_query = Redirect { path: Some(PathRedirect::Full("/new?a=b".into())), ..PLAIN };
        check(&with_query, "http://old.example/x?y=z", "http://old.example/new?a=b");
        let prefix = Redirect { path: Some(PathRedirect::Prefix("/new".into())), ..PLAIN };
        check(&prefix, "http://old.example/old/x?y=z", "http://old.example/new/x?y=z");
    }

    #[test]
    fn a_new_scheme_drops_the_old_ones_default_port() {
        let https = Redirect { scheme: Some("https".into()), ..PLAIN };
        check(&https, "http://a:80/", "https://a/");
        check(&https, "http://a:8080/", "https://a:8080/");
        check(&https, "http://[::1]:80/", "https://[::1]/");
        check(&https, "https://a:443/", "https://a:443/");
        let http = Redirect { scheme: Some("http".into()), ..PLAIN };
        check(&http, "https://a:443/", "http://a/");
    }

    #[test]
    fn a_new_port_takes_the_old_ones_place_and_defaults_are_left_out() {
        let port = |port: RedirectPort| Redirect { port: Some(port), ..PLAIN };
        check(&port(RedirectPort::Port(8443)), "http://a:8080/", "http://a:8443/");
        check(&port(RedirectPort::Port(80)), "http://a/", "http://a/");
        check(&port(RedirectPort::RequestPort), "http://a/", "http://a:8080/");
        check(&port(RedirectPort::ProtocolDefault), "http://a:80/", "http://a:80/");
        let https = Redirect { scheme: Some("https".into()), ..port(RedirectPort::Port(443)) };
        check(&https, "http://a:80/", "https://a/");
        let elsewhere = Redirect { authority: Some("b".into()), ..port(RedirectPort::Port(81)) };
        check(&elsewhere, "http://a/", "http://b:81/");
    }

    #[test]
    fn the_redirect_to_https_keeps_the_authority_as_it_is() {
        let request = RequestParts::get("a:8080", "/x?y");
        assert_eq!(Redirection::ToHttps.location(&request), b"https://a:8080/x?y");
        assert_eq!(Redirection::ToHttps.status(), 301);
    }
}
