//! Requests and responses between a downstream and an upstream protocol: heads as offsets into one arena.
//!
//! Every codec reads into this form and writes from it. Changing a header appends to the arena and moves offsets; nothing is
//! copied twice and, once an arena has grown, nothing is allocated. Names are lower-case.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use serin_http1::{FieldName, Head, write_decimal};

use crate::memory;

/// A stretch of the arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

#[derive(Clone, Copy, Debug)]
struct Field {
    known: FieldName,
    name: Span,
    value: Span,
}

/// Fields that there is room for from the beginning.
const FIELDS: usize = 32;

/// Header fields in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Headers {
    arena: Vec<u8>,
    fields: Vec<Field>,
}

impl Headers {
    fn make_room(&mut self) {
        if self.arena.capacity() == 0 {
            self.arena = memory::take();
            self.fields.reserve(FIELDS);
        }
    }

    /// Removes everything but keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.arena.clear();
        self.fields.clear();
    }

    /// Takes over the fields of an HTTP/1 head. The arena must be empty.
    pub(crate) fn copy_head(&mut self, head: &Head, buffer: &[u8]) {
        debug_assert!(self.arena.is_empty(), "offsets of the head are offsets of the arena");
        self.make_room();
        self.arena.extend_from_slice(buffer.get(..head.length()).unwrap_or_default());
        self.fields.extend(head.fields().iter().map(|field| {
            let ((name_start, name_end), (value_start, value_end)) =
                (field.name_range(), field.value_range());
            Field {
                known: field.known,
                name: Span { start: name_start, end: name_end },
                value: Span { start: value_start, end: value_end },
            }
        }));
    }

    /// Takes over the fields of an HTTP/2 head or trailers.
    pub(crate) fn copy_map(&mut self, map: &HeaderMap) {
        for (name, value) in map {
            self.append(name.as_str().as_bytes(), value.as_bytes());
        }
    }

    /// The fields for an HTTP/2 head or trailers. What HTTP/2 cannot carry is left out.
    pub(crate) fn to_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.fields.len());
        for (_, name, value) in self.iter() {
            if let (Ok(name), Ok(value)) =
                (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
            {
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
        self.arena.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// Adds a field at the end.
    pub(crate) fn append(&mut self, name: &[u8], value: &[u8]) {
        let field = Field {
            known: FieldName::of(name),
            name: self.intern(name),
            value: self.intern(value),
        };
        self.fields.push(field);
    }

    /// Replaces every field of the name by one.
    pub(crate) fn set(&mut self, name: &[u8], value: &[u8]) {
        self.remove(name);
        self.append(name, value);
    }

    /// The same with a number as the value.
    pub(crate) fn set_number(&mut self, name: &[u8], number: u64) {
        self.remove(name);
        let name_span = self.intern(name);
        let value = self.intern_with(|arena| write_decimal(arena, number));
        self.fields.push(Field { known: FieldName::of(name), name: name_span, value });
    }

    /// Removes every field of the name.
    pub(crate) fn remove(&mut self, name: &[u8]) {
        let arena = &self.arena;
        let is = |field: &Field| {
            arena.get(field.name.start as usize..field.name.end as usize) == Some(name)
        };
        self.fields.retain(|field| !is(field));
    }

    /// Removes every field that `unwanted` picks by its name.
    pub(crate) fn remove_all(&mut self, mut unwanted: impl FnMut(FieldName, &[u8]) -> bool) {
        let arena = &self.arena;
        self.fields.retain(|field| {
            let name =
                arena.get(field.name.start as usize..field.name.end as usize).unwrap_or_default();
            !unwanted(field.known, name)
        });
    }

    /// The first value of a known name.
    pub(crate) fn known(&self, name: FieldName) -> Option<&[u8]> {
        self.fields.iter().find(|field| field.known == name).map(|field| self.text(field.value))
    }

    /// All values of a known name.
    pub(crate) fn all(&self, name: FieldName) -> impl Iterator<Item = &[u8]> {
        self.fields
            .iter()
            .filter(move |field| field.known == name)
            .map(|field| self.text(field.value))
    }

    /// The first value of a name.
    pub(crate) fn find(&self, name: &[u8]) -> Option<&[u8]> {
        self.fields
            .iter()
            .find(|field| self.text(field.name) == name)
            .map(|field| self.text(field.value))
    }

    /// The gRPC status, if these are a gRPC answer's.
    pub(crate) fn grpc_status(&self) -> Option<u32> {
        std::str::from_utf8(self.find(b"grpc-status")?).ok()?.parse().ok()
    }

    /// All fields, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (FieldName, &[u8], &[u8])> {
        self.fields.iter().map(|field| (field.known, self.text(field.name), self.text(field.value)))
    }
}

impl Drop for Headers {
    fn drop(&mut self) {
        memory::give_back(std::mem::take(&mut self.arena));
    }
}

/// Heads are bounded far below what an offset can hold.
#[expect(clippy::cast_possible_truncation, reason = "heads are bounded far below 4 GiB")]
const fn offset(at: usize) -> u32 {
    at as u32
}
