//! Of which type a result of an expression is, and operators whose operands do not fit, as far as the text and the types of names tell.
//!
//! A type is its name in CEL: `bool`, `list(string)`, `dyn` for what is known when the expression runs. Nothing is said where
//! that is not certain: what a real compiler refuses may pass here, and never the other way round.

use kube_cel::cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, MapExpr, SelectExpr, operators,
};

use super::Expression;
use super::reads::{mark, plain};
use crate::schema::rules::STACK;

/// The type of a name, or of a field below one; none where it is not known.
pub type Names<'n> = dyn Fn(&[String]) -> Option<String> + 'n;

/// What a look at the types of an expression found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typed {
    /// The type of its result.
    pub result: Option<String>,
    /// Why it cannot be compiled, with the place.
    pub misfit: Option<String>,
}

impl Expression {
    /// The types of an expression, given those of names.
    pub fn typed(&self, names: &Names<'_>) -> Typed {
        let mut types = Types { names, locals: Vec::new(), misfits: Vec::new() };
        let expression = &self.program.expression().expr;
        let result = if self.is_usual {
            types.of(expression)
        } else {
            stacker::grow(STACK, || types.of(expression))
        };
        let shown = |it: &Misfit| {
            let place = plain(&self.text, it.sign)?;
            let text = format!(
                "found no matching overload for '{}' applied to '({}, {})'",
                it.operator, it.left, it.right
            );
            Some(mark(&self.text, place, &text))
        };
        Typed { result, misfit: types.misfits.iter().find_map(shown) }
    }
}

/// An operator that takes no such operands.
struct Misfit {
    operator: &'static str,
    sign: &'static str,
    left: String,
    right: String,
}

struct Types<'n> {
    names: &'n Names<'n>,
    locals: Vec<(String, Option<String>)>,
    misfits: Vec<Misfit>,
}

/// Functions whose result is always of one type.
const FUNCTIONS: &[(&str, &[&str])] = &[
    (
        "bool",
        &[
            "all",
            "allowed",
            "bool",
            "contains",
            "containsCIDR",
            "containsIP",
            "endsWith",
            "errored",
            "exists",
            "hasValue",
            "intersects",
            "equivalent",
            "isCIDR",
            "isGreaterThan",
            "isIP",
            "isInteger",
            "isLessThan",
            "isQuantity",
            "isSorted",
            "isURL",
            "matches",
            "startsWith",
        ],
    ),
    (
        "int",
        &[
            "asInteger",
            "compareTo",
            "getDayOfMonth",
            "getFullYear",
            "getHours",
            "getMinutes",
            "getMonth",
            "getSeconds",
            "indexOf",
            "int",
            "lastIndexOf",
            "sign",
            "size",
        ],
    ),
    (
        "string",
        &[
            "charAt",
            "find",
            "format",
            "getHost",
            "getScheme",
            "join",
            "lowerAscii",
            "reason",
            "replace",
            "string",
            "substring",
            "trim",
            "upperAscii",
        ],
    ),
    ("list(string)", &["findAll", "split"]),
    ("uint", &["uint"]),
    ("double", &["double"]),
    ("bytes", &["bytes"]),
    ("google.protobuf.Duration", &["duration"]),
    ("google.protobuf.Timestamp", &["timestamp"]),
];

/// Operators between two operands, with their signs.
const SIGNS: &[(&str, &str)] = &[
    (operators::LOGICAL_AND, "&&"),
    (operators::LOGICAL_OR, "||"),
    (operators::ADD, "+"),
    (operators::SUBSTRACT, "-"),
    (operators::MULTIPLY, "*"),
    (operators::DIVIDE, "/"),
    (operators::MODULO, "%"),
    (operators::EQUALS, "=="),
    (operators::NOT_EQUALS, "!="),
    (operators::GREATER_EQUALS, ">="),
    (operators::LESS_EQUALS, "<="),
    (operators::GREATER, ">"),
    (operators::LESS, "<"),
];

/// Types of which it is known what can be done with them.
const PLAIN: &[&str] = &["bool", "bytes", "double", "int", "string", "uint"];
const NUMBERS: &[&str] = &["double", "int", "uint"];

