//! Who is told what.

use serin_api::delivery::{AlertSeverity, CanaryAlert};

use crate::action::Severity;

/// The alerts of a plan that are told something this grave. An alert without a severity is told everything.
pub fn told(alerts: &[CanaryAlert], severity: Severity) -> impl Iterator<Item = &CanaryAlert> {
    alerts.iter().filter(move |alert| match alert.severity {
        AlertSeverity::Unspecified | AlertSeverity::Info => true,
        AlertSeverity::Warn => severity >= Severity::Warn,
        AlertSeverity::Error => severity == Severity::Error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_without_a_severity_is_told_everything() {
        let of = |severity| CanaryAlert { severity, ..CanaryAlert::default() };
        let count = |wanted, grave| told(&[of(wanted)], grave).count();
        for grave in [Severity::Info, Severity::Warn, Severity::Error] {
            assert_eq!(count(AlertSeverity::Unspecified, grave), 1);
            assert_eq!(count(AlertSeverity::Info, grave), 1);
            assert_eq!(count(AlertSeverity::Warn, grave), usize::from(grave >= Severity::Warn));
            assert_eq!(count(AlertSeverity::Error, grave), usize::from(grave == Severity::Error));
        }
    }
}
