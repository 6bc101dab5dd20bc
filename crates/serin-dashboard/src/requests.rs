//! Recent requests: a sample, with the rule that took each and what became of it.

use k8s_openapi::jiff::Timestamp;
use maud::{Markup, html};
use serde::Serialize;
use serde_json::{Value, json};

use crate::mesh::{Request, Rule};
use crate::objects::{Objects, label, namespace, text};
use crate::page::{Query, View};
use crate::parts::{self, count, moment};
use crate::world::World;

/// Rows of a page.
const ROWS: usize = 50;

/// The page.
#[derive(Serialize)]
pub(crate) struct Requests {
    /// `None` where proxies do not tell of single requests.
    requests: Option<Vec<Row>>,
    /// How many there are with this filter.
    total: usize,
    #[serde(skip)]
    services: Vec<String>,
    #[serde(skip)]
    service: String,
    #[serde(skip)]
    status: String,
}

/// A request, with what the cluster knows of its ends.
#[derive(Serialize)]
struct Row {
    time: String,
    #[serde(flatten)]
    request: Request,
    /// The pod that answered.
    pod: String,
    /// Its version.
    version: String,
}

impl Requests {
    pub(crate) async fn of(world: &World, query: &Query) -> Self {
        let (service, status) = (query.get("service"), query.get("status"));
        let sample = world.mesh.requests().await;
        let is_told = sample.is_some();
        let all = sample.unwrap_or_default();
        let mut services: Vec<String> = all.iter().map(|it| called(it).to_owned()).collect();
        services.sort();
        services.dedup();
        let wanted = all
            .into_iter()
            .rev()
            .filter(|it| (service.is_empty() || called(it) == service) && is_of_status(it, status));
        let wanted: Vec<Request> = wanted.collect();
        let total = wanted.len();
        let shown = wanted.into_iter().take(ROWS);
        let requests = shown.map(|request| row(&world.objects, request)).collect();
        let requests = is_told.then_some(requests);
        let (service, status) = (service.to_owned(), status.to_owned());
        Self { requests, total, services, service, status }
    }

    fn filter(&self) -> Markup {
        let options = [
            ("", "any status"),
            ("ok", "succeeded"),
            ("failed", "failed"),
            ("4xx", "4xx"),
            ("5xx", "5xx"),
        ];
        html! {
            form.filter method="get" action="/requests" role="search" {
                label { "Service"
                    select name="service" {
                        option value="" selected[self.service.is_empty()] { "all" }
                        @for name in self.services.iter().filter(|it| !it.is_empty()) {
                            option value=(name) selected[*name == self.service] { (name) }
                        }
                    }
                }
                label { "Status"
                    select name="status" {
                        @for (value, name) in options {
                            option value=(value) selected[value == self.status] { (name) }
                        }
                    }
                }
                button type="submit" { "Filter" }
                button type="button" data-pause="" aria-pressed="false" data-keep="" { "Pause" }
            }
        }
    }

    fn table(rows: &[Row]) -> Markup {
        html! {
            table {
                thead { tr {
                    th scope="col" { "Time" }
                    th scope="col" { "Request" }
                    th scope="col" { "Status" }
                    th.number scope="col" { "Took" }
                    th scope="col" { "From" }
                    th scope="col" { "To" }
                    th scope="col" { "Rule" }
                } }
                tbody { @for row in rows { (line(row)) } }
            }
        }
    }
}

fn row(objects: &Objects, request: Request) -> Row {
    let time = i64::try_from(request.started.as_micros()).unwrap_or(i64::MAX);
    let time = Timestamp::from_microsecond(time).map(|it| it.to_string()).unwrap_or_default();
    let address = request.endpoint.rsplit_once(':').map_or("", |(address, _)| address);
    let pods = objects.all("", "Pod");
    let pod = pods.iter().find(|pod| {
        !address.is_empty() && text(pod, "/status/podIP") == address.trim_matches(['[', ']'])
    });
    let name = pod.map(|it| format!("{}/{}", namespace(it), crate::objects::name(it)));
    let version = pod.map(|it| label(it, "version").to_owned()).filter(|it| !it.is_empty());
    let version = version.unwrap_or_else(|| request.subset.clone());
    Row { time, request, pod: name.unwrap_or_default(), version }
}

/// The service that was called, without namespace and port.
fn called(request: &Request) -> &str {
    request.destination.split(['.', ':']).next().unwrap_or_default()
}

