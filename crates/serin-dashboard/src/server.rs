//! The socket, and the way of a request: who may ask, which page, in which form.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HeaderName};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use maud::html;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::access::{Access, Refusal};
use crate::answer::{self, Body};
use crate::layout::{self, Frame};
use crate::page::{Page, Query};
use crate::world::World;
use crate::{assets, commands, events};

/// Connections at the same time.
const CONNECTIONS: usize = 256;
/// Bytes of a form.
const FORM: usize = 16 * 1024;
/// How long the head of a request may take.
const HEAD: Duration = Duration::from_secs(10);
/// How long to wait after the system had no more descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves until the task ends.
pub(crate) async fn serve(world: Arc<World>, socket: TcpListener) {
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&free).acquire_owned().await else { return };
        let stream = match socket.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection to the dashboard could not be accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            let _permit = permit;
            let service = service_fn(|request: Request<Incoming>| {
                let world = Arc::clone(&world);
                async move { Ok::<_, Infallible>(respond(&world, request).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the dashboard ended early");
            }
        });
    }
}

/// The answer to a request.
pub(crate) async fn respond<B>(world: &Arc<World>, request: Request<B>) -> Response<Body>
where
    B: hyper::body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (head, body) = request.into_parts();
    if let Err(refusal) = Access::check_host(&head) {
        return refused(&head, refusal);
    }
    if let Some(asset) = assets::at(head.uri.path(), &head.headers) {
        return asset;
    }
    let query = Query::parse(head.uri.query().unwrap_or_default());
    if world.access.is_token(query.get("token")) && head.method == Method::GET {
        return welcome(world, &head, &query);
    }
    match head.method {
        Method::GET | Method::HEAD => match world.access.check(&head) {
            Ok(()) => show(world, &head).await,
            Err(refusal) => refused(&head, refusal),
        },
        Method::POST => {
            let Ok(form) = Limited::new(body, FORM).collect().await else {
                return layout::bare(StatusCode::PAYLOAD_TOO_LARGE, "Too much", &html! {});
            };
            let form = form_urlencoded::parse(&form.to_bytes()).into_owned().collect::<Vec<_>>();
            let word = form.iter().find(|(name, _)| name == "word").map(|(_, word)| word.as_str());
            match world.access.check_form(&head, word) {
                Ok(()) => commands::obey(world, &head).await,
                Err(refusal) => refused(&head, refusal),
            }
        }
        _ => layout::bare(StatusCode::METHOD_NOT_ALLOWED, "Not this way", &html! {}),
    }
}

/// Whoever has brought the token gets the cookie, and an address without it.
fn welcome(world: &World, head: &Parts, query: &Query) -> Response<Body> {
    let rest = query.with("token", "");
    let separator = if rest.is_empty() { "" } else { "?" };
    let to = format!("{}{separator}{rest}", local_path(head.uri.path()));
    let cookie = world.access.set_cookie();
    // A cookie of this strictness is not sent along when another site has led here, not even after a redirect.
    let site = HeaderName::from_static("sec-fetch-site");
    if head.headers.get(site).is_some_and(|it| it == "cross-site") {
        let mut page = layout::bare(
            StatusCode::OK,
            "Welcome",
            &html! { p { a href=(to) { "Go on to the dashboard" } } },
        );
        if let Ok(cookie) = cookie.parse() {
            page.headers_mut().insert(http::header::SET_COOKIE, cookie);
        }
        return page;
    }
    answer::redirect(&to, Some(&cookie))
}

/// A path that stays here: one that begins with two slashes would name a host.
fn local_path(path: &str) -> String {
    format!("/{}", path.trim_start_matches(['/', '\\']))
}

async fn show(world: &Arc<World>, head: &Parts) -> Response<Body> {
    let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
    if path == "/events" {
        return follow(world, &Query::parse(query));
    }
    let (path, is_json) = match path.strip_suffix(".json") {
        Some("/index") => ("/", true),
        Some(path) => (path, true),
        None => (path, wants_json(head)),
    };
    let page = Page::parse(path, query);
    let view = page.view(world).await;
    if is_json {
        return answer::json(view.status(), &view.json());
    }
    let separator = if query.is_empty() { "" } else { "?" };
    let events = Query::default().with("page", &format!("{path}{separator}{query}"));
    let events = format!("/events?{events}");
    let is_live = view.status() == StatusCode::OK;
    let frame = Frame {
        status: view.status(),
        title: &view.title(),
        path,
        events: is_live.then_some(&events),
    };
    frame.page(&view.html())
}

fn follow(world: &Arc<World>, query: &Query) -> Response<Body> {
    let (path, query) = query.get("page").split_once('?').unwrap_or((query.get("page"), ""));
    match events::follow(world, Page::parse(path, query)) {
        Some(stream) => answer::events(stream),
        None => answer::json(
            StatusCode::SERVICE_UNAVAILABLE,
            &json!({"error": "too many windows follow the dashboard; close one"}),
        ),
    }
}

fn wants_json(head: &Parts) -> bool {
    let accept = head.headers.get(ACCEPT).and_then(|it| it.to_str().ok());
    accept.is_some_and(|it| it.contains("application/json") && !it.contains("text/html"))
}

fn refused(head: &Parts, refusal: Refusal) -> Response<Body> {
    let (status, title, why) = match refusal {
        Refusal::Host => (
            StatusCode::MISDIRECTED_REQUEST,
            "Not by this name",
            "The dashboard answers to addresses and to localhost only, so that no other site can reach it by a name of its own.",
        ),
        Refusal::Unknown => (
            StatusCode::UNAUTHORIZED,
            "This is the dashboard of a Serin cluster",
            "The link to it has a token, which changes when the cluster starts. Get the link by typing",
        ),
        Refusal::Foreign => (
            StatusCode::FORBIDDEN,
            "Not from there",
            "The form was not one of this dashboard, or an old one: load the page again and repeat.",
        ),
    };
    if wants_json(head) || head.uri.path().ends_with(".json") {
        return answer::json(status, &json!({"error": title, "help": why}));
    }
    let content = html! {
        p { (why) }
        @if refusal == Refusal::Unknown { p { (crate::parts::command("serin dashboard")) } }
    };
    layout::bare(status, title, &content)
}

/// Where the dashboard listens.
pub(crate) async fn open(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

#[cfg(test)]
mod tests;
