//! The frame around every page.

use http::{Response, StatusCode};
use maud::{DOCTYPE, Markup, html};

use crate::answer::{self, Body};

/// The pages in the navigation.
const NAVIGATION: [(&str, &str); 5] = [
    ("/", "Overview"),
    ("/releases", "Releases"),
    ("/routing", "Routing"),
    ("/objects", "Objects"),
    ("/requests", "Requests"),
];

/// What is in the frame.
pub(crate) struct Frame<'a> {
    pub(crate) status: StatusCode,
    pub(crate) title: &'a str,
    /// The path of the page, for the navigation.
    pub(crate) path: &'a str,
    /// Where updates come from; none for a page that stands still.
    pub(crate) events: Option<&'a str>,
}

impl Frame<'_> {
    /// The whole page.
    pub(crate) fn page(&self, main: &Markup) -> Response<Body> {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) " · Serin" }
                    link rel="icon" href="/favicon.svg" type="image/svg+xml";
                    link rel="stylesheet" href="/ui/uplot.css";
                    link rel="stylesheet" href="/ui/dashboard.css";
                    script src="/ui/uplot.js" defer {}
                    script src="/ui/dashboard.js" defer {}
                }
                body {
                    a.skip href="#main" { "Skip to the content" }
                    (self.header())
                    main id="main" tabindex="-1" data-events=[self.events] { (main) }
                    // News that a screen reader shall tell; the script writes it.
                    p.news id="news" role="status" aria-live="polite" {}
                }
            }
        };
        answer::html(self.status, page.into_string())
    }

    fn header(&self) -> Markup {
        html! {
            header.top {
                a.brand href="/" { "Serin" }
                nav aria-label="Pages" {
                    ul {
                        @for (path, name) in NAVIGATION {
                            li { a href=(path) aria-current=[self.is_at(path).then_some("page")] { (name) } }
                        }
                    }
                }
                p.connection id="connection" data-state="still" {
                    span.shape aria-hidden="true" {} " " span.word {}
                }
            }
        }
    }

    fn is_at(&self, path: &str) -> bool {
        if path == "/" { self.path == "/" } else { self.path.starts_with(path) }
    }
}

/// A page without navigation, for those who may not see the others.
pub(crate) fn bare(status: StatusCode, title: &str, content: &Markup) -> Response<Body> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Serin" }
                link rel="icon" href="/favicon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/ui/dashboard.css";
            }
            body { main.bare id="main" { h1 { (title) } (content) } }
        }
    };
    answer::html(status, page.into_string())
}
