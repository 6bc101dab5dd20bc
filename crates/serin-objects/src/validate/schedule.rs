//! When a CronJob runs: five fields, or a word that stands for them.

use std::ops::RangeInclusive;

use super::tools::Errors;
use crate::fields::{FieldError, Path};
use crate::go;

const MONTHS: &[&str] =
    &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// What is wrong with a schedule. The words are those of the parser that Kubernetes uses.
pub(super) fn check(errors: &mut Errors, path: &Path, schedule: &str, has_zone: bool) {
    let plain = match schedule.split_once(' ') {
        Some((zone, rest)) if zone.starts_with("TZ=") || zone.starts_with("CRON_TZ=") => rest,
        _ => schedule,
    };
    if let Err(why) = parse(plain.trim()) {
        errors.push(FieldError::invalid(path, schedule, &why));
    }
    if schedule.contains("TZ") {
        let why = if has_zone {
            "cannot use both timeZone field and TZ or CRON_TZ in schedule"
        } else {
            "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        };
        errors.push(FieldError::invalid(path, schedule, why));
    }
}

fn parse(schedule: &str) -> Result<(), String> {
    if schedule.starts_with('@') {
        let known =
            ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];
        let known = known.contains(&schedule) || schedule.starts_with("@every ");
        return if known { Ok(()) } else { Err(format!("unrecognized descriptor: {schedule}")) };
    }
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    let [minute, hour, day, month, weekday] = fields.as_slice() else {
        let (count, all) = (fields.len(), fields.join(" "));
        return Err(format!("expected exactly 5 fields, found {count}: [{all}]"));
    };
    field(minute, 0..=59, &[])?;
    field(hour, 0..=23, &[])?;
    field(day, 1..=31, &[])?;
    field(month, 1..=12, MONTHS)?;
    field(weekday, 0..=6, DAYS)
}

fn field(text: &str, range: RangeInclusive<u32>, names: &[&str]) -> Result<(), String> {
    text.split(',').filter(|it| !it.is_empty()).try_for_each(|it| part(it, &range, names))
}

fn part(text: &str, range: &RangeInclusive<u32>, names: &[&str]) -> Result<(), String> {
    let (least, most) = (*range.start(), *range.end());
    let steps: Vec<&str> = text.split('/').collect();
    let ends: Vec<&str> = steps[0].split('-').collect();
    let (start, mut end) = match ends.as_slice() {
        ["*" | "?", ..] => (least, most),
        [only] => number(only, least, names).map(|it| (it, it))?,
        [first, last] => (number(first, least, names)?, number(last, least, names)?),
        _ => return Err(format!("too many hyphens: {text}")),
    };
    let step = match steps.as_slice() {
        [_] => 1,
        [_, step] => {
            if ends.len() == 1 {
                end = most;
            }
            number(step, 0, &[])?
        }
        _ => return Err(format!("too many slashes: {text}")),
    };
    if start < least {
        return Err(format!("beginning of range ({start}) below minimum ({least}): {text}"));
    }
    if end > most {
        return Err(format!("end of range ({end}) above maximum ({most}): {text}"));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {text}"));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {text}"));
    }
    Ok(())
}

/// A number, or the name of one. `first` is the number of the first name.
fn number(text: &str, first: u32, names: &[&str]) -> Result<u32, String> {
    let lower = text.to_lowercase();
    if let Some(place) = names.iter().position(|it| *it == lower) {
        return Ok(first + u32::try_from(place).unwrap_or(0));
    }
    match text.parse::<i64>() {
        Ok(number) if number < 0 => Err(format!("negative number ({number}) not allowed: {text}")),
        Ok(number) => Ok(u32::try_from(number).unwrap_or(u32::MAX)),
        Err(_) => {
            let quoted = go::quote(text);
            Err(format!(
                "failed to parse int from {text}: strconv.Atoi: parsing {quoted}: invalid syntax"
            ))
        }
    }
}
