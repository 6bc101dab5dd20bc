//! One release: where it is, what both versions do, the evidence, and every decision with its reason.

use http::StatusCode;
use maud::{Markup, html};
use serde::Serialize;
use serde_json::{Value, json};
use serin_rollout::Phase;
use serin_rollout::statistics::{Evidence, TestName, Verdict};

use crate::commands::Command;
use crate::page::View;
use crate::parts::{self, State, moment, percent, state};
use crate::releases::{Place, Release};
use crate::traffic::Rates;
use crate::world::World;

/// A chart.
struct Chart {
    /// What the script finds it by.
    key: &'static str,
    title: &'static str,
    /// What it shows, in a sentence.
    what: &'static str,
    /// Its lines: how each looks, which of the script's series it is, and its name.
    lines: [(&'static str, u8, &'static str); 2],
}

const CHARTS: [Chart; 4] = [
    Chart {
        key: "weight",
        title: "Share of the new version",
        what: "Percent of the users' requests, step by step.",
        lines: [("key canary", 1, "share"), ("key copies", 2, "copies")],
    },
    Chart {
        key: "evidence",
        title: "Evidence that it is worse",
        what: "How many times likelier the counts are if it is worse. At the line it is rolled back.",
        lines: [("key canary", 1, "evidence"), ("key limit", 2, "rolled back at")],
    },
    Chart {
        key: "success",
        title: "Success",
        what: "Of the requests of the last 15 s, with the 95 % interval.",
        lines: [("key primary", 1, "version before"), ("key canary", 4, "new version")],
    },
    Chart {
        key: "latency",
        title: "Latency",
        what: "99th percentile of the last 15 s, with the 95 % interval.",
        lines: [("key primary", 1, "version before"), ("key canary", 4, "new version")],
    },
];

/// The page.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReleasePage {
    release: Release,
    /// The new version, and the one before.
    rates: Option<[Rates; 2]>,
    seconds: f64,
}

impl ReleasePage {
    pub(crate) fn of(world: &World, namespace: &str, name: &str) -> Option<Self> {
        let release = Release::find(&world.objects, namespace, name)?;
        let window = world.lately();
        let rates = release.counts(&window).map(|both| both.map(|it| window.rates(&it)));
        Some(Self { release, rates, seconds: window.seconds.round() })
    }

    fn heading(&self) -> Markup {
        let release = &self.release;
        let (how, word) = release.told();
        html! {
            p.crumbs { a href="/releases" { "Releases" } " / " (release.facts.namespace) }
            div.title {
                h1 { (release.facts.name) }
                p.big data-news=(format!("{}: {word}", release.facts.name)) { (state(how, word)) }
            }
            p.lead { (self.sentence()) }
            @if let Some(command) = &release.facts.command {
                p { (state(State::Busy, "The controller is told:")) " " (command.split('@').next().unwrap_or_default()) }
            }
            @let commands = Command::for_release(release);
            @if !commands.is_empty() {
                p.buttons {
                    @for command in commands {
                        a.button.grave[command.is_grave] href={ (release.link()) "/" (command.word) } { (command.label) }
                    }
                }
            }
        }
    }

    /// Where the release is, in a sentence.
    fn sentence(&self) -> Markup {
        let release = &self.release;
        html! {
            @match release.facts.phase {
                Phase::Succeeded => { "All users have the new version." }
                Phase::Failed => {
                    "All users have the version before."
                    @if let Some(why) = release.facts.why() { " " (why.event) @if !why.reason.is_empty() { ": " (why.reason) } }
                }
                Phase::Initialized => { "A release begins when " (release.facts.target) " changes." }
                Phase::Initializing => { "The version that users have is being copied to " (release.facts.name) "-primary." }
                _ => {
                    @match release.facts.weights.mirror {
                        Some(mirror) => { (mirror) " % of the requests are copied to the new version; users get the version before. " }
                        None => { (release.facts.weights.canary) " % of the requests go to the new version. " }
                    }
                    @if release.facts.held { "It stays there until it is resumed." }
                    @else if let Some(waits) = &release.facts.waits_for { (waits) ". " }
                    @else if let Some(next) = &release.facts.next {
                        "Next" @if let Some(at) = &next.at { ", at " (moment(at)) } ": " (next.what) "."
                    }
                }
            }
        }
    }

