//! The rules of a schema (`x-kubernetes-validations`): expressions in CEL, compiled once with the schema.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use kube_cel::KubeCelExt;
use kube_cel::cel::extractors::This;
use kube_cel::cel::objects::{Key, Map as CelMap};
use kube_cel::cel::{Context, ExecutionError, FunctionContext, Program, Value as Cel};
use serde_json::Value;

use super::{Additional, ErrorKind, ListType, Schema, SchemaError, Type};
use crate::{FieldPath, Segment};

/// A condition that a value must meet.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The expression. `self` is the value, `oldSelf` the value before an update.
    pub rule: String,
    /// What to say when it does not hold.
    pub message: Option<String>,
    /// An expression that makes the message.
    pub message_expression: Option<String>,
    /// The kind of error.
    pub reason: ErrorKind,
    /// The field to name, below the value.
    pub field: FieldPath,
    /// Whether the rule is evaluated also when there is no old value; `oldSelf` is an optional then.
    pub optional_old_self: bool,
    program: Arc<Program>,
    message_program: Option<Arc<Program>>,
    uses_old: bool,
    complexity: Complexity,
}

/// How complicated an expression may be. Compiler and evaluator are recursive, and hungry for stack.
const MAX_OPERATORS: usize = 1000;
/// Deepest nesting of brackets that is compiled.
const MAX_NESTING: usize = 48;
/// What is surely enough for the most complicated expression; only what is used is ever committed.
pub(crate) const STACK: usize = 128 << 20;

/// The size of an expression as its text shows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Complexity {
    operators: usize,
    nesting: usize,
}

impl Complexity {
    pub(crate) fn of(expression: &str) -> Self {
        let (mut operators, mut nesting, mut deepest) = (0, 0_usize, 0);
        for byte in expression.bytes() {
            operators +=
                usize::from(byte.is_ascii_punctuation() && !matches!(byte, b'_' | b'\'' | b'"'));
            match byte {
                b'(' | b'[' | b'{' => nesting += 1,
                b')' | b']' | b'}' => nesting = nesting.saturating_sub(1),
                _ => {}
            }
            deepest = deepest.max(nesting);
        }
        Self { operators, nesting: deepest }
    }

    /// Whether the expression is evaluated within the stack that every thread has.
    pub(crate) const fn is_usual(self) -> bool {
        self.operators <= 100 && self.nesting <= 8
    }
}

impl Rule {
    /// Reads and compiles a rule.
    pub(super) fn parse(value: &Value) -> Result<Self, String> {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let rule = text("rule").ok_or("a rule needs an expression in `rule`")?.to_owned();
        let program = compile(&rule)?;
        let message_program = text("messageExpression").map(compile).transpose()?;
        let reason = match text("reason") {
            None | Some("FieldValueInvalid") => ErrorKind::Invalid,
            Some("FieldValueForbidden") => ErrorKind::Forbidden,
            Some("FieldValueRequired") => ErrorKind::Required,
            Some("FieldValueDuplicate") => ErrorKind::Duplicate,
            Some(other) => return Err(format!("there is no reason {other:?}")),
        };
        let uses_old = program.references().has_variable("oldSelf");
        Ok(Self {
            message: text("message").map(str::to_owned),
            message_expression: text("messageExpression").map(str::to_owned),
            reason,
            field: text("fieldPath").map(field_path).unwrap_or_default(),
            optional_old_self: value
                .get("optionalOldSelf")
                .and_then(Value::as_bool)
                .unwrap_or(false),
            program: Arc::new(program),
            message_program: message_program.map(Arc::new),
            uses_old,
            complexity: Complexity::of(&rule),
            rule,
        })
    }

