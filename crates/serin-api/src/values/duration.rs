//! Durations as Go writes them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const UNITS: [(&str, i128); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// A span of time with nanosecond precision, written like `5s`, `1m30s`, `0.5s` or `100ms`.
///
/// It may be negative: a negative span can be written, and it is validation that refuses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Duration(i64);

/// A text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration; write a number and a unit, as in 5s, 1m30s or 100ms")]
pub struct ParseDurationError(String);

impl Duration {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A number of nanoseconds.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// A number of milliseconds.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// A number of seconds.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// The length in nanoseconds; negative when the span is.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Whether the length is exactly nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The same span in the standard library's type; a negative one counts as none.
    pub const fn to_std(self) -> std::time::Duration {
        if self.0 < 0 {
            std::time::Duration::ZERO
        } else {
            std::time::Duration::from_nanos(self.0.unsigned_abs())
        }
    }
}

impl From<std::time::Duration> for Duration {
    fn from(duration: std::time::Duration) -> Self {
        Self(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl FromStr for Duration {
    type Err = ParseDurationError;

    /// Reads what Go's `time.ParseDuration` reads.
    fn from_str(text: &str) -> Result<Self, ParseDurationError> {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let magnitude = if unsigned == "0" { Some(0) } else { parse_terms(unsigned) };
        let signed = magnitude.map(|nanos| if text.starts_with('-') { -nanos } else { nanos });
        signed
            .and_then(|nanos| i64::try_from(nanos).ok())
            .map(Self)
            .ok_or_else(|| ParseDurationError(text.to_owned()))
    }
}

fn parse_terms(mut rest: &str) -> Option<i128> {
    let mut total = 0_i128;
    loop {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(number_end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let unit = if unit == "μs" { "µs" } else { unit };
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(parse_number(number, *scale)?)?;
        if tail.is_empty() {
            return Some(total);
        }
        rest = tail;
    }
}

/// The value of a decimal number times `scale`, cut to whole units. `.5` and `5.` are numbers, `.` is not.
fn parse_number(number: &str, scale: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // Digits beyond a quintillionth cannot reach a nanosecond even for hours.
    let fraction = &fraction[..fraction.len().min(18)];
    let numerator: i128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let denominator = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    whole.checked_mul(scale)?.checked_add(numerator * scale / denominator)
}

impl fmt::Display for Duration {
    /// The number of the largest unit that divides the span: `90s`, `1m`, `250ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let fitting = UNITS
            .iter()
            .rev()
            .find(|(name, scale)| *name != "µs" && i128::from(self.0) % scale == 0);
        let (unit, scale) = fitting.unwrap_or(&UNITS[0]);
        write!(f, "{}{unit}", i128::from(self.0) / scale)
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'_, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Duration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, nanos: Option<i64>) {
        assert_eq!(text.parse::<Duration>().ok().map(Duration::nanos), nanos, "{text}");
    }

    #[test]
    fn reads_go_durations() {
        check("5s", Some(5_000_000_000));
        check("1m30s", Some(90_000_000_000));
        check("0.5s", Some(500_000_000));
        check(".5s", Some(500_000_000));
        check("5.s", Some(5_000_000_000));
        check("100ms", Some(100_000_000));
        check("1h1m1s1ms1us1ns", Some(3_661_001_001_001));
        check("0", Some(0));
        check("-1.5h", Some(-5_400_000_000_000));
        check("+2s", Some(2_000_000_000));
        check("3µs", Some(3_000));
    }

    #[test]
    fn refuses_what_go_refuses() {
        for text in ["", "5", "s", ".s", "5 s", "1.2.3s", "5x", "--5s", "1d", "9999999999h"] {
            check(text, None);
        }
    }

    #[test]
    fn is_written_in_the_largest_unit_that_divides_it() {
        for (text, shown) in [
            ("60s", "1m"),
            ("1m30s", "90s"),
            ("0.5s", "500ms"),
            ("24h", "24h"),
            ("0s", "0s"),
            ("-1500us", "-1500us"),
        ] {
            assert_eq!(text.parse::<Duration>().map(|it| it.to_string()).as_deref(), Ok(shown));
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_as_the_same(nanos: i64) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        }
    }
}
