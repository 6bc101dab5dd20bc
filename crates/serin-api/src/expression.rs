//! Expressions in CEL over objects, as policies and webhooks of admission have them. Rules of schemas have theirs in
//! [`crate::schema`].

pub(crate) mod authorizer;
mod reads;
mod types;

use std::collections::HashMap;
use std::sync::Arc;

use kube_cel::cel::objects::{Key, Map};
use kube_cel::cel::{Context, Program, Value as Cel};
use serde_json::Value;

use crate::schema::rules::{Complexity, FUNCTIONS, STACK, compile, execution_error};

pub use self::authorizer::{Asked, Decide};
pub use self::reads::{Read, reads};
pub use self::types::{Names, Typed};

/// A compiled expression.
#[derive(Debug)]
pub struct Expression {
    text: String,
    program: Program,
    is_usual: bool,
}

impl Expression {
    /// Compiles an expression.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn compile(text: &str) -> Result<Self, String> {
        let is_usual = Complexity::of(text).is_usual();
        Ok(Self { text: text.to_owned(), program: compile(text)?, is_usual })
    }

    /// The expression as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// What an expression came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A condition.
    Bool(bool),
    /// A text.
    Text(String),
    /// Nothing.
    Null,
    /// Something else.
    Other,
}

/// The names that expressions know.
#[derive(Default)]
pub struct Scope {
    names: Vec<(String, Cel)>,
    variables: HashMap<Key, Cel>,
    /// Variables that could not be made, and why.
    failed: Vec<(String, String)>,
}

impl Scope {
    /// Gives a name to a value. Fields have their own names: none is escaped, unlike in rules of schemas.
    pub fn set(&mut self, name: &str, value: &Value) {
        self.names.push((name.to_owned(), to_cel(value)));
    }

    /// Makes `authorizer` known, by which expressions ask what users may do; `requested` is what the request is about.
    pub fn authorize(&mut self, decide: &Decide, requested: Asked) {
        self.names.push(("authorizer".to_owned(), authorizer::value(decide, requested)));
    }

    /// Gives `variables.NAME` to what an expression comes to; it may use those before it. One that fails does no harm
    /// before it is used.
    pub fn define(&mut self, name: &str, expression: &Expression) {
        match self.run(expression) {
            Ok(value) => {
                self.variables.insert(Key::String(Arc::new(name.to_owned())), value);
            }
            Err(why) => self.failed.push((name.to_owned(), why)),
        }
    }

    /// What an expression comes to.
    ///
    /// # Errors
    /// Why it cannot be evaluated.
    pub fn evaluate(&self, expression: &Expression) -> Result<Outcome, String> {
        Ok(match self.run(expression)? {
            Cel::Bool(value) => Outcome::Bool(value),
            Cel::String(text) => Outcome::Text(text.to_string()),
            Cel::Null => Outcome::Null,
            _ => Outcome::Other,
        })
    }

    fn run(&self, expression: &Expression) -> Result<Cel, String> {
        let mut context: Context<'_> = FUNCTIONS.new_inner_scope();
        for (name, value) in &self.names {
            context.add_variable_from_value(name.clone(), value.clone());
        }
        let variables = Cel::Map(Map { map: Arc::new(self.variables.clone()) });
        context.add_variable_from_value("variables", variables);
        let result = if expression.is_usual {
            expression.program.execute(&context)
        } else {
            stacker::grow(STACK, || expression.program.execute(&context))
        };
        result.map_err(|error| {
            let why = execution_error(&error);
            let failed = self.failed.iter().find(|(name, _)| why == format!("no such key: {name}"));
            match failed {
                Some((name, why)) => {
                    format!("composited variable {name:?} fails to evaluate: {why}")
                }
                None => why,
            }
        })
    }
}

fn to_cel(value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(value) => Cel::Bool(*value),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => Cel::Int(value),
            (None, Some(value)) => Cel::UInt(value),
            _ => Cel::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Cel::String(Arc::new(text.clone())),
        Value::Array(items) => Cel::List(Arc::new(items.iter().map(to_cel).collect())),
        Value::Object(fields) => {
            let entry = |(name, value): (&String, &Value)| {
                (Key::String(Arc::new(name.clone())), to_cel(value))
            };
            Cel::Map(Map { map: Arc::new(fields.iter().map(entry).collect()) })
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(expression: &str, expect: Result<Outcome, &str>) {
        let mut scope = Scope::default();
        scope.set(
            "object",
            &json!({"spec": {"replicas": 3, "name": "a"}, "namespace": {"a.b/c": "d"}}),
        );
        scope.set("oldObject", &Value::Null);
        for (name, text) in [
            ("count", "object.spec.replicas"),
            ("twice", "variables.count * 2"),
            ("wrong", "object.spec.absent"),
        ] {
            scope.define(name, &Expression::compile(text).unwrap());
        }
        let found = Expression::compile(expression).and_then(|it| scope.evaluate(&it));
        assert_eq!(found, expect.map_err(str::to_owned), "{expression}");
    }

    #[test]
    fn expressions_ask_for_rights() {
        let decide: Decide = Arc::new(|asked| {
            let account = asked.account.as_ref().map(|it| it.1.as_str()).unwrap_or_default();
            let path = asked.path.as_deref().unwrap_or_default();
            let all = [account, path, &asked.group, &asked.resource, &asked.subresource];
            let rest = [asked.namespace.as_str(), &asked.name, &asked.verb];
            (asked.verb == "get", [all.as_slice(), &rest].concat().join(","))
        });
        let mut scope = Scope::default();
        let requested = Asked { resource: "maps".into(), ..Asked::default() };
        scope.authorize(&decide, requested);
        let run = |text: &str| scope.evaluate(&Expression::compile(text).unwrap());
        let text = |text: &str| Ok(Outcome::Text(text.to_owned()));
        assert_eq!(
            run(
                "authorizer.group('apps').resource('deployments').subresource('scale').namespace('n').name('x').check('get').allowed()"
            ),
            Ok(Outcome::Bool(true))
        );
        assert_eq!(
            run(
                "authorizer.serviceAccount('n', 's').group('g').resource('r').check('list').reason()"
            ),
            text("s,,g,r,,,,list")
        );
        assert_eq!(run("authorizer.requestResource.check('put').reason()"), text(",,,maps,,,,put"));
        assert_eq!(run("authorizer.path('/x').check('get').errored()"), Ok(Outcome::Bool(false)));
        assert!(run("'x'.check('get')").is_err());
    }

    #[test]
    fn expressions_know_objects_and_variables() {
        check("object.spec.replicas <= 3", Ok(Outcome::Bool(true)));
        check("variables.twice == 6", Ok(Outcome::Bool(true)));
        check("'no ' + object.spec.name", Ok(Outcome::Text("no a".into())));
        check("object.namespace['a.b/c']", Ok(Outcome::Text("d".into())));
        check("oldObject == null", Ok(Outcome::Bool(true)));
        check("has(object.spec.absent)", Ok(Outcome::Bool(false)));
        check("object.spec.absent > 1", Err("no such key: absent"));
        check(
            "variables.wrong",
            Err("composited variable \"wrong\" fails to evaluate: no such key: absent"),
        );
        assert!(Expression::compile("object.").is_err());
    }
}
