//! The pages by their paths. What a page shows is a [`View`]: facts, which scripts read as JSON and people as HTML.

use http::StatusCode;
use maud::{Markup, html};
use serde_json::{Value, json};

use crate::world::World;
use crate::{explain, objects_page, overview, release_page, releases, requests, routing};

/// What a page shows.
pub(crate) trait View: Send {
    /// What it is, for the window's title.
    fn title(&self) -> String;
    /// For people.
    fn html(&self) -> Markup;
    /// For scripts.
    fn json(&self) -> Value;
    /// Whether what is asked for is there.
    fn status(&self) -> StatusCode {
        StatusCode::OK
    }
}

/// The arguments of a page: what stands behind the question mark.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads `a=1&b=2`.
    pub(crate) fn parse(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// The first value of a name; empty if there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// The page of a long list, from 0.
    pub(crate) fn page(&self) -> usize {
        self.get("page").parse::<usize>().unwrap_or(1).max(1) - 1
    }

    /// The same with another value, as it stands in a link.
    pub(crate) fn with(&self, name: &str, value: &str) -> String {
        let mut out = form_urlencoded::Serializer::new(String::new());
        let others = self.0.iter().filter(|(key, value)| key != name && !value.is_empty());
        others.for_each(|(key, value)| {
            out.append_pair(key, value);
        });
        if !value.is_empty() {
            out.append_pair(name, value);
        }
        out.finish()
    }
}

/// A page that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// The parts of the path, decoded.
    parts: Vec<String>,
    pub(crate) query: Query,
}

impl Page {
    /// Reads a path, without `.json`.
    pub(crate) fn parse(path: &str, query: &str) -> Self {
        let decoded = |part: &str| {
            // What `+` means differs between paths and queries.
            let pair = format!("x={}", part.replace('+', "%2B"));
            form_urlencoded::parse(pair.as_bytes()).next().map(|(_, it)| it.into_owned())
        };
        let parts = path.split('/').filter(|part| !part.is_empty()).filter_map(decoded);
        Self { parts: parts.collect(), query: Query::parse(query) }
    }

    /// The parts of the path.
    pub(crate) fn parts(&self) -> Vec<&str> {
        self.parts.iter().map(String::as_str).collect()
    }

    /// Makes what it shows.
    pub(crate) async fn view(&self, world: &World) -> Box<dyn View> {
        let query = &self.query;
        match self.parts()[..] {
            [] => Box::new(overview::Overview::of(world)),
            ["releases"] => Box::new(releases::Releases::of(world)),
            ["releases", namespace, name] => {
                found(release_page::ReleasePage::of(world, namespace, name))
            }
            ["releases", namespace, name, command] => {
                found(release_page::Confirmation::of(world, namespace, name, command))
            }
            ["routing"] => Box::new(routing::Routing::of(world, query).await),
            ["routing", "explain"] => Box::new(explain::ExplainPage::of(world, query)),
            ["routing", namespace, name] => found(routing::Rules::of(world, namespace, name).await),
            ["objects"] => Box::new(objects_page::List::of(world, query)),
            ["objects", kind, name] => found(objects_page::One::of(world, kind, "", name)),
            ["objects", kind, namespace, name] => {
                found(objects_page::One::of(world, kind, namespace, name))
            }
            ["requests"] => Box::new(requests::Requests::of(world, query).await),
            _ => Box::new(NotFound),
        }
    }
}

fn found<V: View + 'static>(view: Option<V>) -> Box<dyn View> {
    match view {
        Some(view) => Box::new(view),
        None => Box::new(NotFound),
    }
}

/// Nothing is there.
pub(crate) struct NotFound;

impl View for NotFound {
    fn title(&self) -> String {
        "Not there".to_owned()
    }

    fn html(&self) -> Markup {
        html! {
            h1 { "Nothing is there" }
            p { "What this page showed has been deleted, or the link is not quite right. The " a href="/" { "overview" } " shows what there is." }
        }
    }

    fn json(&self) -> Value {
        json!({"error": "nothing is there"})
    }

    fn status(&self) -> StatusCode {
        StatusCode::NOT_FOUND
    }
}
