//! One object: what kind it is, what its schema and Istio's admission say, and its typed form.

use serde_json::Value;

use super::{Source, advice, identity};
use crate::schema::{self, Cause, Schema, SchemaError, UnknownField};
use crate::{
    AnyObject, Code, FieldPath, Finding, Kind, ObjectRef, Scope, Segment, Severity, codes,
    validation,
};

/// What became of an object.
#[derive(Default)]
pub(super) struct Read {
    /// What it is called, if it says so.
    pub(super) reference: Option<ObjectRef>,
    /// The object, if it can be read as its kind.
    pub(super) object: Option<AnyObject>,
    pub(super) findings: Vec<Finding>,
}

pub(super) fn read(json: Value, source: &Source, default_namespace: &str) -> Read {
    let mut reader = Reader { source, reference: None, findings: Vec::new() };
    let object = reader.object(json, default_namespace);
    Read { reference: reader.reference, object, findings: reader.findings }
}

struct Reader<'s> {
    source: &'s Source,
    reference: Option<ObjectRef>,
    findings: Vec<Finding>,
}

impl Reader<'_> {
    fn object(&mut self, mut json: Value, default_namespace: &str) -> Option<AnyObject> {
        let (api_version, name) = self.kind_of(&json)?;
        let known = self.known_kind(&api_version, &name);
        self.reference =
            Some(identity::reference(&json, &api_version, &name, known, default_namespace));
        let Some(kind) = known else {
            self.unknown_kind(&api_version, &name);
            return None;
        };
        self.check_version(kind, &api_version);
        self.check_engine(kind);
        self.check_metadata(&json, kind);
        self.check_fields(&mut json, kind);
        self.set_aside_mistyped(&mut json);
        let mut object = self.typed(&json, kind)?;
        self.admit(&json);
        let reference = self.reference.clone().unwrap_or_else(|| object.reference());
        object.edit_meta(|meta| {
            meta.namespace = reference.namespace;
            meta.name = reference.name;
        });
        Some(object)
    }

    fn found(
        &mut self,
        code: Code,
        severity: Severity,
        field: FieldPath,
        message: String,
    ) -> &mut Finding {
        let location = self.source.place(&field);
        self.findings.push(Finding {
            code,
            severity,
            object: self.reference.clone(),
            field,
            location: Some(location),
            message,
            help: None,
            related: Vec::new(),
        });
        let last = self.findings.len() - 1;
        &mut self.findings[last]
    }

    fn error(&mut self, code: Code, field: FieldPath, message: String) -> &mut Finding {
        self.found(code, Severity::Error, field, message)
    }

    /// `apiVersion` and `kind`.
    fn kind_of(&mut self, json: &Value) -> Option<(String, String)> {
        let Some(map) = json.as_object() else {
            let what = advice::type_name(json);
            let finding = self.error(
                codes::NOT_AN_OBJECT,
                FieldPath::root(),
                format!("this document is {what}, not a Kubernetes object"),
            );
            finding.help =
                Some("an object is a mapping with apiVersion, kind and metadata".to_owned());
            return None;
        };
        let text =
            |name: &str| map.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let (missing, first) = match (api_version.is_empty(), kind.is_empty()) {
            (false, false) => return Some((api_version, kind)),
            (true, true) => ("neither apiVersion nor kind", "apiVersion"),
            (true, false) => ("no apiVersion", "apiVersion"),
            (false, true) => ("no kind", "kind"),
        };
        let near =
            schema::nearest(first, map.keys().map(String::as_str)).filter(|near| *near != first);
        let help = match near {
            Some(near) => format!("`{near}` is written `{first}`"),
            None => "every object begins with its apiVersion and kind; a file that is no manifest can be left out"
                .to_owned(),
        };
        let field =
            if map.contains_key(first) { FieldPath::root().key(first) } else { FieldPath::root() };
        self.error(codes::NO_KIND, field, format!("the object has {missing}")).help = Some(help);
        None
    }

    fn known_kind(&self, api_version: &str, kind: &str) -> Option<&'static Kind> {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        Kind::find(group, kind)
    }

    /// Says that a kind is left alone, or that its name seems to be misspelt.
    fn unknown_kind(&mut self, api_version: &str, kind: &str) {
        let meant = advice::kind_meant(api_version, kind);
        let severity = if meant.is_some() { Severity::Error } else { Severity::Info };
        let message = match &meant {
            Some(_) => format!("there is no kind {kind} in {api_version}"),
            None => {
                format!("{kind} ({api_version}) is not a kind that Serin acts on; it is left alone")
            }
        };
        let field = FieldPath::root().key("kind");
        self.found(codes::UNKNOWN_KIND, severity, field, message).help = meant;
    }

    fn check_version(&mut self, kind: &Kind, api_version: &str) {
        let version = api_version.rsplit('/').next().unwrap_or_default();
        if kind.versions.contains(&version) {
            return;
        }
        let message = format!("{} is not served in version {version}", kind.kind);
        let help = format!("write `apiVersion: {}`", kind.api_version());
        self.error(codes::UNKNOWN_VERSION, FieldPath::root().key("apiVersion"), message).help =
            Some(help);
    }

    /// Refuses what only Envoy could carry out, instead of passing over it in silence.
    fn check_engine(&mut self, kind: &Kind) {
        let (does, instead) = match kind.kind {
            "EnvoyFilter" => (
                "patches Envoy's own configuration",
                "say what it does with a VirtualService, DestinationRule or Telemetry",
            ),
            "WasmPlugin" => {
                ("runs a WebAssembly module inside of Envoy", "move what it does into a service")
            }
            "TrafficExtension" => {
                ("runs a script or module inside of Envoy", "move what it does into a service")
            }
            _ => return,
        };
        let message = format!(
            "{} {does}, and Serin's proxy is not Envoy: it cannot be carried out, and leaving it out in silence \
             could be dangerous",
            kind.kind
        );
        let finding = self.error(codes::ENVOY_ONLY, FieldPath::root().key("kind"), message);
        finding.help = Some(format!("remove the object; {instead}, if it is needed"));
    }

    fn check_metadata(&mut self, json: &Value, kind: &Kind) {
        let at = FieldPath::root().key("metadata");
        let empty = Value::Object(serde_json::Map::new());
        let metadata = json.get("metadata").filter(|it| !it.is_null()).unwrap_or(&empty);
        self.check(schema::metadata(), metadata, &at);
        for (field, message) in identity::problems(metadata, kind) {
            self.error(codes::NO_NAME, at.join(&field), message);
        }
    }

    /// What the schema of the kind says. Afterwards `json` has the defaults that a cluster would fill in.
    fn check_fields(&mut self, json: &mut Value, kind: &Kind) {
        let schema = kind.schema();
        let unknown = schema.unknown_fields(json);
        schema.apply_defaults(json);
        let root = FieldPath::root();
        let errors = schema.validate_thoroughly(json, &root);
        self.report(schema, json, &root, errors, unknown);
    }

    /// Removes values of a wrong type, which have been reported, so that what is right can be judged as well.
    fn set_aside_mistyped(&self, json: &mut Value) {
        for finding in self.findings.iter().filter(|finding| finding.code == codes::SCHEMA_TYPE) {
            remove(json, finding.field.segments());
        }
    }

    fn check(&mut self, schema: &Schema, value: &Value, at: &FieldPath) {
        let errors = schema.validate_thoroughly(value, at);
        self.report(schema, value, at, errors, schema.unknown_fields(value));
    }

    fn report(
        &mut self,
        schema: &Schema,
        value: &Value,
        at: &FieldPath,
        errors: Vec<SchemaError>,
        unknown: Vec<UnknownField>,
    ) {
        for error in errors {
            let node = super::reached(&self.source.node, &error.field).span;
            let below = error.field.segments().iter().skip(at.segments().len()).cloned().collect();
            let help = advice::on_error(schema, value, &error, &below, node);
            self.error(code(error.cause), error.field, error.message).help = help;
        }
        for field in unknown {
            let at = at.join(&field.field);
            let location = self.source.key_place(&at);
            let message = UnknownField { field: at.clone(), ..field.clone() }.to_string();
            let finding = self.error(codes::UNKNOWN_FIELD, at, message);
            finding.help = advice::on_unknown(&field);
            finding.location = Some(location);
        }
    }

    fn typed(&mut self, json: &Value, kind: &Kind) -> Option<AnyObject> {
        match kind.read(json) {
            Ok(object) => Some(object),
            // What the schema has said need not be said again.
            Err(_) if self.findings.iter().any(|finding| finding.severity == Severity::Error) => {
                None
            }
            Err(error) => {
                self.error(codes::UNDECODABLE, error.field, error.message);
                None
            }
        }
    }

    /// What Istio's admission says, as far as the schema has not said it.
    fn admit(&mut self, json: &Value) {
        let Some(Ok(problems)) = validation::validate(json) else { return };
        let Some(reference) = self.reference.clone() else { return };
        let said: Vec<(Code, FieldPath)> =
            self.findings.iter().map(|finding| (finding.code, finding.field.clone())).collect();
        for problem in problems {
            // A rule speaks of a whole value where admission names the field in it; and admission misses in the whole what
            // was set aside.
            let is_said = said.iter().any(|(code, field)| {
                *field == problem.field
                    || (*code == codes::SCHEMA_RULE
                        && Some(field) == problem.field.parent().as_ref())
                    || (*code == codes::SCHEMA_TYPE
                        && Some(&problem.field) == field.parent().as_ref())
            });
            if problem.severity == Severity::Error && is_said {
                continue;
            }
            let location = self.source.place(&problem.field);
            let mut finding = problem.into_finding(&reference);
            finding.location = Some(location);
            self.findings.push(finding);
        }
    }
}

