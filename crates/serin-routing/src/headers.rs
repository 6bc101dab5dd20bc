//! Changes to headers, compiled.
//!
//! Envoy's order within one level (a route, or one of its destinations): removals first; then all values are computed
//! from what is left; then headers are set; then headers are added. An empty value changes nothing. Between the levels
//! the destination's comes first and the route's last, so that the route's `set` wins.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::format::{Address, Facts, Format, Property};
use crate::model::{HeaderOps, HeaderValue};

/// The headers of one message that is being changed. Names are lower-case.
pub trait HeaderTable {
    /// The first value of a header or, in a request, of a pseudo header.
    fn first(&self, name: &str) -> Option<&[u8]>;
    /// Removes every header of a name.
    fn remove(&mut self, name: &str);
    /// Puts one header in the place of all of its name.
    fn set(&mut self, name: &str, value: &[u8]);
    /// Adds a header beside those of its name.
    fn add(&mut self, name: &str, value: &[u8]);
}

/// Which message a program changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// The request: `%REQ(…)%` reads the headers that are being changed.
    Request,
    /// The response: `%RESP(…)%` does.
    Response,
}

/// The changes of one level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderProgram {
    remove: Box<[Arc<str>]>,
    set: Box<[(Arc<str>, Format)]>,
    add: Box<[(Arc<str>, Format)]>,
    authority: Option<Arc<str>>,
}

impl HeaderProgram {
    /// Compiles the changes of one level.
    ///
    /// Setting or adding `host` is a rewrite of the authority (the last one counts); removing it, or a pseudo header, is
    /// ignored, as in Istio.
    pub fn new(ops: &HeaderOps) -> Self {
        let is_authority = |name: &str| name == "host" || name == ":authority";
        let values = |list: &[(Arc<str>, HeaderValue)]| {
            let headers = list.iter().filter(|(name, _)| !is_authority(name));
            headers.map(|(name, value)| (Arc::clone(name), Format::parse(&value.format))).collect()
        };
        let removable = |name: &&Arc<str>| !is_authority(name) && !name.starts_with(':');
        let authority = ops.set.iter().chain(&ops.add).rfind(|(name, _)| is_authority(name));
        Self {
            remove: ops.remove.iter().filter(removable).cloned().collect(),
            set: values(&ops.set),
            add: values(&ops.add),
            authority: authority.map(|(_, value)| Arc::clone(&value.format)),
        }
    }

    /// Whether nothing is changed.
    pub const fn is_empty(&self) -> bool {
        self.remove.is_empty()
            && self.set.is_empty()
            && self.add.is_empty()
            && self.authority.is_none()
    }

    /// The authority that the changes ask for.
    pub fn authority(&self) -> Option<&Arc<str>> {
        self.authority.as_ref()
    }

    /// Carries the changes out. `facts` knows what is neither a header nor fixed.
    pub fn apply(&self, message: Message, table: &mut impl HeaderTable, facts: &impl Facts) {
        for name in &self.remove {
            table.remove(name);
        }
        let set = evaluate(&self.set, message, table, facts);
        let add = evaluate(&self.add, message, table, facts);
        for (name, value) in set {
            table.set(name, &value);
        }
        for (name, value) in add {
            table.add(name, &value);
        }
    }
}

fn evaluate<'p>(
    headers: &'p [(Arc<str>, Format)],
    message: Message,
    table: &impl HeaderTable,
    facts: &impl Facts,
) -> Vec<(&'p str, Vec<u8>)> {
    let facts = TableFacts { message, table, facts };
    let values = headers.iter().map(|(name, format)| {
        let mut value = Vec::new();
        format.render(&facts, "", &mut value);
        (&**name, value)
    });
    values.filter(|(_, value)| !value.is_empty()).collect()
}

/// The facts of a request, with the headers that are being changed.
struct TableFacts<'f, T, F> {
    message: Message,
    table: &'f T,
    facts: &'f F,
}

impl<T: HeaderTable, F: Facts> Facts for TableFacts<'_, T, F> {
    fn request_header(&self, name: &str) -> Option<&[u8]> {
        match self.message {
            // Tables have no pseudo headers; those cannot be changed by rules either.
            Message::Request if !name.starts_with(':') && name != "host" => self.table.first(name),
            _ => self.facts.request_header(name),
        }
    }

    fn response_header(&self, name: &str) -> Option<&[u8]> {
        match self.message {
            Message::Request => None,
            Message::Response => self.table.first(name),
        }
    }

    fn start_time(&self) -> Option<Duration> {
        self.facts.start_time()
    }

    fn address(&self, address: Address) -> Option<SocketAddr> {
        self.facts.address(address)
    }

    fn append(&self, property: Property, out: &mut Vec<u8>) -> bool {
        self.facts.append(property, out)
    }
}

