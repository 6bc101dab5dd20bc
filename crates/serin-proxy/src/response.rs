//! Responses on their way downstream, and answers of the proxy's own.

mod http1;

use std::cell::RefCell;
use std::io;
use std::time::Duration;

use serin_http1::{FieldName, FieldNames};
use serin_routing::headers::HeaderTable;
use serin_routing::time::Instant;

use crate::body::{Http2Out, Http2Sink, Sink};
use crate::clock::wall_time;
use crate::exchange::EXPLAIN;
use crate::message::Headers;
use crate::record::Record;
use crate::upstream::has_token;

pub(crate) use http1::Http1Reply;

/// The head of a response.
#[derive(Debug, Default)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
}

/// What is known of a response's body before it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// There is none.
    None,
    /// So many bytes and nothing after them.
    Exact(u64),
    /// So many bytes, and perhaps trailers.
    Declared(u64),
    /// It ends when it ends.
    Unknown,
    /// The bytes of another protocol.
    Tunnel,
}

impl Response {
    /// A response without headers.
    pub(crate) fn new(status: u16) -> Self {
        Self { status, headers: Headers::default() }
    }

    /// Takes over the head of an HTTP/1 response, without what is for one connection only.
    pub(crate) fn read_http1(&mut self, head: &serin_http1::Head, buffer: &[u8]) {
        self.status = head.status();
        self.headers.clear();
        self.headers.copy_head(head, buffer, None);
        remove_hop_by_hop(&mut self.headers);
        self.remove_vain_length();
    }

    /// Takes over the head of an HTTP/2 response.
    pub(crate) fn read_http2(&mut self, status: http::StatusCode, headers: &http::HeaderMap) {
        self.status = status.as_u16();
        self.headers.clear();
        self.headers.copy_map(headers);
        self.remove_vain_length();
    }

    /// Nobody is told the length of what a status says is not there (RFC 9110 §8.6).
    fn remove_vain_length(&mut self) {
        if matches!(self.status, 100..=199 | 204) {
            self.headers.remove(b"content-length");
        }
    }

    /// Whether another head follows (RFC 9110 §15.2).
    pub(crate) const fn is_interim(&self) -> bool {
        matches!(self.status, 100 | 102..=199)
    }

    /// The head for HTTP/2.
    fn to_http2(&self) -> http::Response<()> {
        let mut response = http::Response::new(());
        *response.status_mut() = http::StatusCode::from_u16(self.status)
            .unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
        *response.headers_mut() = self.headers.to_map();
        response
    }
}

/// Removes what is for one connection only: the standard names, and those that `connection` names (RFC 9110 §7.6.1). That
/// trailers are understood is passed on, for gRPC's servers ask for it.
pub(crate) fn remove_hop_by_hop(headers: &mut Headers) {
    if !headers.names().has_any(FieldNames::HOP_BY_HOP) {
        return;
    }
    headers.join(FieldName::Connection, b",");
    let is_plain = |list: &&[u8]| {
        list.eq_ignore_ascii_case(b"close") || list.eq_ignore_ascii_case(b"keep-alive")
    };
    let named = headers.known(FieldName::Connection).filter(|list| !is_plain(list));
    let named = named.map(<[u8]>::to_vec);
    let is_named = |name: &[u8]| named.as_deref().is_some_and(|list| has_token(list, name));
    let takes_trailers =
        headers.known(FieldName::Te).is_some_and(|list| has_token(list, b"trailers"));
    if named.is_some() {
        headers.remove_all(|known, name| known.is_hop_by_hop() || is_named(name));
    } else {
        headers.remove_any(FieldNames::HOP_BY_HOP, |_| true);
    }
    if takes_trailers {
        headers.append(b"te", b"trailers");
    }
}

/// Where a response goes, and what is to be told about it.
pub(crate) struct Responder<'c> {
    /// The protocol's own part.
    pub(crate) reply: Reply<'c>,
    /// The request was a `HEAD`: no body whatever the headers say.
    pub(crate) is_head: bool,
    /// What is known of the request so far.
    pub(crate) record: Record,
}

