//! Ports, durations and shares.

use super::place::Place;
use crate::values::{Duration, Percent, PortSelector};

const MILLISECOND: i64 = 1_000_000;

/// A port number.
pub(super) fn port(number: u32) -> Result<(), String> {
    if (1..=65535).contains(&number) {
        Ok(())
    } else {
        Err(format!("port number {number} must be in the range 1 to 65535"))
    }
}

pub(super) fn port_selector(selector: Option<&PortSelector>, at: &Place<'_>) {
    if let Some(selector) = selector {
        at.key("number").expect(port(selector.number));
    }
}

/// A time that Envoy can measure: whole milliseconds, one at least.
pub(super) fn duration(duration: Option<Duration>, at: &Place<'_>) {
    let Some(duration) = duration else { return };
    if duration.nanos() < MILLISECOND {
        at.error(format!("the duration {duration} must be 1ms at least"));
    } else if duration.nanos() % MILLISECOND != 0 {
        at.error(format!("the duration {duration} must be in whole milliseconds"));
    }
}

/// A limit: zero or more.
pub(super) fn not_negative(number: i32, at: &Place<'_>) {
    if number < 0 {
        at.error(format!("{number} must not be negative"));
    }
}

/// Percent in whole numbers.
pub(super) fn whole_percent(number: i32, at: &Place<'_>) {
    if !(0..=100).contains(&number) {
        at.error(format!("the percentage {number} is not in the range 0 to 100"));
    }
}

/// Percent with Envoy's precision of one part in a million.
pub(super) fn fine_percent(percent: Option<&Percent>, at: &Place<'_>) {
    let Some(&Percent { value }) = percent else { return };
    let too_small = value > 0.0 && value < 0.0001;
    if !(0.0..=100.0).contains(&value) || too_small {
        at.error(format!("the percentage {value} is neither 0 nor in the range 0.0001 to 100"));
    }
}

/// Percent of the requests that are mirrored.
pub(super) fn mirror_percent(percent: Option<&Percent>, at: &Place<'_>) {
    let Some(&Percent { value }) = percent else { return };
    if !(0.0..=100.0).contains(&value) {
        at.error(format!("the percentage {value} is not in the range 0 to 100"));
    }
}
