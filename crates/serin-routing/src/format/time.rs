//! Points in time as text, in UTC, by `strftime`'s conversions and Envoy's for fractions of a second.

use std::fmt::Write;
use std::time::Duration;

/// Envoy's default.
const DEFAULT: &str = "%Y-%m-%dT%H:%M:%S.%3fZ";
const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Appends a time since the Unix epoch; an empty format means Envoy's default. Unknown conversions stay as written.
pub(super) fn append(time: Duration, format: &str, out: &mut Vec<u8>) {
    let format = if format.is_empty() { DEFAULT } else { format };
    let moment = Moment::new(time);
    let mut text = String::with_capacity(format.len() + 16);
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('%') {
        text.push_str(before);
        rest = moment.convert(after, &mut text);
    }
    text.push_str(rest);
    out.extend_from_slice(text.as_bytes());
}

struct Moment {
    time: Duration,
    year: u64,
    /// From 1.
    month: u64,
    /// From 1.
    day: u64,
    /// From 0, Sunday.
    week_day: u64,
    /// From 1.
    year_day: u64,
    second_of_day: u64,
}

impl Moment {
    /// The civil date of a time, in the proleptic Gregorian calendar.
    fn new(time: Duration) -> Self {
        let days = time.as_secs() / 86_400;
        // Years are counted from the first of March 0000, so that the leap day is the last of a year.
        let since_march_0 = days + 719_468;
        let era = since_march_0 / 146_097;
        let day_of_era = since_march_0 % 146_097;
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        let is_leap =
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let year_day = match month {
            1 | 2 => day_of_year - 305,
            _ => day_of_year + 60 + u64::from(is_leap),
        };
        Self {
            time,
            year,
            month,
            day,
            week_day: (days + 4) % 7,
            year_day,
            second_of_day: time.as_secs() % 86_400,
        }
    }

    /// Appends what the conversion at the start of `rest` stands for; returns what follows.
    fn convert<'t>(&self, rest: &'t str, text: &mut String) -> &'t str {
        if let Some((digits, after)) = fraction(rest) {
            let nanoseconds = format!("{:09}", self.time.subsec_nanos());
            if rest.starts_with('E') {
                self.write(format_args!("{:02}.", self.second_of_day % 60), text);
            }
            text.push_str(&nanoseconds[..digits]);
            return after;
        }
        let mut characters = rest.chars();
        let Some(conversion) = characters.next() else {
            text.push('%');
            return rest;
        };
        let (hour, minute) = (self.second_of_day / 3600, self.second_of_day / 60 % 60);
        let second = self.second_of_day % 60;
        let (year, month, day) = (self.year, self.month, self.day);
        let day_name = DAYS.get(usize::try_from(self.week_day).unwrap_or_default()).unwrap_or(&"");
        let month_name = MONTHS.get(usize::try_from(month - 1).unwrap_or_default()).unwrap_or(&"");
        match conversion {
            'Y' => self.write(format_args!("{year}"), text),
            'y' => self.write(format_args!("{:02}", year % 100), text),
            'm' => self.write(format_args!("{month:02}"), text),
            'd' => self.write(format_args!("{day:02}"), text),
            'e' => self.write(format_args!("{day:2}"), text),
            'j' => self.write(format_args!("{:03}", self.year_day), text),
            'H' => self.write(format_args!("{hour:02}"), text),
            'I' => self.write(format_args!("{:02}", (hour + 11) % 12 + 1), text),
            'p' => text.push_str(if hour < 12 { "AM" } else { "PM" }),
            'M' => self.write(format_args!("{minute:02}"), text),
            'S' => self.write(format_args!("{second:02}"), text),
            'F' => self.write(format_args!("{year}-{month:02}-{day:02}"), text),
            'T' => self.write(format_args!("{hour:02}:{minute:02}:{second:02}"), text),
            's' => self.write(format_args!("{}", self.time.as_secs()), text),
            'a' => text.push_str(&day_name[..3]),
            'A' => text.push_str(day_name),
            'b' | 'h' => text.push_str(&month_name[..3]),
            'B' => text.push_str(month_name),
            'Z' => text.push_str("UTC"),
            'z' => text.push_str("+0000"),
            '%' => text.push('%'),
            'n' => text.push('\n'),
            't' => text.push('\t'),
            unknown => {
                text.push('%');
                text.push(unknown);
            }
        }
        characters.as_str()
    }

    fn write(&self, arguments: std::fmt::Arguments<'_>, text: &mut String) {
        let written = text.write_fmt(arguments);
        debug_assert!(written.is_ok(), "writing to a string does not fail");
    }
}

/// The number of digits of a conversion of fractions: `f`, `3f` (`1` to `9`), and `E3S` with the seconds before them.
fn fraction(rest: &str) -> Option<(usize, &str)> {
    if let Some(after) = rest.strip_prefix('f') {
        return Some((9, after));
    }
    let (digits, end) = match rest.strip_prefix('E') {
        Some(after) => (after, 'S'),
        None => (rest, 'f'),
    };
    let digit = digits.chars().next()?.to_digit(10).filter(|digit| (1..=9).contains(digit))?;
    Some((digit as usize, digits[1..].strip_prefix(end)?))
}
