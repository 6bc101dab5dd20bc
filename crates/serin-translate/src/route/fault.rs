//! Injected faults (Istio's `TranslateFault`).

use serin_api::networking::{FaultAbort, FaultDelay, HttpFaultInjection};
use serin_routing::model::{Abort, AbortStatus, Delay, Fault, PerMillion};

/// gRPC's status codes by name, from 0.
const GRPC_STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The faults that `written` asks for. A share that is not written is none.
pub(super) fn fault(written: &HttpFaultInjection) -> Option<Fault> {
    let fault = Fault {
        delay: written.delay.as_ref().and_then(delay),
        abort: written.abort.as_ref().and_then(abort),
    };
    (fault != Fault::default()).then_some(fault)
}

fn delay(written: &FaultDelay) -> Option<Delay> {
    let percent = written.percentage.as_ref().map_or(f64::from(written.percent), |it| it.value);
    Some(Delay {
        duration: written.fixed_delay?.to_std(),
        fraction: PerMillion::from_percent(percent),
    })
}

fn abort(written: &FaultAbort) -> Option<Abort> {
    let percent = written.percentage.as_ref().map_or(0.0, |it| it.value);
    let status = match (written.http_status, &written.grpc_status) {
        (Some(status), _) => AbortStatus::Http(u16::try_from(status).ok()?),
        (None, Some(status)) => AbortStatus::Grpc(grpc_status(status)),
        (None, None) => return None,
    };
    Some(Abort { status, fraction: PerMillion::from_percent(percent) })
}

/// The code of a status by name or number; 0 for one that does not exist, as Istio has it.
fn grpc_status(written: &str) -> u8 {
    let named = GRPC_STATUSES.iter().position(|name| *name == written);
    named
        .and_then(|code| u8::try_from(code).ok())
        .or_else(|| written.parse().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serin_api::values::{Duration, Percent};

    use super::*;

    fn percent(value: f64) -> Option<Percent> {
        Some(Percent { value })
    }

    #[test]
    fn t_fault_a_share_that_is_not_written_is_none() {
        let delay = FaultDelay { fixed_delay: Some(Duration::from_secs(1)), ..Default::default() };
        let abort = FaultAbort { http_status: Some(500), ..Default::default() };
        let made = fault(&HttpFaultInjection { delay: Some(delay), abort: Some(abort) }).unwrap();
        assert_eq!(made.delay.unwrap().fraction, PerMillion::NONE);
        assert_eq!(made.abort.unwrap().fraction, PerMillion::NONE);
    }

    #[test]
    fn t_fault_shares_are_cut_to_a_millionth() {
        let share = |value| {
            let abort = FaultAbort {
                http_status: Some(500),
                percentage: percent(value),
                ..Default::default()
            };
            fault(&HttpFaultInjection { abort: Some(abort), delay: None })
                .unwrap()
                .abort
                .unwrap()
                .fraction
                .parts()
        };
        assert_eq!(share(0.0001), 1);
        assert_eq!(share(0.000_19), 1);
        assert_eq!(share(50.0), 500_000);
        assert_eq!(share(100.0), 1_000_000);
    }

    #[test]
    fn the_old_whole_percent_counts_where_the_new_field_is_absent() {
        let delay = |percentage| FaultDelay {
            percent: 10,
            percentage,
            fixed_delay: Some(Duration::from_secs(1)),
            ..Default::default()
        };
        let share = |percentage| {
            let written = HttpFaultInjection { delay: Some(delay(percentage)), abort: None };
            fault(&written).unwrap().delay.unwrap().fraction.parts()
        };
        assert_eq!(share(None), 100_000);
        assert_eq!(share(percent(1.0)), 10_000);
    }

    #[test]
    fn grpc_statuses_have_names_and_numbers() {
        let status = |text: &str| {
            let abort = FaultAbort { grpc_status: Some(text.to_owned()), ..Default::default() };
            fault(&HttpFaultInjection { abort: Some(abort), delay: None })
                .unwrap()
                .abort
                .unwrap()
                .status
        };
        assert_eq!(status("UNAVAILABLE"), AbortStatus::Grpc(14));
        assert_eq!(status("14"), AbortStatus::Grpc(14));
        assert_eq!(status("NO_SUCH"), AbortStatus::Grpc(0));
    }

    #[test]
    fn a_fault_without_a_time_or_a_status_is_none() {
        let written = HttpFaultInjection {
            delay: Some(FaultDelay::default()),
            abort: Some(FaultAbort::default()),
        };
        assert_eq!(fault(&written), None);
    }
}