/// Headers in a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderList(pub Vec<(String, Vec<u8>)>);

impl HeaderTable for HeaderList {
    fn first(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(candidate, _)| candidate == name).map(|(_, value)| value.as_slice())
    }

    fn remove(&mut self, name: &str) {
        self.0.retain(|(candidate, _)| candidate != name);
    }

    fn set(&mut self, name: &str, value: &[u8]) {
        match self.0.iter().position(|(candidate, _)| candidate == name) {
            Some(first) => {
                value.clone_into(&mut self.0[first].1);
                let mut position = 0;
                self.0.retain(|(candidate, _)| {
                    position += 1;
                    position <= first + 1 || candidate != name
                });
            }
            None => self.add(name, value),
        }
    }

    fn add(&mut self, name: &str, value: &[u8]) {
        self.0.push((name.to_owned(), value.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct NoFacts;

    impl Facts for NoFacts {
        fn request_header(&self, name: &str) -> Option<&[u8]> {
            matches!(name, "x-request" | ":path").then_some(b"request".as_slice())
        }
    }

    fn ops(remove: &[&str], set: &[(&str, &str)], add: &[(&str, &str)]) -> HeaderProgram {
        let values = |list: &[(&str, &str)]| {
            list.iter()
                .map(|(name, format)| ((*name).into(), HeaderValue { format: (*format).into() }))
                .collect()
        };
        let remove = remove.iter().map(|name| (*name).into()).collect();
        HeaderProgram::new(&HeaderOps { remove, set: values(set), add: values(add) })
    }

    #[track_caller]
    fn check(
        program: &HeaderProgram,
        message: Message,
        before: &[(&str, &str)],
        after: &[(&str, &str)],
    ) {
        let list = |headers: &[(&str, &str)]| {
            HeaderList(
                headers
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
                    .collect(),
            )
        };
        let mut table = list(before);
        program.apply(message, &mut table, &NoFacts);
        assert_eq!(table, list(after));
    }

    #[test]
    fn t_hdr_within_a_level_remove_comes_before_set_and_set_before_add() {
        let program = ops(&["a", "b"], &[("b", "set")], &[("a", "added"), ("c", "added")]);
        check(
            &program,
            Message::Request,
            &[("a", "1"), ("b", "2"), ("c", "3")],
            &[("c", "3"), ("b", "set"), ("a", "added"), ("c", "added")],
        );
    }

    #[test]
    fn set_replaces_every_header_of_the_name_and_add_makes_a_new_line() {
        let program = ops(&[], &[("a", "new")], &[("set-cookie", "x=1")]);
        check(
            &program,
            Message::Response,
            &[("a", "1"), ("set-cookie", "y=2"), ("a", "2")],
            &[("a", "new"), ("set-cookie", "y=2"), ("set-cookie", "x=1")],
        );
    }

    #[test]
    fn values_are_computed_after_removals_and_before_changes() {
        let program =
            ops(&["gone"], &[("a", "%REQ(b)%"), ("b", "%REQ(a)%"), ("c", "<%REQ(gone)%>")], &[]);
        check(
            &program,
            Message::Request,
            &[("a", "1"), ("b", "2"), ("gone", "3")],
            &[("a", "2"), ("b", "1"), ("c", "<>")],
        );
    }

    #[test]
    fn values_may_quote_the_pseudo_headers_of_the_request() {
        let program = ops(&[], &[("a", "%REQ(:PATH)% %REQ(x-request)%")], &[]);
        check(&program, Message::Request, &[], &[("a", "request ")]);
    }

    #[test]
    fn an_empty_value_changes_nothing() {
        check(
            &ops(&[], &[("a", "%REQ(none)%"), ("b", "")], &[("c", "")]),
            Message::Request,
            &[("a", "1")],
            &[("a", "1")],
        );
    }

    #[test]
    fn a_response_sees_its_own_headers_and_the_requests() {
        let program = ops(&[], &[("a", "%RESP(x)% %REQ(x-request)% %REQ(x)%")], &[]);
        check(
            &program,
            Message::Response,
            &[("x", "response")],
            &[("x", "response"), ("a", "response request ")],
        );
    }

    #[test]
    fn the_host_header_is_rewritten_not_changed() {
        let program = ops(&["host", ":path"], &[("host", "one")], &[(":authority", "two")]);
        assert_eq!(program.authority().map(|authority| &**authority), Some("two"));
        check(&program, Message::Request, &[(":path", "/")], &[(":path", "/")]);
        assert!(!program.is_empty());
        assert!(ops(&["host"], &[], &[]).is_empty());
    }
}
