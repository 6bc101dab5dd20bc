//! Routing: the hosts that proxies know, and their rules in order, as they decide by them.

mod words;

use std::collections::BTreeMap;
use std::sync::Arc;

use maud::{Markup, html};
use serde::Serialize;
use serde_json::{Value, json};
use serin_api::{Finding, Severity};
use serin_routing::Model;
use serin_routing::model::{Origin, Route};

use crate::findings;
use crate::mesh::Rule;
use crate::objects::{Objects, items};
use crate::page::{Query, View};
use crate::parts::{self, State, count, state};
use crate::world::World;

/// Hosts of a page.
const HOSTS: usize = 50;
/// Rules of a host that are listed.
const RULES: usize = 100;
/// Kinds whose objects hold rules, each with its group and the list of the rules.
const KINDS: [(&str, &str, &str); 3] = [
    ("VirtualService", "networking.istio.io", "http"),
    ("HTTPRoute", "gateway.networking.k8s.io", "rules"),
    ("GRPCRoute", "gateway.networking.k8s.io", "rules"),
];

/// A rule as proxies have it.
#[derive(Clone, Debug, Serialize, PartialEq)]
struct Line {
    rule: Rule,
    /// What requests it takes, in words: one entry for each alternative.
    takes: Vec<String>,
    /// The share in percent, and where it goes.
    to: Vec<(f64, String)>,
    /// What else it does.
    also: Vec<String>,
    /// What is wrong with it.
    findings: Vec<String>,
    /// How many requests it took so far; `None` if nobody knows.
    hits: Option<u64>,
}

impl Line {
    fn of(route: &Route, notes: &Notes<'_>) -> Self {
        let rule = rule(&route.origin);
        let (to, also) = words::action(&route.action);
        let also = also.into_iter().chain(words::changes(route)).collect();
        let findings = notes.of(&rule);
        let hits = notes.hits.as_ref().map(|hits| hits.get(&rule).copied().unwrap_or(0));
        Self { takes: vec![words::condition(&route.condition)], to, also, findings, hits, rule }
    }

    fn is_written(&self) -> bool {
        KINDS.iter().any(|(kind, ..)| *kind == self.rule.kind)
    }

    fn html(&self, is_linked: bool) -> Markup {
        html! {
            div {
                @for takes in &self.takes { p { (takes) } }
                @for (share, name) in &self.to { p { "→ " (words::share(*share)) (name) } }
                @for also in &self.also { p.quiet { (also) } }
                @for finding in &self.findings { p { (state(State::Odd, finding)) } }
                p.quiet {
                    @if is_linked { (crate::requests::rule_link(&self.rule)) }
                    @if let Some(hits) = self.hits {
                        @if is_linked { " · " }
                        @if hits == 0 { "has taken no request yet" } @else { "took " (count(hits as usize, "request")) }
                    }
                }
            }
        }
    }
}

/// What is known of rules beside the rules themselves.
struct Notes<'a> {
    findings: &'a [Finding],
    hits: Option<BTreeMap<Rule, u64>>,
}

impl<'a> Notes<'a> {
    async fn of_world(world: &World, findings: &'a [Finding]) -> Self {
        Self { findings, hits: world.mesh.hits().await }
    }

    /// What is said of a rule: findings about it, or about a field of it.
    fn of(&self, rule: &Rule) -> Vec<String> {
        let Some(index) = rule.index else { return Vec::new() };
        let Some((_, _, list)) = KINDS.iter().find(|(kind, ..)| *kind == rule.kind) else {
            return Vec::new();
        };
        let field = format!("spec.{list}[{index}]");
        let about = self.findings.iter().filter(|finding| {
            finding.severity > Severity::Info
                && finding.object.as_ref().is_some_and(|it| {
                    it.kind == rule.kind && it.namespace == rule.namespace && it.name == rule.name
                })
                && finding.field.to_string().starts_with(&field)
        });
        about.map(|finding| finding.message.clone()).collect()
    }
}

fn rule(origin: &Origin) -> Rule {
    Rule {
        kind: origin.kind.to_string(),
        namespace: origin.namespace.to_string(),
        name: origin.name.to_string(),
        index: origin.index,
    }
}

/// Alternatives of one rule, which proxies have as routes one after the other, are one line.
fn lines<'r>(routes: impl Iterator<Item = &'r Route>, notes: &Notes<'_>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for route in routes {
        let line = Line::of(route, notes);
        match lines.last_mut() {
            Some(last) if last.rule == line.rule && last.to == line.to && last.is_written() => {
                last.takes.extend(line.takes);
            }
            _ => lines.push(line),
        }
    }
    lines
}

