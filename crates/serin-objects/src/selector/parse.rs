//! Reading selectors, with Kubernetes' grammar and its words about what does not fit it.

use serde_json::{Value, json};

use super::{Fields, Labels, Operator, Requirement, Term};
use crate::fields::{FieldError, Path};
use crate::validate::names::{label_key_errors, label_value_errors};

#[derive(Clone, Debug, PartialEq)]
enum Token {
    End,
    Word(String),
    Symbol(&'static str),
}

impl Token {
    fn text(&self) -> &str {
        match self {
            Self::End => "",
            Self::Word(word) => word,
            Self::Symbol(symbol) => symbol,
        }
    }
}

const SYMBOLS: [&str; 9] = ["!=", "==", "=", "!", "(", ")", ",", ">", "<"];

fn tokens(text: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        if rest.is_empty() {
            out.push(Token::End);
            return out;
        }
        if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            out.push(Token::Symbol(symbol));
            rest = &rest[symbol.len()..];
            continue;
        }
        let is_end = |c: char| "=!(),><".contains(c) || " \t\r\n".contains(c);
        let end = rest.find(is_end).unwrap_or(rest.len());
        out.push(Token::Word(rest[..end].to_owned()));
        rest = &rest[end..];
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

pub(super) fn labels(text: &str) -> Result<Labels, String> {
    let mut parser = Parser { tokens: tokens(text), at: 0 };
    let mut requirements = Vec::new();
    loop {
        match parser.peek() {
            Token::End => break,
            Token::Word(_) | Token::Symbol("!") => {}
            other => {
                return Err(format!(
                    "found '{}', expected: !, identifier, or 'end of string'",
                    other.text()
                ));
            }
        }
        let requirement =
            parser.requirement().map_err(|why| format!("unable to parse requirement: {why}"))?;
        requirements.push(requirement);
        match parser.next() {
            Token::End => break,
            Token::Symbol(",") => {
                if !matches!(parser.peek(), Token::Word(_) | Token::Symbol("!")) {
                    let found = parser.peek().text();
                    return Err(format!("found '{found}', expected: identifier after ','"));
                }
            }
            other => {
                return Err(format!("found '{}', expected: ',' or 'end of string'", other.text()));
            }
        }
    }
    requirements.sort_by(|a: &Requirement, b| a.key.cmp(&b.key));
    Ok(Labels { requirements })
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).unwrap_or(&Token::End)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let negated = *self.peek() == Token::Symbol("!");
        if negated {
            self.next();
        }
        let key = match self.next() {
            Token::Word(word) => word,
            other => return Err(format!("found '{}', expected: identifier", other.text())),
        };
        check_key(&Path::root(), &key)?;
        if negated {
            return Ok(Requirement { key, operator: Operator::Absent });
        }
        if matches!(self.peek(), Token::End | Token::Symbol(",")) {
            return Ok(Requirement { key, operator: Operator::Exists });
        }
        let operator = self.operator(&key)?;
        Ok(Requirement { key, operator })
    }

    fn operator(&mut self, key: &str) -> Result<Operator, String> {
        let token = self.next();
        let operator = match token.text() {
            "=" | "==" => Operator::In(vec![self.exact()?]),
            "!=" => Operator::NotIn(vec![self.exact()?]),
            "in" => Operator::In(self.values()?),
            "notin" => Operator::NotIn(self.values()?),
            ">" => Operator::Greater(self.number()?),
            "<" => Operator::Less(self.number()?),
            other => {
                return Err(format!("found '{other}', expected: in, notin, =, ==, !=, gt, lt"));
            }
        };
        if let Operator::In(values) | Operator::NotIn(values) = &operator {
            check_values(key, values)?;
        }
        Ok(operator)
    }

    fn exact(&mut self) -> Result<String, String> {
        if matches!(self.peek(), Token::End | Token::Symbol(",")) {
            return Ok(String::new());
        }
        match self.next() {
            Token::Word(word) => Ok(word),
            other => Err(format!("found '{}', expected: identifier", other.text())),
        }
    }

    fn number(&mut self) -> Result<i64, String> {
        let text = self.exact()?;
        text.parse().map_err(|_| {
            let why = "for 'Gt', 'Lt' operators, the value must be an integer";
            FieldError::invalid(&Path::new("values").index(0), text.as_str(), why).to_string()
        })
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        let open = self.next();
        if open != Token::Symbol("(") {
            return Err(format!("found '{}' expected: '('", open.text()));
        }
        let mut values = Vec::new();
        let first = self.peek().text().to_owned();
        match self.peek() {
            Token::Symbol(")") => {
                self.next();
                return Ok(values);
            }
            Token::Word(_) | Token::Symbol(",") => {}
            _ => return Err(format!("found '{first}', expected: ',', ')' or identifier")),
        }
        let mut value = String::new();
        loop {
            match self.next() {
                Token::Word(word) if value.is_empty() => value = word,
                Token::Symbol(",") => values.push(std::mem::take(&mut value)),
                Token::Symbol(")") => {
                    values.push(value);
                    break;
                }
                Token::Word(other) => {
                    return Err(format!("found '{other}', expected: ',' or ')'"));
                }
                other => {
                    return Err(format!("found '{}', expected: ',', or ')'", other.text()));
                }
            }
        }
        values.sort();
        values.dedup();
        Ok(values)
    }
}