/// Removes the field at `path`. An element of a list stays where it is: those after it keep their numbers.
fn remove(value: &mut Value, path: &[Segment]) {
    match path {
        [Segment::Key(key)] => {
            if let Some(map) = value.as_object_mut() {
                map.shift_remove(key.as_str());
            }
        }
        [Segment::Key(key), below @ ..] => {
            if let Some(value) = value.get_mut(key.as_str()) {
                remove(value, below);
            }
        }
        [Segment::Index(index), below @ ..] => {
            if let Some(value) = value.get_mut(index) {
                remove(value, below);
            }
        }
        [] => {}
    }
}

const fn code(cause: Cause) -> Code {
    match cause {
        Cause::Type => codes::SCHEMA_TYPE,
        Cause::Required => codes::SCHEMA_REQUIRED,
        Cause::Enumeration => codes::SCHEMA_ENUM,
        Cause::Limit => codes::SCHEMA_BOUNDS,
        Cause::Format => codes::SCHEMA_FORMAT,
        Cause::Duplicate => codes::SCHEMA_DUPLICATE,
        Cause::Alternatives => codes::SCHEMA_ALTERNATIVES,
        Cause::Rule => codes::SCHEMA_RULE,
    }
}

/// Whether objects of a kind live in a namespace; those of unknown kinds are taken to.
pub(super) fn is_namespaced(kind: Option<&Kind>) -> bool {
    kind.is_none_or(|kind| kind.scope == Scope::Namespaced)
}