/// A host, as a kind of proxy knows it.
#[derive(Serialize)]
struct Host {
    name: String,
    /// Whether it is known to the gateway; otherwise to pods.
    is_at_gateway: bool,
    domains: Vec<String>,
    rules: Vec<Line>,
}

impl Host {
    /// Whether someone has written a rule for it.
    fn is_written(&self) -> bool {
        self.rules.iter().any(Line::is_written)
    }
}

/// The different models in force: those of gateways, and those of pods, which mostly share one in a namespace.
fn models(world: &World) -> Vec<(bool, Arc<Model>)> {
    let mut models: Vec<(bool, Arc<Model>)> = Vec::new();
    for sender in world.mesh.senders() {
        let Some(model) = world.mesh.model(&sender.key) else { continue };
        if !models.iter().any(|(_, known)| known.route_tables.is(&model.route_tables)) {
            models.push((sender.is_gateway, model));
        }
    }
    models
}

/// The page with all hosts.
#[derive(Serialize)]
pub(crate) struct Routing {
    hosts: Vec<Host>,
    total: usize,
    #[serde(skip)]
    query: Query,
}

impl Routing {
    pub(crate) async fn of(world: &World, query: &Query) -> Self {
        let findings = world.mesh.findings();
        let notes = Notes::of_world(world, &findings).await;
        let wanted = query.get("host").to_lowercase();
        let mut seen: BTreeMap<(bool, Arc<str>), bool> = BTreeMap::new();
        let mut hosts = Vec::new();
        for (is_gateway, model) in models(world) {
            for host in model.route_tables.values().flat_map(|table| &table.virtual_hosts) {
                let is_known = seen.insert((is_gateway, Arc::clone(&host.name)), true).is_some();
                let is_wanted = host.domains.iter().any(|domain| domain.contains(&wanted));
                // What comes to a pod is the pod's own affair.
                if !is_known && is_wanted && !host.name.starts_with("inbound|") {
                    hosts.push((is_gateway, Arc::clone(host)));
                }
            }
        }
        // Hosts that someone has written rules for come first, gateways before pods.
        let is_plain = |host: &serin_routing::model::VirtualHost| {
            !host
                .routes
                .iter()
                .any(|route| KINDS.iter().any(|(kind, ..)| *kind == &*route.origin.kind))
        };
        hosts.sort_by_cached_key(|(is_gateway, host)| {
            (is_plain(host), !is_gateway, Arc::clone(&host.name))
        });
        let total = hosts.len();
        let page = hosts.into_iter().skip(query.page() * HOSTS).take(HOSTS);
        let hosts = page.map(|(is_at_gateway, host)| Host {
            name: host.name.to_string(),
            is_at_gateway,
            domains: host.domains.iter().map(ToString::to_string).collect(),
            rules: lines(host.routes.iter().take(RULES).map(|it| &**it), &notes),
        });
        Self { hosts: hosts.collect(), total, query: query.clone() }
    }
}

impl View for Routing {
    fn title(&self) -> String {
        "Routing".to_owned()
    }

    fn html(&self) -> Markup {
        html! {
            div.title { h1 { "Routing" } a.button href="/routing/explain" { "Explain a request" } }
            p.lead { "Every host that proxies know, with its rules in order: the first that takes a request decides." }
            form.filter method="get" action="/routing" role="search" {
                label { "Host" input type="search" name="host" value=(self.query.get("host")); }
                button type="submit" { "Filter" }
            }
            @if self.hosts.is_empty() { p.quiet { "No such host." } }
            @for host in self.hosts.iter().filter(|it| it.is_written()) {
                section.card {
                    div.title {
                        h2 { (host.name) }
                        span.quiet { @if host.is_at_gateway { "at the gateway" } @else { "in the mesh" } }
                    }
                    ol.rules { @for line in &host.rules { li { (line.html(true)) } } }
                }
            }
            @let plain: Vec<&Host> = self.hosts.iter().filter(|it| !it.is_written()).collect();
            @if !plain.is_empty() {
                section aria-labelledby="plain" {
                    h2 id="plain" { "Hosts without rules of their own" }
                    (parts::scroll("Hosts without rules of their own", &plain_hosts(&plain)))
                }
            }
            (parts::pages(&self.query, "/routing", self.total, HOSTS))
        }
    }