fn check_key(path: &Path, key: &str) -> Result<(), String> {
    match label_key_errors(key).first() {
        Some(why) => Err(FieldError::invalid(path, key, why).to_string()),
        None => Ok(()),
    }
}

fn check_values(key: &str, values: &[String]) -> Result<(), String> {
    if values.is_empty() {
        let why = "for 'in', 'notin' operators, values set can't be empty";
        return Err(FieldError::invalid(&Path::new("values"), json!([]), why).to_string());
    }
    for (index, value) in values.iter().enumerate() {
        if let Some(why) = label_value_errors(value).first() {
            let path = Path::new("values").index(index).key(key);
            return Err(FieldError::invalid(&path, value.as_str(), why).to_string());
        }
    }
    Ok(())
}

pub(super) fn object(selector: &Value) -> Result<Labels, String> {
    let mut requirements = Labels::from_map(&selector["matchLabels"]).requirements;
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = expression["key"].as_str().unwrap_or_default().to_owned();
        let values = expression["values"].as_array().into_iter().flatten();
        let values = values.filter_map(Value::as_str).map(str::to_owned).collect();
        let operator = match expression["operator"].as_str().unwrap_or_default() {
            "In" => Operator::In(values),
            "NotIn" => Operator::NotIn(values),
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::Absent,
            other => return Err(format!("\"{other}\" is not a valid label selector operator")),
        };
        requirements.push(Requirement { key, operator });
    }
    requirements.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(Labels { requirements })
}

pub(super) fn fields(text: &str) -> Result<Fields, String> {
    let mut terms = Vec::new();
    for part in split(text) {
        if part.is_empty() {
            continue;
        }
        let term = term(&part)
            .ok_or_else(|| format!("invalid selector: '{text}'; can't understand '{part}'"))?;
        terms.push(term);
    }
    Ok(Fields { terms })
}

/// The terms, which commas separate that have no backslash before them.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        if c == ',' && !escaped {
            parts.push(String::new());
            continue;
        }
        escaped = c == '\\' && !escaped;
        if let Some(last) = parts.last_mut() {
            last.push(c);
        }
    }
    parts
}

fn term(part: &str) -> Option<Term> {
    let at = part.char_indices().find(|(at, _)| {
        let rest = &part[*at..];
        (rest.starts_with('=') || rest.starts_with("!=")) && !part[..*at].ends_with('\\')
    })?;
    let (field, rest) = part.split_at(at.0);
    let (equal, value) = match rest.strip_prefix("!=") {
        Some(value) => (false, value),
        None => (true, rest.strip_prefix("==").or_else(|| rest.strip_prefix('='))?),
    };
    let value = value.replace("\\,", ",").replace("\\=", "=").replace("\\\\", "\\");
    Some(Term { field: field.to_owned(), value, equal })
}
