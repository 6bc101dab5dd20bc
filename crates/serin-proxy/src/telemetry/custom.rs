//! Metrics that differ from Istio's, as requests are counted.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serin_routing::format::Facts;
use serin_telemetry::customization::{CustomId, Customization};
use serin_telemetry::{DestinationId, SourceId, Workload};

use super::facts::LogFacts;
use super::{Counters, Detail, Telemetry};
use crate::record::Record;
use crate::request::Request;
use crate::snapshot::Snapshot;
use crate::upstream::Version;

/// How the metrics of what a workload sends differ.
#[derive(Default)]
pub(super) struct Custom {
    rules: RefCell<Arc<Customization>>,
    /// What all requests count as, unless it takes facts to know it.
    same: Cell<CustomId>,
    has_expressions: Cell<bool>,
}

/// How the metrics of what comes to workloads of this process differ, for those that want it.
#[derive(Default)]
pub(super) struct Received {
    rules: RefCell<BTreeMap<Workload, Arc<Customization>>>,
    is_used: Cell<bool>,
}

impl Custom {
    pub(super) fn take(&self, snapshot: &Snapshot, counters: &Counters) {
        let customizations = &snapshot.customizations;
        let (rules, received) = (&customizations.sent, &customizations.received);
        counters.received.set(&snapshot.workload, received);
        if *self.rules.borrow() != *rules {
            let has_expressions = rules.has_expressions();
            self.has_expressions.set(has_expressions);
            let is_same = !rules.is_empty() && !has_expressions;
            let same = is_same.then(|| counters.metrics.borrow_mut().customized(rules, &Nothing));
            self.same.set(same.unwrap_or_default());
            *self.rules.borrow_mut() = Arc::clone(rules);
        }
    }

    /// Whether details of requests are wanted.
    pub(super) const fn wants_detail(&self) -> bool {
        self.has_expressions.get()
    }

    /// What something that a workload sends counts as.
    pub(super) fn of(&self, counters: &Counters, facts: &dyn Facts) -> CustomId {
        if !self.has_expressions.get() {
            return self.same.get();
        }
        counters.metrics.borrow_mut().customized(&self.rules.borrow(), facts)
    }
}

impl Received {
    fn set(&self, workload: &Workload, rules: &Arc<Customization>) {
        let mut all = self.rules.borrow_mut();
        if rules.is_empty() {
            all.remove(workload);
        } else {
            all.insert(workload.clone(), Arc::clone(rules));
        }
        self.is_used.set(!all.is_empty());
    }
}

impl Counters {
    /// What something that comes to a workload of this process counts as.
    pub(super) fn custom_received(&self, to: DestinationId, facts: &dyn Facts) -> CustomId {
        if !self.received.is_used.get() {
            return CustomId::default();
        }
        let mut metrics = self.metrics.borrow_mut();
        let rules = self.received.rules.borrow();
        let rules = metrics.destination_of(to).and_then(|it| rules.get(&it.workload));
        rules.map_or_else(CustomId::default, |rules| metrics.customized(rules, facts))
    }
}

impl Telemetry {
    /// What a request that the workload has sent counts as.
    pub(super) fn custom_sent(
        &self,
        request: &Request,
        record: &Record,
        version: Version,
        duration: Duration,
    ) -> CustomId {
        if !self.custom.wants_detail() {
            return self.custom.same.get();
        }
        let none = Detail::default();
        let detail = record.detail.as_deref().unwrap_or(&none);
        let (sender, is_received) = (&*self.workload.borrow(), false);
        let facts = LogFacts { request, record, detail, version, duration, sender, is_received };
        self.custom.of(&self.counters, &facts)
    }
}

/// What a request that came to a workload of this process counts as, as far as it is known yet.
pub(super) fn custom_received(
    counters: &Rc<Counters>,
    (from, to): (SourceId, DestinationId),
    request: &Request,
    record: &Record,
) -> CustomId {
    if !counters.received.is_used.get() {
        return CustomId::default();
    }
    let none = Detail::default();
    let detail = record.detail.as_deref().unwrap_or(&none);
    let (version, duration) = (Version::Http1, Duration::ZERO);
    let sender = counters.metrics.borrow().source_of(from).cloned().unwrap_or_default();
    let (sender, is_received) = (&sender, true);
    let facts = LogFacts { request, record, detail, version, duration, sender, is_received };
    counters.custom_received(to, &facts)
}

/// No facts at all.
pub(super) struct Nothing;

impl Facts for Nothing {
    fn request_header(&self, _: &str) -> Option<&[u8]> {
        None
    }
}