    fn evaluate(&self, scope: &Scope<'_>, path: &FieldPath, r#type: &str) -> Option<SchemaError> {
        let mut context = FUNCTIONS.new_inner_scope();
        context.add_variable_from_value("self", scope.value.clone());
        match (scope.old, self.optional_old_self) {
            (Some(old), false) => context.add_variable_from_value("oldSelf", old.clone()),
            (old, true) => context.add_variable_from_value("oldSelf", optional(old)),
            (None, false) if self.uses_old => return None,
            (None, false) => {}
        }
        let at = path.join(&self.field);
        let invalid = |detail: String| {
            Some(SchemaError::rule(ErrorKind::Invalid, &at, Some(r#type), &detail))
        };
        let result = if self.complexity.is_usual() {
            self.program.execute(&context)
        } else {
            stacker::grow(STACK, || self.program.execute(&context))
        };
        match result {
            Ok(Cel::Bool(true)) => None,
            Ok(Cel::Bool(false)) => {
                let detail = self.explain(&context);
                match self.reason {
                    ErrorKind::Invalid => invalid(detail),
                    reason => Some(SchemaError::rule(reason, &at, None, &detail)),
                }
            }
            Ok(_) => invalid(format!("the rule is no condition: {}", self.rule)),
            Err(error) => invalid(format!(
                "{} evaluating rule: {}",
                execution_error(&error),
                self.described()
            )),
        }
    }

    fn explain(&self, context: &Context<'_>) -> String {
        let made =
            self.message_program.as_ref().and_then(|program| match program.execute(context) {
                Ok(Cel::String(text)) => Some(text.trim().to_owned()),
                _ => None,
            });
        made.filter(|text| !text.is_empty() && !text.contains('\n'))
            .unwrap_or_else(|| self.described())
    }

    fn described(&self) -> String {
        self.message.clone().unwrap_or_else(|| format!("failed rule: {}", self.rule.trim()))
    }
}

/// Compiles an expression, whatever it is.
pub(crate) fn compile(expression: &str) -> Result<Program, String> {
    let Complexity { operators, nesting } = Complexity::of(expression);
    if operators > MAX_OPERATORS || nesting > MAX_NESTING {
        return Err(format!(
            "the rule has more than {MAX_OPERATORS} operators or is nested deeper than {MAX_NESTING}"
        ));
    }
    // The grammar's runtime gives up on some malformed input by panicking.
    std::panic::catch_unwind(|| stacker::grow(STACK, || Program::compile(expression)))
        .map_err(|_| "the rule cannot be compiled".to_owned())?
        .map_err(|error| format!("the rule cannot be compiled: {error}"))
}

pub(crate) fn execution_error(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("no such key: {key}"),
        other => other.to_string(),
    }
}

/// A path like `.spec.ports['http']` below a value.
fn field_path(text: &str) -> FieldPath {
    let mut path = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix("['") {
            let end = quoted.find("']").unwrap_or(quoted.len());
            path.push(Segment::Key(quoted[..end].to_owned()));
            rest = quoted.get(end + 2..).unwrap_or("");
        } else {
            rest = rest.strip_prefix('.').unwrap_or(rest);
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let end = if end == 0 { first.len_utf8() } else { end };
            path.push(Segment::Key(rest[..end.min(rest.len())].to_owned()));
            rest = rest.get(end..).unwrap_or("");
        }
    }
    path.into_iter().collect()
}

/// The functions of CEL and of Kubernetes, with RE2's regular expressions.
pub(crate) static FUNCTIONS: LazyLock<Context<'static>> = LazyLock::new(|| {
    let mut context = Context::default().with_all();
    context.add_function("matches", matches);
    crate::expression::authorizer::register(&mut context);
    context
});

/// How many compiled expressions are kept.
const KEPT: usize = 512;

fn matches(
    context: &FunctionContext<'_, '_>,
    This(text): This<Arc<String>>,
    pattern: Arc<String>,
) -> Result<bool, ExecutionError> {
    static COMPILED: LazyLock<Mutex<HashMap<Arc<String>, Arc<serin_re2::Regex>>>> =
        LazyLock::new(Mutex::default);
    let known = COMPILED.lock().unwrap_or_else(PoisonError::into_inner).get(&pattern).cloned();
    let regex = match known {
        Some(regex) => regex,
        None => {
            let regex = serin_re2::Regex::new(&pattern).map_err(|error| context.error(error))?;
            let regex = Arc::new(regex);
            let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
            if compiled.len() >= KEPT {
                compiled.clear();
            }
            compiled.insert(pattern, Arc::clone(&regex));
            regex
        }
    };
    Ok(regex.is_match(text.as_bytes()))
}

/// A value of CEL that only an expression can make.
fn made(program: &Program, value: Option<Cel>) -> Option<Cel> {
    let mut context = FUNCTIONS.new_inner_scope();
    if let Some(value) = value {
        context.add_variable_from_value("self", value);
    }
    program.execute(&context).ok()
}

fn program(expression: &'static str) -> Program {
    #[expect(
        clippy::expect_used,
        reason = "the expressions are constants, each of which a test evaluates"
    )]
    Program::compile(expression).expect("a constant expression compiles")
}

fn optional(value: Option<&Cel>) -> Cel {
    static SOME: LazyLock<Program> = LazyLock::new(|| program("optional.of(self)"));
    static NONE: LazyLock<Program> = LazyLock::new(|| program("optional.none()"));
    let of = value.map(|value| (&*SOME, Some(value.clone()))).unwrap_or((&*NONE, None));
    made(of.0, of.1).unwrap_or(Cel::Null)
}

/// The values of one node.
struct Scope<'v> {
    value: Cel,
    old: Option<&'v Cel>,
}

/// Evaluates the rules of all parts of `value`, which stands at `path`, that have no error of `unsound` in or above
/// them.
pub(super) fn evaluate(
    schema: &Schema,
    value: &Value,
    old: Option<&Value>,
    path: &FieldPath,
    unsound: &[FieldPath],
) -> Vec<SchemaError> {
    let mut walk = Walk { unsound, errors: Vec::new() };
    walk.node(schema, value, old, path);
    walk.errors
}

struct Walk<'u> {
    unsound: &'u [FieldPath],
    errors: Vec<SchemaError>,
}

