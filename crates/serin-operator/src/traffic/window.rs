//! The last minutes of both versions, to answer the built-in metrics where there is no Prometheus, and to show.

use std::collections::VecDeque;

use serin_rollout::statistics::{Arm, Interval};
use serin_rollout::{Side, Span, Time};

/// So long is remembered.
const LONGEST: Span = Span::seconds(600);

/// What both versions did lately, by second.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    seconds: VecDeque<(Time, Interval)>,
}

impl Window {
    /// What happened until now.
    pub(crate) fn add(&mut self, now: Time, interval: Interval) {
        self.seconds.push_back((now, interval));
        while self.seconds.front().is_some_and(|(at, _)| now.since(*at) > LONGEST) {
            self.seconds.pop_front();
        }
    }

    /// What a version did within a time.
    pub(crate) fn last(&self, side: Side, now: Time, span: Span) -> Arm {
        let mut sum = Arm::default();
        for (_, interval) in self.seconds.iter().filter(|(at, _)| now.since(*at) < span) {
            let arm = match side {
                Side::Canary => &interval.canary,
                Side::Primary => &interval.primary,
            };
            sum.counts.add(arm.counts);
            sum.latency.add(&arm.latency);
        }
        sum
    }

    pub(crate) fn clear(&mut self) {
        self.seconds.clear();
    }
}
