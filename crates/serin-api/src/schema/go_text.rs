//! Values as Go prints them, for texts that people compare with those of Kubernetes.

use serde_json::Value;

/// A number as `%v` and `%g` print it. `scientific` is its shortest form with one digit before the point, as Rust's
/// `{:e}` gives it for the number's own precision.
pub(crate) fn float_g(scientific: &str) -> String {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    let (sign, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", mantissa),
    };
    let digits: String = digits.chars().filter(|&c| c != '.').collect();
    let point = exponent + 1;
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    let body = if point <= 0 {
        format!("0.{}{digits}", zeros(-point))
    } else if point >= count {
        format!("{digits}{}", zeros(point - count))
    } else {
        let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or(0));
        format!("{whole}.{fraction}")
    };
    format!("{sign}{body}")
}

/// A limit of a schema.
pub(super) fn number(value: f64) -> String {
    float_g(&format!("{value:e}"))
}

/// A text in quotes.
pub(super) fn quote(text: &str) -> String {
    Value::from(text).to_string()
}