impl Types<'_> {
    fn of(&mut self, expression: &Expr) -> Option<String> {
        match expression {
            Expr::Literal(literal) => Some(of_literal(literal).to_owned()),
            Expr::Ident(name) => self.named(std::slice::from_ref(name)),
            Expr::Select(select) => self.field(select),
            Expr::List(list) => {
                let types: Vec<_> = list.elements.iter().map(|it| self.of(&it.expr)).collect();
                Some(format!("list({})", common(types)))
            }
            Expr::Map(map) => Some(self.map(map)),
            Expr::Comprehension(it) => self.comprehension(it),
            Expr::Call(call) => self.call(call),
            Expr::Struct(_) | Expr::Unspecified => None,
        }
    }

    fn named(&self, path: &[String]) -> Option<String> {
        let root = path.first()?;
        match self.locals.iter().rev().find(|(name, _)| name == root) {
            Some((_, found)) => found.clone().filter(|_| path.len() == 1),
            None => (self.names)(path),
        }
    }

    fn field(&mut self, select: &SelectExpr) -> Option<String> {
        if select.test {
            self.of(&select.operand.expr);
            return Some("bool".to_owned());
        }
        match path(select) {
            Some(path) => self.named(&path),
            None => {
                self.of(&select.operand.expr);
                None
            }
        }
    }

    fn map(&mut self, map: &MapExpr) -> String {
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        for entry in &map.entries {
            if let EntryExpr::MapEntry(entry) = &entry.expr {
                keys.push(self.of(&entry.key.expr));
                values.push(self.of(&entry.value.expr));
            }
        }
        format!("map({}, {})", common(keys), common(values))
    }

    fn comprehension(&mut self, it: &ComprehensionExpr) -> Option<String> {
        let range = self.of(&it.iter_range.expr);
        let inner = range.as_deref().and_then(|it| it.strip_prefix("list(")?.strip_suffix(')'));
        let element = inner.filter(|it| *it != "dyn").map(str::to_owned);
        let begin = self.of(&it.accu_init.expr);
        let depth = self.locals.len();
        let element = if it.iter_var2.is_some() { None } else { element };
        self.locals.push((it.iter_var.clone(), element));
        self.locals.extend(it.iter_var2.clone().map(|name| (name, None)));
        self.locals.push((it.accu_var.clone(), begin.clone()));
        let step = self.of(&it.loop_step.expr);
        // A list that grows is one of what is added.
        if begin.is_some_and(|it| it.starts_with("list("))
            && let Some(last) = self.locals.last_mut()
        {
            last.1 = step.or(Some("list(dyn)".to_owned()));
        }
        let result = self.of(&it.result.expr);
        self.locals.truncate(depth);
        result
    }

    fn call(&mut self, call: &CallExpr) -> Option<String> {
        if let Some(target) = &call.target {
            self.of(&target.expr);
        }
        let mut args: Vec<_> = call.args.iter().map(|it| self.of(&it.expr)).collect();
        let name = call.func_name.as_str();
        if let Some(&(operator, sign)) = SIGNS.iter().find(|(operator, _)| *operator == name) {
            let (right, left) = (args.pop().flatten(), args.pop().flatten());
            return self.binary((operator, sign), left, right);
        }
        match name {
            operators::LOGICAL_NOT | operators::NOT_STRICTLY_FALSE | operators::IN => {
                Some("bool".to_owned())
            }
            operators::NEGATE => args.pop().flatten(),
            operators::CONDITIONAL => {
                let (no, yes) = (args.pop().flatten(), args.pop().flatten());
                joined(yes?, no?)
            }
            operators::INDEX => {
                let list = args.into_iter().next().flatten()?;
                Some(list.strip_prefix("list(")?.strip_suffix(')')?.to_owned())
            }
            _ => {
                let found = FUNCTIONS.iter().find(|(_, names)| names.contains(&name));
                found.map(|(of, _)| (*of).to_owned())
            }
        }
    }

    fn binary(
        &mut self,
        (operator, sign): (&'static str, &'static str),
        left: Option<String>,
        right: Option<String>,
    ) -> Option<String> {
        let result = || match sign {
            "+" | "-" | "*" | "/" | "%" => None,
            _ => Some("bool".to_owned()),
        };
        let (Some(left), Some(right)) = (left, right) else { return result() };
        let known = |it: &String| PLAIN.contains(&it.as_str());
        if !known(&left) || !known(&right) {
            return match sign {
                "+" if left.starts_with("list(") => joined(left, right),
                _ => result(),
            };
        }
        let both = |of: &[&str]| of.contains(&left.as_str()) && of.contains(&right.as_str());
        let fits = match sign {
            "&&" | "||" => both(&["bool"]),
            "==" | "!=" => left == right,
            "<" | "<=" | ">" | ">=" => left == right || both(NUMBERS),
            "+" => left == right && left != "bool",
            "%" => left == right && both(&["int", "uint"]),
            _ => left == right && both(NUMBERS),
        };
        if !fits {
            self.misfits.push(Misfit { operator, sign, left, right });
            return result();
        }
        result().or(Some(left))
    }
}