    fn steps(&self) -> Markup {
        html! {
            ol.steps aria-label="Steps" {
                @for step in &self.release.steps {
                    @let (class, shape, word) = match step.place {
                        Place::Done => ("done", "●", "done"),
                        Place::Now => ("now", "◆", "now"),
                        Place::Later => ("later", "○", "later"),
                    };
                    li class=(class) aria-current=[(step.place == Place::Now).then_some("step")] {
                        span.shape aria-hidden="true" { (shape) } " "
                        (step.name) span.hidden { " (" (word) ")" }
                    }
                }
            }
        }
    }

    fn versions(&self) -> Markup {
        let evidence = self.release.facts.evidence.as_ref();
        let Some([canary, primary]) = &self.rates else { return html! {} };
        let arms = [
            ("New version", "canary", canary, evidence.map(|it| it.canary)),
            ("Version before", "primary", primary, evidence.map(|it| it.primary)),
        ];
        let table = html! {
            table {
                caption { "The last " (self.seconds) " s" }
                thead { tr {
                    th scope="col" { "Version" }
                    th.number scope="col" { "Requests" }
                    th.number scope="col" { "Success" }
                    th.number scope="col" { "p50" }
                    th.number scope="col" { "p99" }
                    th.number scope="col" { "Errors in this release" }
                } }
                tbody {
                    @for (name, class, rates, arm) in arms {
                        tr {
                            th scope="row" { span class={ "key " (class) } aria-hidden="true" {} " " (name) }
                            td.number { (parts::rate(rates.rate)) }
                            td.number { (parts::share(rates.success)) }
                            td.number { (parts::milliseconds(rates.p50)) }
                            td.number { (parts::milliseconds(rates.p99)) }
                            td.number {
                                @match arm {
                                    Some(arm) => {
                                        (arm.errors) " of " (arm.units)
                                        span.quiet { " (" (percent(arm.low)) " to " (percent(arm.high)) ")" }
                                    }
                                    None => "–",
                                }
                            }
                        }
                    }
                }
            }
        };
        html! { section aria-labelledby="versions" {
            h2 id="versions" { "Both versions" }
            (parts::scroll("Both versions", &table))
        } }
    }

    fn charts(&self) -> Markup {
        html! { section.charts aria-label="Charts" {
            @for chart in CHARTS {
                figure {
                    figcaption { strong { (chart.title) } span.quiet { (chart.what) } }
                    p.keys data-keep="" {
                        @for (class, series, name) in chart.lines {
                            span { span class=(class) aria-hidden="true" {} " " (name) " " output data-series=(series) {} }
                        }
                    }
                    // The script draws here, and nothing else touches it. The tables say the same.
                    div.chart id={ "chart-" (chart.key) } data-chart=(chart.key) data-keep="" role="img" aria-label=(chart.title) {}
                }
            }
        } }
    }

    fn decisions(&self) -> Markup {
        let decisions = &self.release.facts.decisions;
        html! { section aria-labelledby="decisions" {
            h2 id="decisions" { "Decisions" }
            @if decisions.is_empty() { p.quiet { "Nothing has been decided yet." } }
            ol.decisions reversed {
                @for decision in decisions.iter().rev() {
                    li.warning[decision.warning] {
                        (moment(&decision.time))
                        div {
                            @if decision.warning { span.shape.odd aria-hidden="true" { "▲" } " " }
                            (decision.event)
                            @if !decision.reason.is_empty() { p.quiet { (decision.reason) } }
                        }
                    }
                }
            }
        } }
    }

    fn hooks(&self) -> Markup {
        let hooks = &self.release.hooks;
        if hooks.is_empty() {
            return html! {};
        }
        let table = html! {
            table {
                thead { tr {
                    th scope="col" { "Hook" } th scope="col" { "When" } th scope="col" { "Asked at" } th scope="col" { "Answer in this check" }
                } }
                tbody { @for hook in hooks {
                    tr {
                        th scope="row" { (hook.name) }
                        td { (hook.when) }
                        td.long { (hook.url) }
                        td { (hook.answer.as_deref().unwrap_or("–")) }
                    }
                } }
            }
        };
        html! { section aria-labelledby="hooks" { h2 id="hooks" { "Hooks" } (parts::scroll("Hooks", &table)) } }
    }
}