    fn json(&self) -> Value {
        json!(self)
    }
}

/// Hosts to which requests go as they come.
fn plain_hosts(hosts: &[&Host]) -> Markup {
    html! {
        table {
            thead { tr { th scope="col" { "Host" } th scope="col" { "Goes to" } th scope="col" { "Known" } } }
            tbody { @for host in hosts { tr {
                th scope="row" { (host.name) }
                td { @for line in &host.rules { @for (_, to) in &line.to { (to) " " } } }
                td { @if host.is_at_gateway { "at the gateway" } @else { "in the mesh" } }
            } } }
        }
    }
}

/// The page with the rules of one object.
#[derive(Serialize)]
pub(crate) struct Rules {
    kind: &'static str,
    namespace: String,
    name: String,
    hosts: Vec<String>,
    rules: Vec<Line>,
    live: Option<crate::mesh::Live>,
    #[serde(skip)]
    link: String,
}

impl Rules {
    pub(crate) async fn of(world: &World, namespace: &str, name: &str) -> Option<Self> {
        let (kind, group, list, object) = find(&world.objects, namespace, name)?;
        let findings = world.mesh.findings();
        let notes = Notes::of_world(world, &findings).await;
        let models = models(world);
        let is_ours = |origin: &Origin| {
            *origin.kind == *kind && *origin.namespace == *namespace && *origin.name == *name
        };
        let written = items(&object, &format!("/spec/{list}")).len();
        let mut rules = Vec::new();
        for index in (0..written).take(RULES) {
            let index = u32::try_from(index).ok();
            let in_model = |model: &Model| {
                let hosts = model.route_tables.values().flat_map(|table| &table.virtual_hosts);
                let with_it = hosts.map(|host| {
                    host.routes.iter().filter(|it| is_ours(&it.origin) && it.origin.index == index)
                });
                let mut found = with_it.map(|routes| routes.cloned().collect::<Vec<_>>());
                found.find(|routes| !routes.is_empty())
            };
            let routes = models.iter().find_map(|(_, model)| in_model(model)).unwrap_or_default();
            let rule =
                Rule { kind: kind.into(), namespace: namespace.into(), name: name.into(), index };
            let missing = || Line {
                takes: vec!["No proxy has this rule: no request can reach it.".to_owned()],
                to: Vec::new(),
                also: Vec::new(),
                findings: notes.of(&rule),
                hits: None,
                rule: rule.clone(),
            };
            let line = lines(routes.iter().map(|it| &**it), &notes).into_iter().next();
            rules.push(line.unwrap_or_else(missing));
        }
        let hosts = items(
            &object,
            if kind == "VirtualService" { "/spec/hosts" } else { "/spec/hostnames" },
        );
        let hosts = hosts.iter().filter_map(|it| it.as_str().map(str::to_owned)).collect();
        let live = world.mesh.live(&findings::reference(&object));
        let plural = format!("{}s", kind.to_lowercase());
        let link = crate::objects::link(&plural, group, namespace, name);
        Some(Self {
            kind,
            namespace: namespace.into(),
            name: name.into(),
            hosts,
            rules,
            live,
            link,
        })
    }
}

fn find(
    objects: &Objects,
    namespace: &str,
    name: &str,
) -> Option<(&'static str, &'static str, &'static str, crate::objects::Object)> {
    KINDS.into_iter().find_map(|(kind, group, list)| {
        Some((kind, group, list, objects.get(group, kind, namespace, name)?))
    })
}

impl View for Rules {
    fn title(&self) -> String {
        format!("{} · Routing", self.name)
    }

    fn html(&self) -> Markup {
        html! {
            p.crumbs { a href="/routing" { "Routing" } " / " (self.namespace) }
            h1 { (self.name) }
            p.lead { (self.kind) " for " (self.hosts.join(", ")) ". The first rule that takes a request decides." }
            p { (findings::live(self.live.as_ref())) " · " a href=(self.link) { "The object as it is written" } " · " a href="/routing/explain" { "Explain a request" } }
            @if self.rules.is_empty() { p.quiet { "It has no rules for HTTP." } }
            ol.rules.card {
                @for (index, line) in self.rules.iter().enumerate() {
                    li id={ "rule-" (index) } { (line.html(false)) }
                }
            }
        }
    }

    fn json(&self) -> Value {
        json!(self)
    }
}