/// The way to the client.
pub(crate) enum Reply<'c> {
    /// An HTTP/1 connection.
    Http1(Http1Reply<'c>),
    /// A stream of an HTTP/2 connection.
    Http2(&'c Http2Out),
}

impl Reply<'_> {
    /// The connection is not used again after this answer, which says so. A stream of HTTP/2 ends alone.
    pub(crate) const fn close(&mut self) {
        if let Self::Http1(reply) = self {
            reply.keep_alive = false;
        }
    }
}

impl<'c> Responder<'c> {
    /// Passes on an interim response.
    pub(crate) async fn inform(&mut self, response: &Response) -> io::Result<()> {
        match &mut self.reply {
            Reply::Http1(reply) => reply.inform(response).await,
            Reply::Http2(out) => out.inform(response.to_http2()).map_err(io::Error::other),
        }
    }

    /// Begins the response; the body goes into what comes back.
    pub(crate) fn start(&mut self, response: &Response, length: Length) -> io::Result<Sink<'c>> {
        if let Some(explanation) = self.record.explanation.take() {
            let mut explained =
                Response { status: response.status, headers: response.headers.clone() };
            explained.headers.set(EXPLAIN, explanation.as_bytes());
            return self.start(&explained, length);
        }
        if let Some(detail) = &mut self.record.detail {
            detail.response.clone_from(&response.headers);
        }
        match &mut self.reply {
            Reply::Http1(reply) => Ok(Sink::Http1(reply.start(response, length, self.is_head))),
            Reply::Http2(out) => {
                let is_end = length == Length::None || self.is_head;
                out.start(response.to_http2(), is_end).map_err(io::Error::other)?;
                let left = match length {
                    Length::Exact(count) => Some(count),
                    _ => None,
                };
                let sink = if is_end { Http2Sink::ended(out) } else { Http2Sink::new(out, left) };
                Ok(Sink::Http2(sink))
            }
        }
    }

    /// Whether the client can be told of another protocol on its connection by the status 101.
    pub(crate) const fn switches_by_status(&self) -> bool {
        matches!(self.reply, Reply::Http1(_))
    }
}

impl HeaderTable for Headers {
    fn first(&self, name: &str) -> Option<&[u8]> {
        self.find(name.as_bytes())
    }

    fn remove(&mut self, name: &str) {
        Self::remove(self, name.as_bytes());
    }

    fn set(&mut self, name: &str, value: &[u8]) {
        Self::set(self, name.as_bytes(), value);
    }

    fn add(&mut self, name: &str, value: &[u8]) {
        self.append(name.as_bytes(), value);
    }
}

thread_local! {
    /// The last date that this core has written, and until when it holds.
    static DATE: RefCell<(Instant, String)> = const { RefCell::new((Instant::ZERO, String::new())) };
}

/// The time of day as `date` has it (RFC 9110 §5.6.7). `now` tells whether the second is still the same.
pub(crate) fn http_date(out: &mut Vec<u8>, now: Instant) {
    DATE.with_borrow_mut(|(until, text)| {
        if now >= *until || text.is_empty() {
            let time = wall_time();
            let left = Duration::from_secs(time.as_secs() + 1).saturating_sub(time);
            (*until, *text) = (now + left, date_of(time.as_secs()));
        }
        out.extend_from_slice(text.as_bytes());
    });
}

fn date_of(seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01 in the Gregorian calendar, by eras of 400 years.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let index = |number: u64, names: usize| usize::try_from(number).unwrap_or_default() % names;
    let (weekday, name) = (DAYS[index(days, 7)], MONTHS[index(month - 1, 12)]);
    format!(
        "{weekday}, {day:02} {name} {year} {:02}:{:02}:{:02} GMT",
        time / 3600,
        time / 60 % 60,
        time % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_the_standard_has_them() {
        assert_eq!(date_of(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date_of(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(date_of(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    }

    #[test]
    fn every_connection_header_names_what_is_for_one_hop() {
        let mut headers = Headers::default();
        for (name, value) in
            [("connection", "close"), ("a", "1"), ("connection", "A, b"), ("b", "2"), ("c", "3")]
        {
            headers.append(name.as_bytes(), value.as_bytes());
        }
        remove_hop_by_hop(&mut headers);
        let left: Vec<_> = headers.iter().map(|(_, name, _)| name).collect();
        assert_eq!(left, [b"c"]);
    }
}
