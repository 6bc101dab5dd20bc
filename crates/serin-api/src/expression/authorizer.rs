//! `authorizer`: what expressions of admission ask about rights, step by step: whose, to what, and whether they may.
//!
//! Who decides is told by the caller. The functions are known to every expression, and do nothing without an authorizer.

use std::fmt;
use std::sync::Arc;

use kube_cel::cel::extractors::This;
use kube_cel::cel::objects::{Key, Map, Opaque};
use kube_cel::cel::{Context, ExecutionError, FunctionContext, Value as Cel};

/// A question about rights.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Namespace and name of the ServiceAccount of which is asked; the maker of the request where there is none.
    pub account: Option<(String, String)>,
    /// A path that is no resource; then nothing but the verb counts besides.
    pub path: Option<String>,
    /// The group of the resource.
    pub group: String,
    /// The resource: `deployments`.
    pub resource: String,
    /// The part of the object: `status`.
    pub subresource: String,
    /// The namespace.
    pub namespace: String,
    /// The name of the object.
    pub name: String,
    /// What is to be done.
    pub verb: String,
}

/// Decides: whether it is allowed, and why.
pub type Decide = Arc<dyn Fn(&Asked) -> (bool, String) + Send + Sync>;

/// The place in the value of `authorizer` where the question without anything in it is.
const EMPTY: &str = "";

/// A question that is being put together.
#[derive(Clone)]
struct Question {
    asked: Asked,
    decide: Decide,
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.asked.fmt(f)
    }
}

impl PartialEq for Question {
    fn eq(&self, other: &Self) -> bool {
        self.asked == other.asked
    }
}

impl Eq for Question {}

impl Opaque for Question {
    fn runtime_type_name(&self) -> &str {
        "kubernetes.authorization.Authorizer"
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Decision {
    allowed: bool,
    reason: String,
}

impl Opaque for Decision {
    fn runtime_type_name(&self) -> &str {
        "kubernetes.authorization.Decision"
    }
}

/// The value of `authorizer`; `requested` is what the request itself is about.
pub(super) fn value(decide: &Decide, requested: Asked) -> Cel {
    let question = |asked| {
        let question = Question { asked, decide: Arc::clone(decide) };
        Cel::Opaque(Arc::new(question))
    };
    let entries = [(EMPTY, Asked::default()), ("requestResource", requested)];
    let entries =
        entries.map(|(name, asked)| (Key::String(Arc::new(name.to_owned())), question(asked)));
    Cel::Map(Map { map: Arc::new(entries.into_iter().collect()) })
}

fn question(context: &FunctionContext<'_, '_>, value: &Cel) -> Result<Question, ExecutionError> {
    let opaque = match value {
        Cel::Map(map) => match map.map.get(&Key::String(Arc::new(EMPTY.to_owned()))) {
            Some(Cel::Opaque(opaque)) => Some(opaque),
            _ => None,
        },
        Cel::Opaque(opaque) => Some(opaque),
        _ => None,
    };
    let found = opaque.and_then(|it| it.downcast_ref::<Question>()).cloned();
    found.ok_or_else(|| context.error("no such overload"))
}

/// Registers a function that takes a text into the question.
macro_rules! step {
    ($context:ident, $name:literal, |$asked:ident, $text:ident| $set:expr) => {
        $context.add_function(
            $name,
            |context: &FunctionContext<'_, '_>, This(of): This<Cel>, $text: Arc<String>| {
                let mut question = question(context, &of)?;
                let $asked = &mut question.asked;
                $set;
                Ok::<Cel, ExecutionError>(Cel::Opaque(Arc::new(question)))
            },
        );
    };
}

/// Makes the functions known.
pub(crate) fn register(context: &mut Context<'_>) {
    step!(context, "path", |asked, text| asked.path = Some(text.to_string()));
    step!(context, "group", |asked, text| asked.group = text.to_string());
    step!(context, "resource", |asked, text| asked.resource = text.to_string());
    step!(context, "subresource", |asked, text| asked.subresource = text.to_string());
    step!(context, "namespace", |asked, text| asked.namespace = text.to_string());
    step!(context, "name", |asked, text| asked.name = text.to_string());
    context.add_function(
        "serviceAccount",
        |context: &FunctionContext<'_, '_>,
         This(of): This<Cel>,
         namespace: Arc<String>,
         name: Arc<String>| {
            let mut question = question(context, &of)?;
            question.asked.account = Some((namespace.to_string(), name.to_string()));
            Ok::<Cel, ExecutionError>(Cel::Opaque(Arc::new(question)))
        },
    );
    context.add_function("check", check);
    context.add_function("allowed", |context: &FunctionContext<'_, '_>, This(of): This<Cel>| {
        decision(context, &of).map(|it| Cel::Bool(it.allowed))
    });
    context.add_function("reason", |context: &FunctionContext<'_, '_>, This(of): This<Cel>| {
        decision(context, &of).map(|it| Cel::String(Arc::new(it.reason)))
    });
    // Rules that are in memory are never out of reach.
    context.add_function("errored", |context: &FunctionContext<'_, '_>, This(of): This<Cel>| {
        decision(context, &of).map(|_| Cel::Bool(false))
    });
    context.add_function("error", |context: &FunctionContext<'_, '_>, This(of): This<Cel>| {
        decision(context, &of).map(|_| Cel::String(Arc::default()))
    });
}

fn check(
    context: &FunctionContext<'_, '_>,
    This(of): This<Cel>,
    verb: Arc<String>,
) -> Result<Cel, ExecutionError> {
    let mut question = question(context, &of)?;
    question.asked.verb = verb.to_string();
    let (allowed, reason) = (question.decide)(&question.asked);
    Ok(Cel::Opaque(Arc::new(Decision { allowed, reason })))
}

fn decision(context: &FunctionContext<'_, '_>, value: &Cel) -> Result<Decision, ExecutionError> {
    let found = match value {
        Cel::Opaque(opaque) => opaque.downcast_ref::<Decision>().cloned(),
        _ => None,
    };
    found.ok_or_else(|| context.error("no such overload"))
}
