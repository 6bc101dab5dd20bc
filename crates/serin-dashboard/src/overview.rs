//! The overview: problems first, then services with their versions, and the traffic between them.

mod graph;

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use maud::{Markup, html};
use serde::Serialize;
use serde_json::{Value, json};

use crate::page::View;
use crate::parts::{self, State, count, state};
use crate::problems::{self, Problem};
use crate::releases::{self, Release};
use crate::services::{self, Service};
use crate::traffic::{Counts, End, Rates, Window};
use crate::world::World;

/// So many rows of traffic are shown, those with the most requests.
const ROWS: usize = 100;

/// The page.
#[derive(Serialize)]
pub(crate) struct Overview {
    problems: Vec<Problem>,
    releases: Vec<Release>,
    services: Vec<Service>,
    traffic: Vec<Flow>,
    /// The stretch of time in seconds that rates are of.
    seconds: f64,
    /// Why traffic is not known, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<String>,
}

/// What goes from one service to another.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Flow {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) rates: Rates,
}

impl Overview {
    pub(crate) fn of(world: &World) -> Self {
        let window = world.lately();
        let services = services::all(&world.objects, &window);
        let releases = Release::all(&world.objects);
        let mut problems = problems::all(&world.objects, &releases, &services, Timestamp::now());
        let unknown = world.unknown();
        problems.extend(unknown.clone().map(problems::of_traffic));
        let traffic = flows(&services, &window);
        Self { problems, releases, services, traffic, seconds: window.seconds.round(), unknown }
    }

    fn problems(&self) -> Markup {
        html! { section.problems aria-labelledby="problems" {
            h2 id="problems" { "Problems" }
            @if self.problems.is_empty() {
                p data-news="No problems" { (state(State::Good, "None: every pod is ready, and every rule is in force.")) }
            }
            @for problem in &self.problems {
                article.problem {
                    h3 data-news=(problem.what) { (state(problem.state, &problem.what)) }
                    @if !problem.why.is_empty() { p { (problem.why) } }
                    p.next {
                        @if !problem.command.is_empty() { (parts::command(&problem.command)) }
                        @if let Some(link) = &problem.link { a href=(link) { "Show it" } }
                    }
                }
            }
        } }
    }

    fn services(&self) -> Markup {
        let table = html! {
            table {
                thead { tr {
                    th scope="col" { "Service" }
                    th scope="col" { "Pods" }
                    th.number scope="col" { "Requests" }
                    th.number scope="col" { "Success" }
                    th.number scope="col" { "p50" }
                    th.number scope="col" { "p99" }
                } }
                @for service in &self.services {
                    tbody {
                        tr {
                            th scope="row" { (service.name) span.quiet { " " (service.namespace) } }
                            td { @if service.versions.is_empty() { (state(State::Bad, "no pods")) } }
                            (rates(&service.rates))
                        }
                        @for version in &service.versions {
                            tr.version {
                                th scope="row" {
                                    (version.workload)
                                    @if !version.version.is_empty() { span.quiet { " " (version.version) } }
                                }
                                td { (ready(version.ready, version.pods)) }
                                (rates(&version.rates))
                            }
                        }
                    }
                }
            }
        };
        html! { section aria-labelledby="services" {
            h2 id="services" { "Services" }
            @if self.services.is_empty() {
                p { "There are no services yet. Bookinfo is a good first one:" }
                p { (parts::command("kubectl apply -f samples/bookinfo/")) }
            } @else {
                (parts::scroll("Services", &table))
            }
        } }
    }

