//! Requests and responses between a downstream and an upstream protocol: heads as offsets into one arena.
//!
//! Every codec reads into this form and writes from it. Changing a header appends to the arena and moves offsets; nothing is
//! copied twice and, once an arena has grown, nothing is allocated. Names are lower-case. Fields stand in the arena as the lines that
//! HTTP/1 writes, so that those that are left as they came leave all at once.

use std::ops::Range;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use serin_http1::{FieldName, FieldNames, Head, may_trail, write_decimal, write_field};

use crate::memory::{self, Spare};

/// A stretch of the arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// Whether there is nothing in it.
    pub(crate) const fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Where it stands in the arena.
    pub(crate) const fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

#[derive(Clone, Copy, Debug)]
struct Field {
    known: FieldName,
    name: Span,
    value: Span,
}

/// Fields that there is room for from the beginning.
const FIELDS: usize = 32;

thread_local! {
    static LISTS: Spare<Field> = const { Spare::new() };
}

/// Header fields in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Headers {
    arena: Vec<u8>,
    fields: Vec<Field>,
    /// Names that have been among the fields.
    names: FieldNames,
}

impl Headers {
    #[inline]
    fn make_room(&mut self) {
        if self.arena.capacity() == 0 {
            self.take_memory();
        }
    }

    #[cold]
    fn take_memory(&mut self) {
        self.arena = memory::take();
        self.fields = LISTS.try_with(|spare| spare.take(FIELDS)).unwrap_or_default();
    }