impl Walk<'_> {
    fn node(&mut self, schema: &Schema, value: &Value, old: Option<&Value>, path: &FieldPath) {
        if value.is_null() || self.unsound.contains(path) {
            return;
        }
        self.rules(schema, value, old, path);
        match value {
            Value::Object(map) => {
                for (name, value) in map {
                    if let Some(field) = schema.field(name) {
                        let old = old.and_then(|old| old.get(name));
                        self.node(field, value, old, &path.key(name.clone()));
                    }
                }
            }
            Value::Array(items) => {
                let Some(item_schema) = &schema.items else { return };
                for (index, item) in items.iter().enumerate() {
                    let old = old.and_then(|old| counterpart(&schema.list, item, old));
                    self.node(item_schema, item, old, &path.index(index));
                }
            }
            _ => {}
        }
    }

    fn rules(&mut self, schema: &Schema, value: &Value, old: Option<&Value>, path: &FieldPath) {
        let below = |unsound: &FieldPath| unsound.segments().starts_with(path.segments());
        if schema.rules.is_empty() || self.unsound.iter().any(below) {
            return;
        }
        let old = old.filter(|old| !old.is_null()).map(|old| to_cel(schema, old));
        let scope = Scope { value: to_cel(schema, value), old: old.as_ref() };
        let r#type = schema.r#type.map_or("", Type::as_str);
        let errors = schema.rules.iter().filter_map(|rule| rule.evaluate(&scope, path, r#type));
        self.errors.extend(errors);
    }
}

/// The element of an old list that an element of the new one replaces.
fn counterpart<'o>(list: &ListType, item: &Value, old: &'o Value) -> Option<&'o Value> {
    let ListType::Map(keys) = list else { return None };
    old.as_array()?
        .iter()
        .find(|candidate| keys.iter().all(|key| candidate.get(key) == item.get(key)))
}

/// A value as rules see it: numbers and texts by their schema, names of fields escaped.
fn to_cel(schema: &Schema, value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(value) => Cel::Bool(*value),
        Value::Number(number) => match (schema.r#type, number.as_i64(), number.as_u64()) {
            (Some(Type::Number), ..) => Cel::Float(number.as_f64().unwrap_or(f64::NAN)),
            (_, Some(value), _) => Cel::Int(value),
            (_, _, Some(value)) => Cel::UInt(value),
            _ => whole(number.as_f64().unwrap_or(f64::NAN), schema.r#type),
        },
        Value::String(text) => text_to_cel(schema, text),
        Value::Array(items) => {
            static ANY: LazyLock<Schema> = LazyLock::new(Schema::default);
            let of = schema.items.as_deref().unwrap_or(&ANY);
            Cel::List(Arc::new(items.iter().map(|item| to_cel(of, item)).collect()))
        }
        Value::Object(map) => {
            let is_map =
                !matches!(schema.additional, Additional::Unsaid | Additional::Allowed(false));
            let mut out = HashMap::with_capacity(map.len());
            for (name, value) in map {
                let value = schema
                    .field(name)
                    .map_or_else(|| any_to_cel(value), |field| to_cel(field, value));
                let name = if is_map { name.clone() } else { escaped(name) };
                out.insert(Key::String(Arc::new(name)), value);
            }
            Cel::Map(CelMap { map: Arc::new(out) })
        }
    }
}

fn any_to_cel(value: &Value) -> Cel {
    to_cel(&Schema::default(), value)
}

/// A fraction; where a whole number is wanted and it is one, that.
fn whole(value: f64, r#type: Option<Type>) -> Cel {
    if r#type == Some(Type::Integer) && value.fract() == 0.0 && value.abs() < 9e18 {
        return Cel::Int(value as i64);
    }
    Cel::Float(value)
}

fn text_to_cel(schema: &Schema, text: &str) -> Cel {
    static DURATION: LazyLock<Program> = LazyLock::new(|| program("duration(self)"));
    static TIMESTAMP: LazyLock<Program> = LazyLock::new(|| program("timestamp(self)"));
    static BYTES: LazyLock<Program> = LazyLock::new(|| program("base64.decode(self)"));
    let plain = Cel::String(Arc::new(text.to_owned()));
    let converter = match schema.format.as_deref() {
        Some("duration") => &DURATION,
        Some("date-time") => &TIMESTAMP,
        Some("byte") => &BYTES,
        _ => return plain,
    };
    made(converter, Some(plain.clone())).unwrap_or(plain)
}

/// The name by which an expression reaches a field: CEL's own words and characters are escaped.
fn escaped(name: &str) -> String {
    const RESERVED: [&str; 21] = [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ];
    if RESERVED.contains(&name) {
        return format!("__{name}__");
    }
    name.replace("__", "__underscores__")
        .replace('.', "__dot__")
        .replace('-', "__dash__")
        .replace('/', "__slash__")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_as_kubernetes_does() {
        for (name, expect) in [
            ("namespace", "__namespace__"),
            ("a_b", "a_b"),
            ("a__b", "a__underscores__b"),
            ("a.b/c-d", "a__dot__b__slash__c__dash__d"),
        ] {
            assert_eq!(escaped(name), expect);
        }
    }

    #[test]
    fn field_paths_are_read() {
        for (text, expect) in
            [(".spec.x", "spec.x"), ("['a.b'].c", "[a.b].c"), (".a['b']", "a.b"), ("", "")]
        {
            assert_eq!(field_path(text).to_string(), expect);
        }
    }
}
