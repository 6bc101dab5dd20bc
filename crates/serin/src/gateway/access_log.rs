//! Which access log the manifests ask for: the command line's, a Telemetry's, or the mesh configuration's; and how much is traced.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use cel::{Context, Program, Value};
use serin_api::Object;
use serin_api::mesh_config::{AccessLogEncoding, AccessLogFormat, MeshConfig};
use serin_api::telemetry::{AccessLogging, Telemetry, WorkloadMode};
use serin_api::values::PolicySelector;
use serin_routing::format::{Facts, Property};
use serin_telemetry::access_log::{AccessLog, Filter, Layout, Target, Writer};
use serin_translate::{Proxy, Snapshot};

use crate::cli::{GatewayArgs, LogEncoding};

/// The provider that mesh configurations have by default.
const DEFAULT_PROVIDER: &str = "envoy";

/// An access log as it is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    path: String,
    form: Form,
    filter: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
enum Form {
    Text(String),
    Json(Vec<(String, String)>),
}

/// The access log of a gateway, opened again only if another is asked for.
#[derive(Default)]
pub(crate) struct Current {
    wanted: Option<Wanted>,
    log: Option<Arc<AccessLog>>,
}

impl Current {
    /// Takes over what is asked for now, which `start` opens by its path. A log that cannot be opened is reported, and the one before
    /// goes on.
    pub(crate) fn follow(
        &mut self,
        wanted: Option<Wanted>,
        start: impl FnOnce(&str) -> io::Result<Writer>,
    ) -> Option<&Arc<AccessLog>> {
        if wanted != self.wanted {
            match wanted.as_ref().map(|wanted| open(wanted, start)).transpose() {
                Ok(log) => (self.wanted, self.log) = (wanted, log.map(Arc::new)),
                Err(error) => tracing::error!(error, "the access log cannot be opened"),
            }
        }
        self.log.as_ref()
    }

    /// Lines that were lost.
    pub(super) fn log(&self) -> Option<&Arc<AccessLog>> {
        self.log.as_ref()
    }
}

fn open(
    wanted: &Wanted,
    start: impl FnOnce(&str) -> io::Result<Writer>,
) -> Result<AccessLog, String> {
    let filter = wanted.filter.as_deref().map(filter).transpose()?;
    let layout = match &wanted.form {
        Form::Text(format) => Layout::text(format),
        Form::Json(fields) => Layout::json(fields),
    };
    let writer = start(&wanted.path).map_err(|error| format!("{}: {error}", wanted.path))?;
    Ok(AccessLog::new(layout, filter, writer))
}

/// What is asked for by the command line, or else by the mesh.
pub(super) fn wanted(args: &GatewayArgs, snapshot: &Snapshot, proxy: &Proxy) -> Option<Wanted> {
    if let Some(path) = &args.access_log {
        let format = args.access_log_format.clone().unwrap_or_default();
        let form = match args.access_log_encoding.unwrap_or(LogEncoding::Text) {
            LogEncoding::Text => Form::Text(format),
            LogEncoding::Json => Form::Json(json_fields(&format)),
        };
        return Some(Wanted { path: path.clone(), form, filter: None });
    }
    wanted_by_mesh(snapshot, proxy)
}

/// What Telemetries and the mesh configuration ask for.
pub(crate) fn wanted_by_mesh(snapshot: &Snapshot, proxy: &Proxy) -> Option<Wanted> {
    let mesh = &snapshot.settings().mesh;
    let of_mesh = || {
        let path = Some(mesh.access_log_file.clone()).filter(|path| !path.is_empty())?;
        Some(Wanted { path, form: form_of_mesh(mesh), filter: None })
    };
    match settings(snapshot, proxy) {
        Some(logging) => of_telemetry(logging, mesh),
        None => of_mesh(),
    }
}

fn form_of_mesh(mesh: &MeshConfig) -> Form {
    match mesh.access_log_encoding {
        AccessLogEncoding::Json => Form::Json(json_fields(&mesh.access_log_format)),
        _ => Form::Text(mesh.access_log_format.clone()),
    }
}

/// `{"status": "%RESPONSE_CODE%"}` as fields; none if it is no such object.
fn json_fields(format: &str) -> Vec<(String, String)> {
    let fields: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(format).unwrap_or_default();
    fields.into_iter().map(|(name, value)| (name, plain(&value))).collect()
}

fn plain(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Opens the file, or the stream, of a path.
pub(super) fn at_path(path: &str) -> io::Result<Writer> {
    Writer::start(Target::new(path))
}

fn settings<'s>(snapshot: &'s Snapshot, proxy: &Proxy) -> Option<&'s AccessLogging> {
    of_telemetries(snapshot, proxy, |telemetry| {
        telemetry.access_logging.iter().rfind(|it| {
            let mode = it.condition.as_ref().map(|it| &it.mode);
            mode.is_none_or(|mode| *mode != WorkloadMode::Server)
        })
    })
}

/// The percentage of traces that Telemetries ask for.
pub(crate) fn sampling(snapshot: &Snapshot, proxy: &Proxy) -> Option<f64> {
    of_telemetries(snapshot, proxy, |telemetry| {
        telemetry.tracing.iter().find_map(|it| it.random_sampling_percentage.as_ref())
    })
    .copied()
}

