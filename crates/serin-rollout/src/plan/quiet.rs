//! Quiet hours: times of the week at which nothing advances.

use serin_api::delivery::QuietHours;

use crate::time::Time;

const DAY: i64 = 1440;

/// A time of the day, on certain days of the week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quiet {
    /// Days on which it begins, Monday 0; none is every day.
    days: Vec<i64>,
    /// The first minute of the day.
    from: i64,
    /// How many minutes it lasts.
    length: i64,
    /// Minutes from UTC.
    offset: i64,
}

impl Quiet {
    /// The time that is written; `None` if it cannot be read.
    pub(super) fn new(hours: &QuietHours) -> Option<Self> {
        let (from, to) = (minute(&hours.from)?, minute(&hours.to)?);
        let offset = match hours.utc_offset.split_at_checked(1) {
            None => 0,
            Some(("-", rest)) => -minute(rest)?,
            Some((_, rest)) => minute(rest)?,
        };
        let length = if to > from { to - from } else { to - from + DAY };
        Some(Self {
            days: hours.days.iter().map(|day| *day as i64).collect(),
            from,
            length,
            offset,
        })
    }

    /// Whether it is quiet now.
    pub fn holds(&self, now: Time) -> bool {
        let minute = now.minute_of_week(self.offset);
        // A time may have begun today or yesterday.
        [0, 1].iter().any(|back| {
            let day = (minute / DAY - back).rem_euclid(7);
            let passed = minute % DAY + back * DAY - self.from;
            (0..self.length).contains(&passed) && (self.days.is_empty() || self.days.contains(&day))
        })
    }
}

fn minute(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    Some(hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?)
}

#[cfg(test)]
mod tests {
    use serin_api::delivery::Weekday;

    use super::*;

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins() {
        let night = Quiet::new(&QuietHours {
            days: vec![Weekday::Friday],
            from: "22:00".to_owned(),
            to: "06:00".to_owned(),
            utc_offset: "+01:00".to_owned(),
        })
        .unwrap();
        // 2026-11-20 is a Friday; 21:00 UTC is 22:00 there.
        let friday = 1_795_132_800_000 + 21 * 3_600_000;
        let check = |minutes: i64, expect: bool| {
            assert_eq!(night.holds(Time(friday + minutes * 60_000)), expect, "{minutes}");
        };
        check(-1, false);
        check(0, true);
        check(8 * 60 - 1, true);
        check(8 * 60, false);
        check(24 * 60, false);
    }
}
