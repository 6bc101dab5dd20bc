//! Times as objects hold them, and durations as people read them.

use jiff::Timestamp;
use jiff::tz::Offset;

/// Reads RFC 3339.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let separator = text.as_bytes().get(10)?;
    if !matches!(separator, b'T' | b't') {
        return None;
    }
    text.parse().ok()
}

/// To the second, in UTC: `2006-01-02T15:04:05Z`.
pub(crate) fn seconds(time: Timestamp) -> String {
    Offset::UTC.to_datetime(time).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// To the microsecond, in UTC: `2006-01-02T15:04:05.000000Z`.
pub(crate) fn micros(time: Timestamp) -> String {
    Offset::UTC.to_datetime(time).strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// How long ago `since` was, in the two greatest units that matter.
pub(crate) fn ago(since: Timestamp, now: Timestamp) -> String {
    human(now.duration_since(since).as_secs())
}

/// A duration in seconds as `kubectl` prints ages.
pub(crate) fn human(seconds: i64) -> String {
    let two = |great: i64, unit: char, small: i64, part: char| {
        if small == 0 { format!("{great}{unit}") } else { format!("{great}{unit}{small}{part}") }
    };
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let days = hours / 24;
    match () {
        () if seconds < -1 => "<invalid>".to_owned(),
        () if seconds < 0 => "0s".to_owned(),
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => two(minutes, 'm', seconds % 60, 's'),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => two(hours, 'h', minutes % 60, 'm'),
        () if hours < 48 => format!("{hours}h"),
        () if hours < 192 => two(days, 'd', hours % 24, 'h'),
        () if days < 730 => format!("{days}d"),
        () if days < 2920 => two(days / 365, 'y', days % 365, 'd'),
        () => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_rounded_as_kubernetes_does() {
        for (seconds, expect) in [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (150, "2m30s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (12_660, "3h31m"),
            (28_800, "8h"),
            (172_799, "47h"),
            (172_800, "2d"),
            (180_000, "2d2h"),
            (691_200, "8d"),
            (63_072_000, "2y"),
            (63_158_400, "2y1d"),
            (252_288_000, "8y"),
        ] {
            assert_eq!(human(seconds), expect, "{seconds}");
        }
    }

    #[test]
    fn times_are_written_in_utc() {
        let time = parse("2024-01-31T12:00:00.25+01:00").unwrap();
        assert_eq!(seconds(time), "2024-01-31T11:00:00Z");
        assert_eq!(micros(time), "2024-01-31T11:00:00.250000Z");
        assert!(parse("2024-01-31").is_none());
    }
}