/// The provider of traces that Telemetries, or else the mesh configuration, name for a proxy.
pub(crate) fn trace_provider<'s>(snapshot: &'s Snapshot, proxy: &Proxy) -> Option<&'s str> {
    let mesh = &snapshot.settings().mesh;
    let of_client = |telemetry: &'s Telemetry| {
        telemetry
            .tracing
            .iter()
            .find(|it| it.condition.as_ref().is_none_or(|it| it.mode != WorkloadMode::Server))
    };
    let asked = of_telemetries(snapshot, proxy, of_client);
    if !mesh.enable_tracing || asked.is_some_and(|it| it.disable_span_reporting == Some(true)) {
        return None;
    }
    let named = asked.and_then(|it| it.providers.first()).map(|it| it.name.as_str());
    named.or_else(|| mesh.default_providers.tracing.first().map(String::as_str))
}

/// What Telemetries say for a proxy: those of its workload before those of its namespace before those of the mesh (Istio's order).
fn of_telemetries<'s, T>(
    snapshot: &'s Snapshot,
    proxy: &Proxy,
    part: impl Fn(&'s Telemetry) -> Option<&'s T>,
) -> Option<&'s T> {
    let root = &snapshot.settings().mesh.root_namespace;
    let rank = |object: &Object<Telemetry>| {
        let spec = &object.spec;
        if !spec.target_refs.is_empty() || spec.target_ref.is_some() {
            return None;
        }
        match &spec.selector {
            Some(PolicySelector { match_labels, .. }) if !match_labels.is_empty() => {
                let fits = object.meta.namespace == proxy.namespace;
                (fits && proxy.has_labels(match_labels)).then_some(2)
            }
            _ if object.meta.namespace == proxy.namespace => Some(1),
            _ if object.meta.namespace == *root => Some(0),
            _ => None,
        }
    };
    let candidates = snapshot.objects().telemetries.iter().filter_map(|object| {
        let found = part(&object.spec)?;
        Some((rank(object)?, found))
    });
    // Of several of the same rank the oldest counts.
    candidates.rev().max_by_key(|(rank, _)| *rank).map(|(_, found)| found)
}

fn of_telemetry(logging: &AccessLogging, mesh: &MeshConfig) -> Option<Wanted> {
    if logging.disabled == Some(true) {
        return None;
    }
    let named = logging.providers.first().map_or(DEFAULT_PROVIDER, |it| it.name.as_str());
    let provider = mesh.extension_providers.iter().find(|it| it.name == named);
    let Some(file) = provider.and_then(|it| it.envoy_file_access_log.as_ref()) else {
        tracing::warn!(
            provider = named,
            "a Telemetry asks for an access log that is no file; it is left out"
        );
        return None;
    };
    let path = if file.path.is_empty() { "/dev/stdout" } else { &file.path };
    let form = match &file.log_format {
        Some(AccessLogFormat { text: Some(text), .. }) => Form::Text(text.clone()),
        Some(AccessLogFormat { labels: Some(labels), .. }) => {
            Form::Json(labels.iter().map(|(name, value)| (name.clone(), plain(value))).collect())
        }
        _ => form_of_mesh(mesh),
    };
    let filter = logging.filter.as_ref().map(|it| it.expression.clone());
    Some(Wanted { path: path.to_owned(), form, filter: filter.filter(|it| !it.is_empty()) })
}

/// A filter by a CEL expression over `request` and `response`. One that cannot be evaluated takes nothing.
fn filter(expression: &str) -> Result<Filter, String> {
    let program = Program::compile(expression)
        .map_err(|error| format!("the filter {expression:?} is no CEL expression: {error}"))?;
    let headers = header_names(expression);
    Ok(Box::new(move |status, facts| {
        let mut context = Context::default();
        context.add_variable_from_value("response", response(status, facts));
        context.add_variable_from_value("request", request(facts, &headers));
        matches!(program.execute(&context), Ok(Value::Bool(true)))
    }))
}

fn response(status: u16, facts: &dyn Facts) -> Value {
    let mut details = Vec::new();
    facts.append(Property::ResponseCodeDetails, &mut details);
    map([("code", Value::Int(i64::from(status))), ("code_details", text(&details))])
}

fn request(facts: &dyn Facts, headers: &[String]) -> Value {
    let header = |name: &str| text(facts.request_header(name).unwrap_or_default());
    let path = facts.request_header(":path").unwrap_or_default();
    let url_path = path.split(|&byte| byte == b'?').next().unwrap_or_default();
    let present = headers.iter().filter_map(|name| {
        let value = facts.request_header(name)?;
        Some((name.as_str(), text(value)))
    });
    let headers: Value = map(present);
    map([
        ("method", header(":method")),
        ("host", header(":authority")),
        ("scheme", header(":scheme")),
        ("path", text(path)),
        ("url_path", text(url_path)),
        ("useragent", header("user-agent")),
        ("headers", headers),
    ])
}

fn map<'n>(entries: impl IntoIterator<Item = (&'n str, Value)>) -> Value {
    let entries: std::collections::HashMap<String, Value> =
        entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Value::from(entries)
}

fn text(bytes: &[u8]) -> Value {
    Value::String(Arc::new(String::from_utf8_lossy(bytes).into_owned()))
}

/// Names in quotes: those headers that the expression can ask for.
fn header_names(expression: &str) -> Vec<String> {
    let mut names: BTreeMap<String, ()> = BTreeMap::new();
    for quote in ['\'', '"'] {
        let quoted = expression.split(quote).skip(1).step_by(2);
        names.extend(quoted.map(|name| (name.to_ascii_lowercase(), ())));
    }
    names.into_keys().collect()
}
