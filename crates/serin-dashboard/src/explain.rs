//! A request that someone types, and its way.

use maud::{Markup, html};
use serde::Serialize;
use serde_json::{Value, json};

use crate::mesh::{Explained, Question, Sender};
use crate::page::{Query, View};
use crate::parts::{State, state};
use crate::world::World;

/// Rules that were passed over and are listed.
const RULES: usize = 50;
/// Senders to choose from.
const SENDERS: usize = 500;

/// The page.
#[derive(Serialize)]
pub(crate) struct ExplainPage {
    question: Question,
    answer: Option<Result<Explained, String>>,
    #[serde(skip)]
    senders: Vec<Sender>,
}

impl ExplainPage {
    pub(crate) fn of(world: &World, query: &Query) -> Self {
        let mut senders = world.mesh.senders();
        senders.truncate(SENDERS);
        let first = senders.first().map(|it| it.key.clone()).unwrap_or_default();
        let or = |text: &str, other: &str| {
            if text.is_empty() { other.to_owned() } else { text.to_owned() }
        };
        let headers = query.get("headers").lines().map(str::trim);
        let question = Question {
            sender: or(query.get("sender"), &first),
            method: or(query.get("method"), "GET"),
            url: query.get("url").trim().to_owned(),
            headers: headers.filter(|it| !it.is_empty()).map(str::to_owned).collect(),
        };
        let answer = (!question.url.is_empty()).then(|| world.mesh.explain(&question));
        Self { question, answer, senders }
    }

    fn form(&self) -> Markup {
        let question = &self.question;
        html! {
            form.card method="get" action="/routing/explain" {
                div.fields {
                    label { "From"
                        select name="sender" {
                            @for sender in &self.senders { option value=(sender.key) selected[sender.key == question.sender] { (sender.name) } }
                        }
                    }
                    label { "Method" input type="text" name="method" value=(question.method) list="methods" autocomplete="off"; }
                    label.wide { "URL, as the client uses it"
                        input type="text" name="url" value=(question.url) placeholder="http://reviews:9080/reviews/1" required autocomplete="off" spellcheck="false";
                    }
                    label.wide { "Headers, a line each"
                        textarea name="headers" rows="3" spellcheck="false" placeholder="end-user: jason" { (question.headers.join("\n")) }
                    }
                }
                datalist id="methods" { @for method in ["GET", "POST", "PUT", "DELETE"] { option value=(method) {} } }
                p.buttons { button type="submit" { "Explain" } }
            }
        }
    }
}

fn explained(it: &Explained) -> Markup {
    html! {
        section.card aria-labelledby="way" {
            h2 id="way" { (it.request) }
            @for (name, value) in &it.way { p.quiet { (name) " " (value) } }
            @if !it.rules.is_empty() {
                h3 { "Rules, in order" }
                ol.rules {
                    @for asked in it.rules.iter().rev().take(RULES).rev() {
                        li { div {
                            p { @if asked.rule.has_page() { a href=(crate::requests::link(&asked.rule)) { (asked.name) } } @else { (asked.name) } }
                            @match &asked.why_not {
                                Some(why) => p.quiet { (why) },
                                None => p { (state(State::Good, "takes the request")) },
                            }
                        } }
                    }
                }
            }
            @if !it.answer.is_empty() {
                h3 { "Answer" }
                @for (index, line) in it.answer.iter().enumerate() {
                    p { @if index == 0 && it.fails { (state(State::Bad, line)) } @else { (line) } }
                }
            }
            @if !it.destinations.is_empty() {
                h3 { "Destinations" }
                ul { @for (share, name, notes) in &it.destinations {
                    li { (format!("{share:.4}").trim_end_matches('0').trim_end_matches('.')) " % " (name)
                        @for note in notes { br; span.quiet { (note) } }
                    }
                } }
            }
            @if !it.on_the_way.is_empty() {
                h3 { "On the way" }
                ul { @for line in &it.on_the_way { li { (line) } } }
            }
        }
    }
}

impl View for ExplainPage {
    fn title(&self) -> String {
        "Explain a request".to_owned()
    }

    fn html(&self) -> Markup {
        html! {
            p.crumbs { a href="/routing" { "Routing" } }
            h1 { "Explain a request" }
            p.lead { "Which way it would go, and for each rule before, the condition that failed. Nothing is sent." }
            (self.form())
            @match &self.answer {
                None => {},
                Some(Ok(it)) => (explained(it)),
                Some(Err(why)) => p role="alert" { (state(State::Bad, why)) },
            }
        }
    }

    fn json(&self) -> Value {
        let answer = self.answer.as_ref().map(|it| match it {
            Ok(it) => json!(it),
            Err(why) => json!({"error": why}),
        });
        json!({"question": self.question, "answer": answer, "senders": self.senders})
    }
}