/// What the evidence comes to, and what would change that.
fn evidence(evidence: &Evidence) -> Markup {
    let (how, word) = match evidence.verdict {
        Verdict::GoOn => (State::Good, "no worse"),
        Verdict::Inconclusive => (State::Busy, "not decided yet"),
        Verdict::Abort => (State::Bad, "worse"),
    };
    let times = |log: f64| {
        let value = log.min(80.0).exp();
        if value >= 10.0 { format!("{value:.0}") } else { format!("{value:.2}") }
    };
    html! { section aria-labelledby="evidence" {
        h2 id="evidence" { "Evidence" }
        p {
            "The new version is " (state(how, word)) ". What was counted is "
            strong { (times(evidence.log_e)) " times" } " as likely if it is worse; at "
            strong { (times(evidence.threshold)) " times" } " it is rolled back."
        }
        ul {
            @for test in &evidence.tests {
                li { (told_test(test.name)) ": " (times(test.log_e)) " times" }
            }
            @if let Some(gate) = &evidence.gate {
                li { "that it has at most " (gate.ratio) " times the errors: " (times(gate.log_e)) " of " (times(gate.threshold)) " times, before it may be promoted" }
            }
        }
        @if !evidence.outlook.is_empty() {
            p { "What would change that:" }
            ul { @for line in &evidence.outlook { li { (line) } } }
        }
    } }
}

const fn told_test(name: TestName) -> &'static str {
    match name {
        TestName::Errors => "errors of users' requests",
        TestName::Latency => "slow answers to users",
        TestName::MirroredErrors => "errors of copied requests",
        TestName::MirroredLatency => "slow answers to copied requests",
        TestName::Ceiling => "errors against the ceiling",
    }
}

impl View for ReleasePage {
    fn title(&self) -> String {
        format!("{} · Release", self.release.facts.name)
    }

    fn html(&self) -> Markup {
        html! {
            (self.heading())
            (self.steps())
            (self.charts())
            (self.versions())
            @if let Some(found) = &self.release.facts.evidence { (evidence(found)) }
            (self.decisions())
            (self.hooks())
        }
    }

    fn json(&self) -> Value {
        json!(self)
    }
}

/// Asks whether a command is meant.
#[derive(Serialize)]
pub(crate) struct Confirmation {
    release: Release,
    #[serde(skip)]
    command: Command,
    #[serde(skip)]
    word: String,
}

impl Confirmation {
    pub(crate) fn of(world: &World, namespace: &str, name: &str, command: &str) -> Option<Self> {
        let release = Release::find(&world.objects, namespace, name)?;
        let command = Command::of(command)?;
        Some(Self { release, command, word: world.access.form_word().to_owned() })
    }
}

impl View for Confirmation {
    fn title(&self) -> String {
        format!("{} {}?", self.command.label, self.release.facts.name)
    }

    fn status(&self) -> StatusCode {
        StatusCode::OK
    }

    fn html(&self) -> Markup {
        let (release, command) = (&self.release, self.command);
        let (how, word) = release.told();
        html! {
            p.crumbs { a href="/releases" { "Releases" } " / " a href=(release.link()) { (release.facts.name) } }
            h1 { (command.label) " " (release.facts.name) "?" }
            p.lead { (command.effect) }
            p { "The release is " (state(how, word)) " with " (release.facts.weights.canary) " % of the requests." }
            form method="post" action={ (release.link()) "/" (command.word) } {
                input type="hidden" name="word" value=(self.word);
                p.buttons {
                    button.grave[command.is_grave] type="submit" { (command.label) " " (release.facts.name) }
                    a.button href=(release.link()) { "Back" }
                }
            }
            p.quiet { "The same by command:" }
            p { (parts::command(&format!("serin canary {} {} -n {}", command.word, release.facts.name, release.facts.namespace))) }
        }
    }

    fn json(&self) -> Value {
        json!(self)
    }
}