    fn traffic(&self) -> Markup {
        let table = html! {
            table {
                thead { tr {
                    th scope="col" { "From" } th scope="col" { "To" }
                    th.number scope="col" { "Requests" } th.number scope="col" { "Success" }
                    th.number scope="col" { "p50" } th.number scope="col" { "p99" }
                } }
                tbody { @for flow in self.traffic.iter().take(ROWS) {
                    tr {
                        th scope="row" { (flow.from) }
                        td { a href={ "/requests?service=" (parts::segment(flow.to.split('.').next().unwrap_or_default())) } { (flow.to) } }
                        (rates(&flow.rates))
                    }
                } }
            }
        };
        html! { section aria-labelledby="traffic" {
            h2 id="traffic" { "Traffic" }
            @if self.unknown.is_some() {
                p.quiet { "Not known at present." }
            } @else if self.traffic.is_empty() {
                p.quiet { "Nothing has been sent in the last " (self.seconds) " s." }
            } @else {
                p.quiet { "The last " (self.seconds) " s." }
                (parts::scroll("Traffic as a picture", &graph::svg(&self.traffic)))
                (parts::scroll("Traffic", &table))
            }
        } }
    }
}

/// The cells of rates.
pub(crate) fn rates(rates: &Rates) -> Markup {
    let failing = rates.success.is_some_and(|share| share < 0.99);
    html! {
        td.number {
            (parts::rate(rates.rate))
            @if rates.mirrored > 0.0 { br; span.quiet { (parts::rate(Some(rates.mirrored))) " copies" } }
        }
        td.number { @if failing { span.shape.bad aria-hidden="true" { "■" } " " } (parts::share(rates.success)) }
        td.number { (parts::milliseconds(rates.p50)) }
        td.number { (parts::milliseconds(rates.p99)) }
    }
}

fn ready(ready: usize, pods: usize) -> Markup {
    let how = match ready {
        _ if ready == pods => State::Good,
        0 => State::Bad,
        _ => State::Odd,
    };
    if ready == pods {
        return state(how, &format!("{} ready", count(pods, "pod")));
    }
    state(how, &format!("{ready} of {} ready", count(pods, "pod")))
}

/// What goes between services, the most first.
fn flows(services: &[Service], window: &Window) -> Vec<Flow> {
    let mut sums: BTreeMap<(String, String), Counts> = BTreeMap::new();
    for (edge, counts) in &window.edges {
        let from = source(services, &edge.source);
        let called = services.iter().find(|it| {
            it.is_called(&edge.service_namespace, &edge.service)
                || it.has(&edge.destination.namespace, &edge.destination.workload)
        });
        let to = called.map_or_else(|| edge.service.to_string(), full_name);
        if !to.is_empty() {
            sums.entry((from, to)).or_default().add(counts);
        }
    }
    let flow = |((from, to), counts): ((String, String), Counts)| Flow {
        from,
        to,
        rates: window.rates(&counts),
    };
    let mut flows: Vec<Flow> = sums.into_iter().map(flow).collect();
    flows.sort_by_key(|it| std::cmp::Reverse(it.rates.requests));
    flows
}

fn full_name(service: &Service) -> String {
    if service.namespace == "default" {
        return service.name.clone();
    }
    format!("{}.{}", service.name, service.namespace)
}

/// Who sends, as the service that the workload is behind.
fn source(services: &[Service], source: &End) -> String {
    let service = services.iter().find(|it| it.has(&source.namespace, &source.workload));
    match service {
        Some(service) => full_name(service),
        None if source.workload.is_empty() => "outside".to_owned(),
        None => source.workload.to_string(),
    }
}

impl View for Overview {
    fn title(&self) -> String {
        "Overview".to_owned()
    }

    fn html(&self) -> Markup {
        let running: Vec<Release> =
            self.releases.iter().filter(|it| it.facts.is_running()).cloned().collect();
        html! {
            h1.hidden { "Overview" }
            (self.problems())
            @if !running.is_empty() {
                section aria-labelledby="running" {
                    h2 id="running" { "Releases under way" }
                    (parts::scroll("Releases under way", &releases::table(&running)))
                }
            }
            (self.traffic())
            (self.services())
        }
    }

    fn json(&self) -> Value {
        json!(self)
    }
}
