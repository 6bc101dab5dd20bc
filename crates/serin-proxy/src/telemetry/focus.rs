//! Where a release looks closer: each user's request, and requests together with their copies.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serin_routing::cohort::Key;
use serin_routing::decide::session;
use serin_routing::time::Instant;
use serin_telemetry::Protocol;
use serin_telemetry::focus::{Ending, Focus, Lenses, Sight};

use super::{Counters, Telemetry};
use crate::record::Record;
use crate::request::Request;

/// What is looked at closer on a core.
#[derive(Default)]
pub(super) struct Closer {
    is_used: Cell<bool>,
    lenses: RefCell<Lenses>,
}

impl Closer {
    /// Whether anything is.
    pub(super) const fn is_used(&self) -> bool {
        self.is_used.get()
    }
}

impl Counters {
    /// What was seen since the last question.
    pub(crate) fn look(&self, focus: &Arc<Focus>, now: Instant) -> Sight {
        self.closer.is_used.set(true);
        self.closer.lenses.borrow_mut().take(focus, now)
    }

    /// Forgets what nobody asks about any more.
    pub(crate) fn tidy(&self, now: Instant) {
        let mut lenses = self.closer.lenses.borrow_mut();
        lenses.tidy(now);
        self.closer.is_used.set(!lenses.is_empty());
    }

    fn pair(&self, primary: &Ending, copy: &Ending, request: &Request) {
        let mut lenses = self.closer.lenses.borrow_mut();
        lenses.count_pair(&self.metrics.borrow(), primary, copy, |keys| of(keys, request));
    }
}

/// Where a request and its copies meet: whichever is over last tells how they compare.
#[derive(Debug, Default)]
pub(crate) struct Shadow {
    primary: Cell<Option<Ending>>,
    copies: RefCell<Vec<Ending>>,
}

impl Telemetry {
    /// A place to compare a request with its copies, if anybody wants to know.
    pub(crate) fn shadow(&self) -> Option<Rc<Shadow>> {
        self.counters.closer.is_used().then(Rc::default)
    }

    /// A user's request is over.
    pub(super) fn count_closer(
        &self,
        request: &Request,
        record: &Record,
        protocol: Protocol,
        duration: Duration,
    ) {
        let ending = ending(record, protocol, duration);
        let counters = &self.counters;
        counters
            .closer
            .lenses
            .borrow_mut()
            .count(&counters.metrics.borrow(), &ending, |keys| of(keys, request));
        if let Some(shadow) = &record.shadow {
            shadow.primary.set(Some(ending));
            for copy in shadow.copies.take() {
                counters.pair(&ending, &copy, request);
            }
        }
    }

    /// A copy is over.
    pub(super) fn compare(
        &self,
        request: &Request,
        record: &Record,
        protocol: Protocol,
        duration: Duration,
    ) {
        let Some(shadow) = &record.shadow else { return };
        let copy = ending(record, protocol, duration);
        let counters = &self.counters;
        counters.closer.lenses.borrow_mut().count_copy(&counters.metrics.borrow(), &copy);
        match shadow.primary.get() {
            Some(primary) => counters.pair(&primary, &copy, request),
            None => shadow.copies.borrow_mut().push(copy),
        }
    }
}

/// The session of a request, by the first of the keys that it has.
fn of(keys: &[Key], request: &Request) -> Option<u64> {
    if keys.is_empty() { None } else { session(keys, request) }
}

fn ending(record: &Record, protocol: Protocol, duration: Duration) -> Ending {
    Ending {
        destination: record.destination,
        status: record.status,
        protocol,
        flags: record.flags,
        duration,
        first_try_failed: record.first_try_failed,
    }
}
