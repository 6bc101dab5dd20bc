//! A request that asks why it goes where it goes.

use serin_routing::explain::explain;

use super::Exchange;
use crate::request::Request;

/// The header by which it asks, and by which it is told.
pub(crate) const HEADER: &[u8] = b"x-serin-explain";
/// Longer explanations lose the rules that were passed over, so that clients take the head.
const LONGEST: usize = 16 * 1024;

/// The explanation of a request's way, as JSON on one line, if it asks for one and may. What it asked by goes no further.
pub(super) fn wanted(exchange: &Exchange<'_>, request: &mut Request) -> Option<Box<str>> {
    let token = exchange.worker.settings.explain_token.as_ref()?;
    let is_allowed = request.headers.find(HEADER)? == token.as_bytes();
    request.headers.remove(HEADER);
    if !is_allowed {
        return None;
    }
    let model = exchange.snapshot.compiled.model();
    let table = model.route_tables.get(&exchange.http.routes)?;
    let mut explanation = explain(model, table, request);
    let text = serde_json::to_string(&explanation).ok()?;
    if text.len() <= LONGEST {
        return Some(ascii(&text));
    }
    explanation.rejected.clear();
    let text = serde_json::to_string(&explanation).ok()?;
    Some(ascii(&text)).filter(|text| text.len() <= LONGEST)
}

/// JSON without characters that a header cannot hold.
fn ascii(json: &str) -> Box<str> {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() && !character.is_ascii_control() {
            text.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    text.into()
}