fn is_of_status(request: &Request, wanted: &str) -> bool {
    match wanted {
        "" => true,
        "ok" => (100..400).contains(&request.status),
        "failed" => has_failed(request),
        "4xx" => (400..500).contains(&request.status),
        "5xx" => (500..600).contains(&request.status),
        number => number.parse() == Ok(request.status),
    }
}

const fn has_failed(request: &Request) -> bool {
    request.status == 0 || request.status >= 500
}

/// Whether the details tell more than whose answer it is, and there is no flag to tell them at.
fn is_explained(request: &Request) -> bool {
    request.flags == "-" && !["-", "via_upstream", "direct_response"].contains(&&*request.details)
}

fn line(row: &Row) -> Markup {
    let request = &row.request;
    html! {
        tr.failed[has_failed(request)] {
            td { (moment(&row.time)) }
            td.long { span.quiet { (request.method) " " (request.host) } span.path { (request.path) } }
            td {
                @if has_failed(request) { span.shape.bad aria-hidden="true" { "■" } " " }
                @if request.status == 0 { "no answer" }
                @else if is_explained(request) { abbr title=(request.details) { (request.status) } }
                @else { (request.status) }
                @if request.flags != "-" { " " abbr title=(request.details) { (request.flags) } }
                @if request.attempts > 1 { span.quiet { " " (request.attempts) " tries" } }
            }
            td.number { (parts::milliseconds(Some(request.milliseconds))) }
            td { (request.source) }
            td {
                @if request.destination.is_empty() { "nowhere" } @else { (request.destination) }
                @if !row.version.is_empty() { " " span.tag { (row.version) } }
            }
            td { @if let Some(rule) = &request.rule { (rule_link(rule)) } @else { "–" } }
        }
    }
}

impl Rule {
    /// Whether the rules of its object have a page.
    pub(crate) fn has_page(&self) -> bool {
        ["VirtualService", "HTTPRoute", "GRPCRoute"].contains(&self.kind.as_str())
    }
}

/// The page of a rule.
pub(crate) fn link(rule: &Rule) -> String {
    let (namespace, name) = (parts::segment(&rule.namespace), parts::segment(&rule.name));
    format!("/routing/{namespace}/{name}#rule-{}", rule.index.unwrap_or(0))
}

/// A rule, with a link to it if it has a page.
pub(crate) fn rule_link(rule: &Rule) -> Markup {
    let index = rule.index.map(|index| format!(", rule {}", index + 1)).unwrap_or_default();
    html! {
        @if rule.has_page() { a href=(link(rule)) { (rule.name) (index) } }
        @else { (rule.kind) " " (rule.name) (index) }
    }
}

impl View for Requests {
    fn title(&self) -> String {
        "Requests".to_owned()
    }

    fn html(&self) -> Markup {
        html! {
            h1 { "Requests" }
            @match &self.requests {
                None => {
                    p { "Istio's proxies do not tell of single requests here. Where access logs are on, they do:" }
                    p { (parts::command("kubectl -n NAMESPACE logs POD -c istio-proxy")) }
                    p { "Which rule takes a request, and why: " a href="/routing/explain" { "explain it" } "." }
                }
                Some(rows) => {
                    p.lead { "A sample of the latest requests that the proxies of this machine have sent on." }
                    (self.filter())
                    @if rows.is_empty() {
                        p.quiet { "There is none yet." }
                    } @else {
                        (parts::scroll("Requests", &Self::table(rows)))
                        p.quiet {
                            @if self.total > ROWS { "The latest " (ROWS) " of " (self.total) "." }
                            @else { (count(self.total, "request")) "." }
                        }
                    }
                }
            }
        }
    }

    fn json(&self) -> Value {
        json!(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_by_status_takes_classes_and_numbers() {
        let check = |status: u16, wanted: &str, expect: bool| {
            let request = Request { status, ..Request::default() };
            assert_eq!(is_of_status(&request, wanted), expect, "{status} {wanted}");
        };
        check(200, "", true);
        check(200, "ok", true);
        check(404, "ok", false);
        check(404, "4xx", true);
        check(0, "failed", true);
        check(503, "failed", true);
        check(503, "503", true);
        check(502, "503", false);
    }

    #[test]
    fn a_service_is_called_by_its_first_name() {
        let request = Request { destination: "reviews.default:9080".into(), ..Request::default() };
        assert_eq!(called(&request), "reviews");
    }
}
