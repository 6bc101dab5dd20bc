//! Schedules in the form of cron: five fields, or one of the words for them. Times are of UTC.

use std::ops::RangeInclusive;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

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

/// When something is to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    minutes: Field,
    hours: Field,
    days: Field,
    months: Field,
    weekdays: Field,
}

/// Numbers, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    bits: u64,
    /// It begins with a star, which counts for days: a day of the month and one of the week that are both given are alternatives.
    is_any: bool,
}

impl Schedule {
    /// Reads a schedule; the error tells what is wrong.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
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
        })
    }

    /// The first time after `time`; none if there is none.
    pub(super) fn after(&self, time: Timestamp) -> Option<Timestamp> {
        let begin = TimeZone::UTC.to_datetime(time).with().second(0).subsec_nanosecond(0).build();
        let begin = begin.ok()?.checked_add(Span::new().minutes(1)).ok()?;
        let mut day = begin.date();
        for number in 0..DAYS {
            if self.is_on(day) {
                let from = if number == 0 { begin } else { day.at(0, 0, 0, 0) };
                if let Some(found) = self.from(from) {
                    return TimeZone::UTC.to_timestamp(found).ok();
                }
            }
            day = day.tomorrow().ok()?;
        }
        None
    }

    fn is_on(&self, day: jiff::civil::Date) -> bool {
        let of_month = self.days.has(day.day());
        let of_week = self.weekdays.has(day.weekday().to_sunday_zero_offset());
        let is_day = match self.days.is_any || self.weekdays.is_any {
            true => of_month && of_week,
            false => of_month || of_week,
        };
        is_day && self.months.has(day.month())
    }

    /// The first time of a day that is not before `from`.
    fn from(&self, from: DateTime) -> Option<DateTime> {
        (from.hour()..24).filter(|hour| self.hours.has(*hour)).find_map(|hour| {
            let first = if hour == from.hour() { from.minute() } else { 0 };
            let minute = (first..60).find(|minute| self.minutes.has(*minute))?;
            Some(from.date().at(hour, minute, 0, 0))
        })
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
            let schedule = Schedule::parse(schedule).unwrap();
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
        assert_eq!(Schedule::parse("0 0 31 2 *").unwrap().after(Timestamp::UNIX_EPOCH), None);
    }

    #[test]
    fn what_is_no_schedule_is_told() {
        let check =
            |text: &str, expect: &str| assert_eq!(Schedule::parse(text).unwrap_err(), expect);
        check("* * *", "expected exactly 5 fields, found 3: [* * *]");
        check("60 * * * *", "failed to parse \"60\"");
        check("* * * * 5-1", "failed to parse \"5-1\"");
        check("*/0 * * * *", "failed to parse \"*/0\"");
    }
}
