//! What is known about a book.

use http::StatusCode;
use serde_json::json;

use super::id_of;
use crate::message::{Call, Reply, error, json as json_reply, not_found};

/// The service. It knows one book and takes every number for its.
#[derive(Debug)]
pub(crate) struct Details;

impl Details {
    #[expect(clippy::unused_self, reason = "services are asked alike")]
    pub(crate) fn answer(&self, call: &Call) -> Reply {
        if !call.path().starts_with("/details") {
            return not_found();
        }
        let Some(id) = id_of(call.path()) else {
            return error(StatusCode::BAD_REQUEST, "please provide numeric product id");
        };
        let details = json!({
            "id": id,
            "author": "William Shakespeare",
            "year": 1595,
            "type": "paperback",
            "pages": 200,
            "publisher": "PublisherA",
            "language": "English",
            "ISBN-10": "1234567890",
            "ISBN-13": "123-1234567890",
        });
        json_reply(StatusCode::OK, &details)
    }
}
