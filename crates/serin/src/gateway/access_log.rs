//! Which access log the manifests ask for: the command line's, a Telemetry's, or the mesh configuration's; and how much is traced.

use std::io;
use std::sync::Arc;

use cel::Value;
use serin_api::mesh_config::{AccessLogEncoding, AccessLogFormat, MeshConfig};
use serin_api::telemetry::{AccessLogging, Telemetry, WorkloadMode};
use serin_telemetry::access_log::{AccessLog, Filter, Layout, Target, Writer};
use serin_translate::{Proxy, Snapshot};

use super::attributes::{self, Node};
use super::telemetries;
use crate::cli::{GatewayArgs, LogEncoding};

/// The provider that mesh configurations have by default.
const DEFAULT_PROVIDER: &str = "envoy";

/// An access log as it is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    path: String,
    form: Form,
    filter: Option<Condition>,
}

/// An expression, and the proxy that it is for.
#[derive(Clone, Debug, PartialEq)]
struct Condition {
    expression: String,
    node: Node,
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
    let filter = wanted.filter.as_ref().map(filter).transpose()?;
    let layout = match &wanted.form {
        Form::Text(format) => Layout::text(format),
        Form::Json(fields) => Layout::json(fields),
    };
    for operator in layout.unknown() {
        tracing::warn!(
            operator,
            "the format of the access log has what is no operator; it is written as it stands"
        );
    }
    let writer = start(&wanted.path).map_err(|error| format!("{}: {error}", wanted.path))?;
    Ok(AccessLog::new(layout, filter, writer))
}

/// What is asked for by the command line, or else by the mesh.
pub(super) fn wanted(
    args: &GatewayArgs,
    snapshot: &Snapshot,
    proxy: &Proxy,
    node: &Node,
) -> Option<Wanted> {
    if let Some(path) = &args.access_log {
        let format = args.access_log_format.clone().unwrap_or_default();
        let form = match args.access_log_encoding.unwrap_or(LogEncoding::Text) {
            LogEncoding::Text => Form::Text(format),
            LogEncoding::Json => Form::Json(json_fields(&format)),
        };
        return Some(Wanted { path: path.clone(), form, filter: None });
    }
    wanted_by_mesh(snapshot, proxy, node)
}

/// What Telemetries and the mesh configuration ask for.
pub(crate) fn wanted_by_mesh(snapshot: &Snapshot, proxy: &Proxy, node: &Node) -> Option<Wanted> {
    let mesh = &snapshot.settings().mesh;
    let of_mesh = || {
        let path = Some(mesh.access_log_file.clone()).filter(|path| !path.is_empty())?;
        Some(Wanted { path, form: form_of_mesh(mesh), filter: None })
    };
    match settings(snapshot, proxy) {
        Some(logging) => of_telemetry(logging, mesh, node),
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
    telemetries::nearest(snapshot, proxy, |telemetry| {
        telemetry.access_logging.iter().rfind(|it| {
            let mode = it.condition.as_ref().map(|it| &it.mode);
            mode.is_none_or(|mode| *mode != WorkloadMode::Server)
        })
    })
}

/// The percentage of traces that Telemetries ask for.
pub(crate) fn sampling(snapshot: &Snapshot, proxy: &Proxy) -> Option<f64> {
    telemetries::nearest(snapshot, proxy, |telemetry| {
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
    let asked = telemetries::nearest(snapshot, proxy, of_client);
    if !mesh.enable_tracing || asked.is_some_and(|it| it.disable_span_reporting == Some(true)) {
        return None;
    }
    let named = asked.and_then(|it| it.providers.first()).map(|it| it.name.as_str());
    named.or_else(|| mesh.default_providers.tracing.first().map(String::as_str))
}

fn of_telemetry(logging: &AccessLogging, mesh: &MeshConfig, node: &Node) -> Option<Wanted> {
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
    let filter = logging.filter.as_ref().filter(|it| !it.expression.is_empty());
    let filter =
        filter.map(|it| Condition { expression: it.expression.clone(), node: node.clone() });
    Some(Wanted { path: path.to_owned(), form, filter })
}

/// A filter by a CEL expression over attributes. One that cannot be evaluated takes nothing.
fn filter(Condition { expression, node }: &Condition) -> Result<Filter, String> {
    let compiled = attributes::Expression::new(expression, node)
        .map_err(|error| format!("the filter {expression:?} is no CEL expression: {error}"))?;
    Ok(Box::new(move |_, facts| compiled.evaluate(facts) == Some(Value::Bool(true))))
}
