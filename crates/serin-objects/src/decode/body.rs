//! Bodies of requests: JSON and YAML as values, with the fields that stand twice.

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::{Body, MALFORMED};
use crate::go;

/// How deep values may be nested.
const DEPTH: usize = 128;

pub(super) fn json(bytes: &[u8]) -> Result<Body, String> {
    let mut duplicates = Vec::new();
    let mut path = Vec::new();
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let seed = Seed { path: &mut path, duplicates: &mut duplicates };
    let value = seed
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| {
            let why = go::json::error(bytes).unwrap_or_else(|| error.to_string());
            format!("{MALFORMED}{why}")
        })?;
    Ok(Body { value, duplicates })
}

pub(super) fn yaml(bytes: &[u8]) -> Result<Body, String> {
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
        && let Ok(body) = json(bytes)
    {
        return Ok(body);
    }
    let text = serin_api::yaml::decode(bytes).map_err(|problem| problem.message)?;
    let stream = serin_api::yaml::read(&text);
    let mut duplicates = Vec::new();
    for problem in &stream.problems {
        if problem.severity != serin_api::Severity::Error {
            continue;
        }
        // A key that stands twice is no error of the text, but one that strict validation refuses.
        let key = (problem.code == serin_api::codes::DUPLICATE_KEY)
            .then(|| problem.message.split('`').nth(1))
            .flatten();
        match key {
            Some(key) => duplicates.push(key.to_owned()),
            None => {
                let line = problem.span.start.line;
                return Err(format!(
                    "error converting YAML to JSON: yaml: line {line}: {}",
                    problem.message
                ));
            }
        }
    }
    match stream.documents.as_slice() {
        [document] => Ok(Body { value: document.root.to_json(), duplicates }),
        [] => Ok(Body { value: Value::Null, duplicates }),
        _ => Err("the body must hold one object".to_owned()),
    }
}

enum Segment {
    Key(String),
    Index(usize),
}

struct Seed<'s> {
    path: &'s mut Vec<Segment>,
    duplicates: &'s mut Vec<String>,
}

fn written(path: &[Segment], key: &str) -> String {
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Key(key) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(key);
            }
            Segment::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    if !text.is_empty() {
        text.push('.');
    }
    text + key
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.path.len() > DEPTH {
            return Err(D::Error::custom("nested too deep"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut out = Vec::new();
        loop {
            self.path.push(Segment::Index(out.len()));
            let seed = Seed { path: self.path, duplicates: self.duplicates };
            let item = items.next_element_seed(seed)?;
            self.path.pop();
            match item {
                Some(item) => out.push(item),
                None => return Ok(Value::Array(out)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut out = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if out.contains_key(&key) {
                self.duplicates.push(written(self.path, &key));
            }
            self.path.push(Segment::Key(key.clone()));
            let seed = Seed { path: self.path, duplicates: self.duplicates };
            let value = entries.next_value_seed(seed)?;
            self.path.pop();
            out.insert(key, value);
        }
        Ok(Value::Object(out))
    }
}
