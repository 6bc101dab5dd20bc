//! Responses on their way downstream, and answers of the proxy's own.

use serin_http1::{FieldName, Framing, status_line, write_field};
use serin_routing::headers::HeaderTable;

use crate::body::Sink;
use crate::clock::wall_time;
use crate::io::Io;
use crate::message::Headers;
use crate::record::Record;
use crate::upstream::has_token;

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
    /// So many bytes.
    Known(u64),
    /// It ends when it ends.
    Unknown,
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
        self.headers.copy_head(head, buffer);
        remove_hop_by_hop(&mut self.headers);
    }
}

/// Removes what is for one connection only: the standard names, and those that `connection` names (RFC 9110 §7.6.1).
pub(crate) fn remove_hop_by_hop(headers: &mut Headers) {
    let named = headers.known(FieldName::Connection).map(<[u8]>::to_ascii_lowercase);
    let is_named = |name: &[u8]| {
        let plain = |list: &[u8]| {
            list.eq_ignore_ascii_case(b"close") || list.eq_ignore_ascii_case(b"keep-alive")
        };
        named.as_deref().is_some_and(|list| !plain(list) && has_token(list, name))
    };
    headers.remove_all(|known, name| known.is_hop_by_hop() || is_named(name));
}

/// Where a response goes, and what is to be told about it.
pub(crate) struct Responder<'c> {
    pub(crate) io: &'c Io,
    /// The client speaks HTTP/1.0: no chunks.
    pub(crate) is_http_10: bool,
    /// The request was a `HEAD`: no body whatever the headers say.
    pub(crate) is_head: bool,
    /// The connection is to be used again.
    pub(crate) keep_alive: bool,
    /// Memory for the head.
    pub(crate) head: Vec<u8>,
    /// What is known of the request so far.
    pub(crate) record: Record,
}

impl<'c> Responder<'c> {
    /// The head of a response, which leaves with the first piece of the body.
    pub(crate) fn start(&mut self, response: &Response, length: Length) -> Sink<'c> {
        let mut head = std::mem::take(&mut self.head);
        head.clear();
        status_line(&mut head, response.status);
        for (known, name, value) in response.headers.iter() {
            if known != FieldName::ContentLength || length != Length::Unknown {
                write_field(&mut head, name, value);
            }
        }
        let has_length = response.headers.known(FieldName::ContentLength).is_some();
        let mut framing = Framing::None;
        match length {
            Length::Known(count) if !has_length => {
                write_field(&mut head, b"content-length", count.to_string().as_bytes())
            }
            Length::Known(_) => {}
            Length::None
                if !has_length
                    && !self.is_head
                    && !matches!(response.status, 100..=199 | 204 | 304) =>
            {
                write_field(&mut head, b"content-length", b"0");
            }
            Length::None => {}
            Length::Unknown if self.is_http_10 => self.keep_alive = false,
            Length::Unknown => {
                write_field(&mut head, b"transfer-encoding", b"chunked");
                framing = Framing::Chunked;
            }
        }
        if !self.keep_alive && response.status != 101 {
            write_field(&mut head, b"connection", b"close");
        } else if self.is_http_10 {
            write_field(&mut head, b"connection", b"keep-alive");
        }
        head.extend_from_slice(b"\r\n");
        Sink::new(self.io, head, framing)
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

/// The time of day as `date` has it (RFC 9110 §5.6.7).
pub(crate) fn http_date(out: &mut Vec<u8>) {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = wall_time().as_secs();
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
    let text = format!(
        "{weekday}, {day:02} {name} {year} {:02}:{:02}:{:02} GMT",
        time / 3600,
        time / 60 % 60,
        time % 60
    );
    out.extend_from_slice(text.as_bytes());
}