    /// Removes everything but keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.arena.clear();
        self.fields.clear();
        self.names = FieldNames::default();
    }

    /// Takes over the fields of an HTTP/1 head, but for those of one name. The arena must be empty.
    pub(crate) fn copy_head(&mut self, head: &Head, buffer: &[u8], without: Option<FieldName>) {
        debug_assert!(self.arena.is_empty(), "offsets of the head are offsets of the arena");
        self.make_room();
        self.arena.extend_from_slice(buffer.get(..head.length()).unwrap_or_default());
        self.names = head.names();
        let fields = head.fields().iter().filter(|field| Some(field.known) != without);
        self.fields.extend(fields.map(|field| {
            let ((name_start, name_end), (value_start, value_end)) =
                (field.name_range(), field.value_range());
            Field {
                known: field.known,
                name: Span { start: name_start, end: name_end },
                value: Span { start: value_start, end: value_end },
            }
        }));
    }

    /// Takes over the fields of an HTTP/2 head.
    pub(crate) fn copy_map(&mut self, map: &HeaderMap) {
        for (name, value) in map {
            self.append(name.as_str().as_bytes(), value.as_bytes());
        }
    }

    /// Takes over HTTP/2 trailers, without what may not stand there: in HTTP/1 it could be taken for the head's.
    pub(crate) fn copy_trailers(&mut self, map: &HeaderMap) {
        for (name, value) in map {
            let name = name.as_str().as_bytes();
            if may_trail(name) {
                self.append(name, value.as_bytes());
            }
        }
    }

    /// The fields for an HTTP/2 head or trailers. What HTTP/2 cannot carry is left out.
    pub(crate) fn to_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.fields.len());
        for (known, name, value) in self.iter() {
            let name = match header_name(known) {
                Some(name) => Ok(name),
                None => HeaderName::from_bytes(name),
            };
            if let (Ok(name), Ok(mut value)) = (name, HeaderValue::from_bytes(value)) {
                // No two are the same: in the table of compressed fields it would only take the place of others.
                value.set_sensitive(known == FieldName::RequestId);
                map.append(name, value);
            }
        }
        map
    }

    /// Adds a field from a line that was found well-formed, with its line end or without.
    pub(crate) fn append_line(&mut self, line: &[u8]) {
        if let Some(colon) = line.iter().position(|&byte| byte == b':') {
            let (name, value) = line.split_at(colon);
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            self.append(&name.to_ascii_lowercase(), value);
        }
    }

    /// Whether there are no fields.
    pub(crate) const fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Replaces all fields of a name by one with their values joined.
    pub(crate) fn join(&mut self, name: FieldName, separator: &[u8]) {
        if !self.names.has(name) {
            return;
        }
        let values = self.fields.iter().filter(|field| field.known == name);
        if values.clone().count() < 2 {
            return;
        }
        let joined: Vec<&[u8]> = values.map(|field| self.text(field.value)).collect();
        let joined = joined.join(separator);
        let value = self.intern(&joined);
        let mut is_first = true;
        self.fields.retain_mut(|field| {
            if field.known != name {
                return true;
            }
            field.value = value;
            std::mem::replace(&mut is_first, false)
        });
    }

    /// Stores bytes that are no header: a method, a path.
    pub(crate) fn intern(&mut self, bytes: &[u8]) -> Span {
        self.make_room();
        let start = offset(self.arena.len());
        self.arena.extend_from_slice(bytes);
        Span { start, end: offset(self.arena.len()) }
    }

    /// Stores bytes that `write` appends.
    pub(crate) fn intern_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Span {
        self.make_room();
        let start = offset(self.arena.len());
        write(&mut self.arena);
        Span { start, end: offset(self.arena.len()) }
    }

    /// The bytes of a stretch.
    pub(crate) fn text(&self, span: Span) -> &[u8] {
        self.arena.get(span.range()).unwrap_or_default()
    }

    /// Adds a field at the end.
    pub(crate) fn append(&mut self, name: &[u8], value: &[u8]) {
        self.append_with(name, |arena| arena.extend_from_slice(value));
    }

    /// Adds a field whose value `write` appends.
    #[inline]
    pub(crate) fn append_with(&mut self, name: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        self.append_named(FieldName::of(name), name, write);
    }

    fn append_named(&mut self, known: FieldName, name: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        self.make_room();
        self.names.insert(known);
        let start = self.arena.len();
        self.arena.extend_from_slice(name);
        self.arena.extend_from_slice(b": ");
        let value_start = self.arena.len();
        write(&mut self.arena);
        let value = Span { start: offset(value_start), end: offset(self.arena.len()) };
        self.arena.extend_from_slice(b"\r\n");
        let name = Span { start: offset(start), end: offset(start + name.len()) };
        self.fields.push(Field { known, name, value });
    }

    /// Replaces every field of the name by one.
    #[inline]
    pub(crate) fn set(&mut self, name: &[u8], value: &[u8]) {
        self.set_with(name, |arena| arena.extend_from_slice(value));
    }

    /// The same with a value that `write` appends. What was in the arena is there still.
    #[inline]
    pub(crate) fn set_with(&mut self, name: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        let known = FieldName::of(name);
        self.remove_named(known, name);
        self.append_named(known, name, write);
    }

    /// The same with a number as the value.
    #[inline]
    pub(crate) fn set_number(&mut self, name: &[u8], number: u64) {
        self.set_with(name, |arena| write_decimal(arena, number));
    }

    /// Removes every field of the name.
    #[inline]
    pub(crate) fn remove(&mut self, name: &[u8]) {
        self.remove_named(FieldName::of(name), name);
    }

    #[inline]
    fn remove_named(&mut self, known: FieldName, name: &[u8]) {
        if !self.names.has(known) {
            return;
        }
        if known.is_one_name() {
            self.remove_any(FieldNames::of(&[known]), |_| true);
        } else {
            self.remove_any(FieldNames::of(&[known]), |candidate| candidate == name);
        }
    }

    /// Removes every field of these names that `unwanted` picks by its full name.
    #[inline]
    pub(crate) fn remove_any(&mut self, names: FieldNames, unwanted: impl FnMut(&[u8]) -> bool) {
        if self.names.has_any(names) {
            self.remove_some(names, unwanted);
        }
    }

    fn remove_some(&mut self, names: FieldNames, mut unwanted: impl FnMut(&[u8]) -> bool) {
        let arena = &self.arena;
        self.fields.retain(|field| {
            let name = || arena.get(field.name.range()).unwrap_or_default();
            !(names.has(field.known) && unwanted(name()))
        });
    }

    /// Removes every field that `unwanted` picks by its name.
    pub(crate) fn remove_all(&mut self, mut unwanted: impl FnMut(FieldName, &[u8]) -> bool) {
        let arena = &self.arena;
        self.fields.retain(|field| {
            !unwanted(field.known, arena.get(field.name.range()).unwrap_or_default())
        });
    }

    /// Names of which there may be fields; of others there are none.
    pub(crate) const fn names(&self) -> FieldNames {
        self.names
    }

    /// The first value of a known name.
    pub(crate) fn known(&self, name: FieldName) -> Option<&[u8]> {
        self.span(name).map(|value| self.text(value))
    }

    /// Where the first value of a known name stands.
    pub(crate) fn span(&self, name: FieldName) -> Option<Span> {
        if !self.names.has(name) {
            return None;
        }
        self.fields.iter().find(|field| field.known == name).map(|field| field.value)
    }

    /// All values of a known name.
    pub(crate) fn all(&self, name: FieldName) -> impl Iterator<Item = &[u8]> {
        self.of_name(name).map(|field| self.text(field.value))
    }

    fn of_name(&self, name: FieldName) -> impl Iterator<Item = &Field> {
        let fields = if self.names.has(name) { self.fields.as_slice() } else { &[] };
        fields.iter().filter(move |field| field.known == name)
    }

    /// All values of a name.
    pub(crate) fn values<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h [u8]> {
        let known = FieldName::of(name.as_bytes());
        self.of_name(known)
            .filter(move |field| known.is_one_name() || self.text(field.name) == name.as_bytes())
            .map(|field| self.text(field.value))
    }

    /// The first value of a name.
    #[inline]
    pub(crate) fn find(&self, name: &[u8]) -> Option<&[u8]> {
        let known = FieldName::of(name);
        self.of_name(known)
            .find(|field| known.is_one_name() || self.text(field.name) == name)
            .map(|field| self.text(field.value))
    }

    /// Writes the fields, but for those of one name, as lines of HTTP/1.
    pub(crate) fn write(&self, out: &mut Vec<u8>, without: Option<FieldName>) {
        out.reserve(self.arena.len());
        let mut run = Span::default();
        for field in self.fields.iter().filter(|field| Some(field.known) != without) {
            if !self.is_line(field) {
                out.extend_from_slice(self.text(std::mem::take(&mut run)));
                write_field(out, self.text(field.name), self.text(field.value));
                continue;
            }
            if field.name.start != run.end {
                out.extend_from_slice(self.text(run));
                run.start = field.name.start;
            }
            run.end = field.value.end + 2;
        }
        out.extend_from_slice(self.text(run));
    }

    /// Whether the field stands in the arena just as it is to be written.
    fn is_line(&self, field: &Field) -> bool {
        let two = |at: u32| self.text(Span { start: at, end: at + 2 });
        field.value.start == field.name.end + 2
            && two(field.name.end) == b": "
            && two(field.value.end) == b"\r\n"
    }

    /// The gRPC status, if these are a gRPC answer's.
    pub(crate) fn grpc_status(&self) -> Option<u32> {
        std::str::from_utf8(self.known(FieldName::GrpcStatus)?).ok()?.parse().ok()
    }

    /// Bytes of all names and values.
    pub(crate) fn size(&self) -> usize {
        self.iter().map(|(_, name, value)| name.len() + value.len()).sum()
    }

    /// All fields, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (FieldName, &[u8], &[u8])> {
        self.fields.iter().map(|field| (field.known, self.text(field.name), self.text(field.value)))
    }
}

