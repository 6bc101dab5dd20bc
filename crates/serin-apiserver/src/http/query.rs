//! The parameters of a request.

use std::collections::BTreeMap;

use serin_objects::Status;

/// The query of a URL, read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(BTreeMap<String, Vec<String>>);

impl Query {
    pub(crate) fn parse(query: &str) -> Self {
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            all.entry(name.into_owned()).or_default().push(value.into_owned());
        }
        Self(all)
    }

    /// The first value of a parameter; nothing where it is absent or empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.first().map(String::as_str).filter(|value| !value.is_empty())
    }

    /// All values of a parameter.
    pub(crate) fn all(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether a parameter is there, even without a value.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A switch: `true`, `1` or present without a value.
    pub(crate) fn flag(&self, name: &str) -> bool {
        match self.0.get(name).and_then(|values| values.first()) {
            None => false,
            Some(value) => !matches!(value.as_str(), "false" | "0"),
        }
    }

    /// A number.
    ///
    /// # Errors
    /// Fails with 400 where it is none.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, Status> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
        })
    }
}
