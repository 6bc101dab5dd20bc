//! What `serin explain` answers, in the shape that scripts get. The names of the fields are a contract.

use serde::Serialize;
use serin_routing::explain::Explanation;

/// The answer for one request. The text for people is made from the same values.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Answer {
    /// The name that a file of calls gave the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// Why the request gets no answer from where it was sent, and what to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// The way of the request.
    #[serde(flatten)]
    pub(crate) way: Explanation,
}