const fn of_literal(literal: &LiteralValue) -> &'static str {
    match literal {
        LiteralValue::Boolean(_) => "bool",
        LiteralValue::Bytes(_) => "bytes",
        LiteralValue::Double(_) => "double",
        LiteralValue::Int(_) => "int",
        LiteralValue::Null => "null_type",
        LiteralValue::String(_) => "string",
        LiteralValue::UInt(_) => "uint",
    }
}

/// The type of what is one or the other; a list that may hold anything takes after one that does not.
fn joined(one: String, other: String) -> Option<String> {
    let is_list = |it: &str| it.starts_with("list(");
    match (one.as_str(), other.as_str()) {
        ("list(dyn)", it) if is_list(it) => Some(other),
        (it, "list(dyn)") if is_list(it) => Some(one),
        (a, b) => (a == b).then_some(one),
    }
}

/// The type that all have, or `dyn`.
fn common(types: Vec<Option<String>>) -> String {
    let mut types = types.into_iter();
    let first = types.next().flatten();
    match first {
        Some(first) if types.all(|it| it.as_ref() == Some(&first)) => first,
        _ => "dyn".to_owned(),
    }
}

/// The names of `a.b.c`, where it is just that.
fn path(select: &SelectExpr) -> Option<Vec<String>> {
    let mut path = match &select.operand.expr {
        Expr::Ident(name) => vec![name.clone()],
        Expr::Select(inner) if !inner.test => path(inner)?,
        _ => return None,
    };
    path.push(select.field.clone());
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &[String]) -> Option<String> {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let found = match path.as_slice() {
            ["self", "count"] => "int",
            ["self", "name"] => "string",
            ["self", "on"] => "bool",
            ["self", "names"] => "list(string)",
            ["object", ..] => "dyn",
            _ => return None,
        };
        Some(found.to_owned())
    }

    fn check(expression: &str, expect: Option<&str>) {
        let typed = Expression::compile(expression).unwrap().typed(&names);
        assert_eq!(
            typed,
            Typed { result: expect.map(str::to_owned), misfit: None },
            "{expression}"
        );
    }

    fn refused(expression: &str, expect: &str) {
        let typed = Expression::compile(expression).unwrap().typed(&names);
        assert_eq!(typed.misfit.as_deref(), Some(expect), "{expression}");
    }

    #[test]
    fn results_have_the_types_of_their_parts() {
        check("1 + 2", Some("int"));
        check("self.count * 2 > 3 && !self.on", Some("bool"));
        check("self.name + 'x'", Some("string"));
        check("self.names.all(n, n.startsWith('a'))", Some("bool"));
        check("self.names.map(n, size(n))", Some("list(int)"));
        check("self.names.filter(n, n == 'a')", Some("list(string)"));
        check("self.names.exists_one(n, n != 'a')", Some("bool"));
        check("self.on ? 1 : self.count", Some("int"));
        check("self.on ? 1 : 'a'", None);
        check("object.spec.replicas", Some("dyn"));
        check("object.spec.replicas > 'a'", Some("bool"));
        check("has(object.x)", Some("bool"));
        check("'a' in self.names", Some("bool"));
        check("self.names[0]", Some("string"));
        check("{'a': 1}", Some("map(string, int)"));
        check("self.unknown.x", None);
        check("self.count > 1.5", Some("bool"));
        check("[1] + [2]", Some("list(int)"));
    }

    #[test]
    fn an_expression_as_large_as_may_be_is_looked_at() {
        let sum = format!("1{}", " + 1".repeat(999));
        check(&sum, Some("int"));
        let nested = format!("{}int{}", "list(".repeat(47), ")".repeat(47));
        check(&format!("{}1{}", "[".repeat(47), "]".repeat(47)), Some(&nested));
    }

    #[test]
    fn operands_that_do_not_fit_are_told_with_their_place() {
        refused(
            "self.count == 'a'",
            "ERROR: <input>:1:12: found no matching overload for '_==_' applied to '(int, string)'\n | self.count == 'a'\n | ...........^",
        );
        refused(
            "self.on && self.count",
            "ERROR: <input>:1:9: found no matching overload for '_&&_' applied to '(bool, int)'\n | self.on && self.count\n | ........^",
        );
        refused(
            "self.names.all(n, n > 3)",
            "ERROR: <input>:1:21: found no matching overload for '_>_' applied to '(string, int)'\n | self.names.all(n, n > 3)\n | ....................^",
        );
    }
}