/// The library's form of names that most messages have, which is made when this is compiled.
const fn header_name(known: FieldName) -> Option<HeaderName> {
    Some(match known {
        FieldName::ContentLength => header::CONTENT_LENGTH,
        FieldName::ContentType => header::CONTENT_TYPE,
        FieldName::Cookie => header::COOKIE,
        FieldName::Date => header::DATE,
        FieldName::Server => header::SERVER,
        FieldName::Te => header::TE,
        FieldName::EnvoyAttemptCount => const { HeaderName::from_static("x-envoy-attempt-count") },
        FieldName::EnvoyExternalAddress => {
            const { HeaderName::from_static("x-envoy-external-address") }
        }
        FieldName::EnvoyServiceTime => {
            const { HeaderName::from_static("x-envoy-upstream-service-time") }
        }
        FieldName::ForwardedFor => const { HeaderName::from_static("x-forwarded-for") },
        FieldName::ForwardedProto => const { HeaderName::from_static("x-forwarded-proto") },
        FieldName::RequestId => const { HeaderName::from_static("x-request-id") },
        FieldName::GrpcStatus => const { HeaderName::from_static("grpc-status") },
        _ => return None,
    })
}

impl Drop for Headers {
    fn drop(&mut self) {
        memory::give_back(std::mem::take(&mut self.arena));
        let fields = std::mem::take(&mut self.fields);
        // A thread that ends keeps nothing.
        let _ = LISTS.try_with(|spare| spare.give_back(fields));
    }
}

/// Heads are bounded far below what an offset can hold.
#[expect(clippy::cast_possible_truncation, reason = "heads are bounded far below 4 GiB")]
const fn offset(at: usize) -> u32 {
    at as u32
}
