//! The objects of the mesh: how each is, where it is live, and one as it is written with what is wrong at its fields.

mod yaml;

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde::Serialize;
use serde_json::{Value, json};
use serin_api::{Finding, Kind, ObjectRef};

use crate::findings::{how, live, reference};
use crate::mesh::Live;
use crate::objects::{Object, followed, link, name, namespace, text};
use crate::page::{Query, View};
use crate::parts::{self, State, count, moment, state};
use crate::problems::conditions;
use crate::world::World;

/// Rows of a page.
const ROWS: usize = 100;

/// A row of the list.
#[derive(Serialize)]
struct Row {
    kind: &'static str,
    namespace: String,
    name: String,
    state: State,
    told: String,
    findings: usize,
    live: Option<Live>,
    #[serde(skip)]
    link: String,
}

/// The list.
#[derive(Serialize)]
pub(crate) struct List {
    objects: Vec<Row>,
    total: usize,
    /// How many there are of each kind.
    kinds: BTreeMap<&'static str, usize>,
    #[serde(skip)]
    query: Query,
}

impl List {
    pub(crate) fn of(world: &World, query: &Query) -> Self {
        let findings = world.mesh.findings();
        let mut by_object: BTreeMap<&ObjectRef, Vec<&Finding>> = BTreeMap::new();
        for finding in findings.iter() {
            by_object.entry(finding.object.as_ref().unwrap_or(&NOBODY)).or_default().push(finding);
        }
        let wanted = query.get("kind");
        let (mut kinds, mut all) = (BTreeMap::new(), Vec::new());
        for kind in followed().filter(|kind| kind.is_custom) {
            let of_kind = world.objects.all(kind.group, kind.kind);
            if !of_kind.is_empty() {
                *kinds.entry(kind.kind).or_default() += of_kind.len();
            }
            if wanted.is_empty() || wanted == kind.kind {
                all.extend(of_kind.into_iter().map(|object| (kind, object)));
            }
        }
        let total = all.len();
        let page = all.into_iter().skip(query.page() * ROWS).take(ROWS);
        let objects = page.map(|(kind, object)| {
            let about = by_object.get(&reference(&object)).map(Vec::as_slice).unwrap_or_default();
            row(world, kind, &object, about)
        });
        Self { objects: objects.collect(), total, kinds, query: query.clone() }
    }
}

/// Stands for findings about no object.
static NOBODY: ObjectRef = ObjectRef {
    api_version: String::new(),
    kind: String::new(),
    namespace: String::new(),
    name: String::new(),
};

fn row(world: &World, kind: &'static Kind, object: &Value, findings: &[&Finding]) -> Row {
    let worst = findings.iter().map(|it| it.severity).max();
    let failed = conditions(object).find(|it| it["status"] == "False");
    let (state, told) = match (failed, worst) {
        (Some(failed), _) => {
            (State::Bad, format!("{}: {}", text(failed, "/type"), text(failed, "/message")))
        }
        (None, Some(severity)) => {
            let worst = findings.iter().find(|it| it.severity == severity);
            (how(severity), worst.map(|it| it.message.clone()).unwrap_or_default())
        }
        (None, None) => (State::Good, "in order".to_owned()),
    };
    let (space, object_name) = (namespace(object).to_owned(), name(object).to_owned());
    let link = link(kind.plural, kind.group, &space, &object_name);
    let live = world.mesh.live(&reference(object));
    Row {
        kind: kind.kind,
        namespace: space,
        name: object_name,
        state,
        told,
        findings: findings.len(),
        live,
        link,
    }
}

impl View for List {
    fn title(&self) -> String {
        "Objects".to_owned()
    }

    fn html(&self) -> Markup {
        let wanted = self.query.get("kind");
        let table = html! {
            table {
                thead { tr {
                    th scope="col" { "Object" } th scope="col" { "Kind" } th scope="col" { "State" } th scope="col" { "Live" }
                } }
                tbody { @for row in &self.objects { tr {
                    th scope="row" { a href=(row.link) { (row.name) } span.quiet { " " (row.namespace) } }
                    td { (row.kind) }
                    td.long { (state(row.state, &row.told)) @if row.findings > 1 { span.quiet { " (" (count(row.findings, "finding")) ")" } } }
                    td { (live(row.live.as_ref())) }
                } } }
            }
        };
        html! {
            h1 { "Objects" }
            p.lead { "What the mesh is made of, what is wrong with it, and which proxies decide by it." }
            form.filter method="get" action="/objects" role="search" {
                label { "Kind" select name="kind" {
                    option value="" selected[wanted.is_empty()] { "all" }
                    @for (kind, number) in &self.kinds { option value=(kind) selected[*kind == wanted] { (kind) " (" (number) ")" } }
                } }
                button type="submit" { "Filter" }
            }
            @if self.objects.is_empty() { p.quiet { "There are none." } } @else { (parts::scroll("Objects", &table)) }
            (parts::pages(&self.query, "/objects", self.total, ROWS))
        }
    }

    fn json(&self) -> Value {
        json!(self)
    }
}

/// One object.
#[derive(Serialize)]
pub(crate) struct One {
    object: Object,
    findings: Vec<Told>,
    live: Option<Live>,
    #[serde(skip)]
    resource: String,
}

/// A finding about the object.
#[derive(Clone, Serialize)]
struct Told {
    code: &'static str,
    state: State,
    field: String,
    message: String,
    help: Option<String>,
}

impl One {
    pub(crate) fn of(world: &World, kind: &str, namespace: &str, name: &str) -> Option<Self> {
        let (plural, group) = kind.split_once('.').unwrap_or((kind, ""));
        let kind = followed().find(|it| it.plural == plural && it.group == group)?;
        let object = world.objects.get(kind.group, kind.kind, namespace, name)?;
        let reference = reference(&object);
        let findings = world.mesh.findings();
        let about = findings.iter().filter(|it| it.object.as_ref() == Some(&reference));
        let told = about.map(|it| Told {
            code: it.code.0,
            state: how(it.severity),
            field: it.field.to_string(),
            message: it.message.clone(),
            help: it.help.clone(),
        });
        let live = world.mesh.live(&reference);
        let resource =
            if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
        Some(Self { findings: told.collect(), object, live, resource })
    }

    fn conditions(&self) -> Markup {
        let all: Vec<&Value> = conditions(&self.object).collect();
        if all.is_empty() {
            return html! {};
        }
        let table = html! { table {
            thead { tr { th scope="col" { "Condition" } th scope="col" { "State" } th scope="col" { "Since" } th scope="col" { "Message" } } }
            tbody { @for it in all { tr {
                th scope="row" { (text(it, "/type")) }
                td { @match text(it, "/status") {
                    "True" => (state(State::Good, "true")),
                    "False" => (state(State::Bad, "false")),
                    _ => (state(State::Busy, "not known")),
                } }
                td { (moment(text(it, "/lastTransitionTime"))) }
                td.long { (text(it, "/message")) }
            } } }
        } };
        html! { section aria-labelledby="conditions" { h2 id="conditions" { "Conditions" } (parts::scroll("Conditions", &table)) } }
    }

    fn written(&self) -> Markup {
        let mut shown = (*self.object).clone();
        if let Some(fields) = shown.as_object_mut() {
            fields.remove("status");
        }
        let lines = yaml::lines(&shown);
        let mut left: Vec<&Told> = self.findings.iter().collect();
        let listing = html! {
            pre.yaml { code {
                @for (at, line) in lines.iter().enumerate() {
                    (line.text) "\n"
                    // A finding stands below the last line of the field it is about, or of the part of it that is there.
                    @for told in &self.findings {
                        @if yaml::place(&lines, &told.field) == Some(at) { (finding(told)) }
                    }
                }
            } }
        };
        left.retain(|told| yaml::place(&lines, &told.field).is_none());
        html! { section aria-labelledby="written" {
            h2 id="written" { "As it is written" }
            @for told in left { (finding(told)) }
            (parts::scroll("The object as YAML", &listing))
        } }
    }
}

fn finding(told: &Told) -> Markup {
    html! {
        span.finding.bad[told.state == State::Bad] {
            (state(told.state, &told.message)) " " span.quiet { (told.code) }
            @if let Some(help) = &told.help { br; (help) }
        }
    }
}

impl View for One {
    fn title(&self) -> String {
        format!("{} · {}", name(&self.object), text(&self.object, "/kind"))
    }

    fn html(&self) -> Markup {
        let (space, object_name) = (namespace(&self.object), name(&self.object));
        let kind = text(&self.object, "/kind");
        let has_rules = ["VirtualService", "HTTPRoute", "GRPCRoute"].contains(&kind);
        let place = format!("{}/{}", parts::segment(space), parts::segment(object_name));
        html! {
            p.crumbs { a href="/objects" { "Objects" } " / " a href={ "/objects?kind=" (kind) } { (kind) } @if !space.is_empty() { " / " (space) } }
            h1 { (object_name) }
            p.lead {
                (live(self.live.as_ref()))
                @if has_rules { " · " a href={ "/routing/" (place) } { "Its rules in words" } }
                @if kind == "Canary" { " · " a href={ "/releases/" (place) } { "Its release" } }
            }
            (self.conditions())
            (self.written())
            p.quiet { "The same by command:" }
            p { (parts::command(&format!("kubectl -n {space} get {} {object_name} -o yaml", self.resource))) }
        }
    }

    fn json(&self) -> Value {
        json!(self)
    }
}
