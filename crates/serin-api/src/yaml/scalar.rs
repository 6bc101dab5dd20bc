//! What a plain scalar means: the YAML 1.1 rules that Kubernetes' reader has kept (`yes` is a boolean, `0644` is
//! octal), and how numbers and keys become JSON.

use serde_json::{Number, Value};

/// The value that a plain (unquoted, untagged) scalar stands for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Plain {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    /// `<<` in the place of a key.
    Merge,
    Text,
}

/// Reads a plain scalar.
pub(super) fn resolve(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Plain::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Plain::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Plain::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Plain::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Plain::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Plain::Float(f64::NEG_INFINITY),
        "<<" => return Plain::Merge,
        _ => {}
    }
    match text.as_bytes()[0] {
        b'+' | b'-' | b'0'..=b'9' => number(&text.replace('_', "")).unwrap_or(Plain::Text),
        b'.' => decimal(text).map_or(Plain::Text, Plain::Float),
        _ => Plain::Text,
    }
}

fn number(text: &str) -> Option<Plain> {
    let (negative, digits) = match text.as_bytes()[0] {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if let Some(magnitude) = integer(digits) {
        let signed = if negative { -magnitude } else { magnitude };
        if let Ok(value) = i64::try_from(signed) {
            return Some(Plain::Int(value));
        }
        if let Ok(value) = u64::try_from(signed) {
            return Some(Plain::Uint(value));
        }
    }
    decimal(text).map(Plain::Float)
}

/// An integer without sign in the notation of Go: `0x`, `0o`, `0b`, or octal after a leading zero.
fn integer(digits: &str) -> Option<i128> {
    let lower = digits.to_ascii_lowercase();
    let (digits, radix) = if let Some(rest) = lower.strip_prefix("0x") {
        (rest, 16)
    } else if let Some(rest) = lower.strip_prefix("0b") {
        (rest, 2)
    } else if let Some(rest) = lower.strip_prefix("0o") {
        (rest, 8)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (&lower[1..], 8)
    } else {
        (lower.as_str(), 10)
    };
    // `from_str_radix` would accept a second sign.
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if plain { i128::from_str_radix(digits, radix).ok() } else { None }
}

/// A decimal fraction or exponent as YAML writes it, which excludes `inf`, `nan` and hexadecimal fractions.
fn decimal(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let has_digits =
        all_digits(whole) && all_digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    let exponent_fits = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && all_digits(digits)
    });
    if has_digits && exponent_fits {
        text.parse().ok().filter(|value: &f64| value.is_finite())
    } else {
        None
    }
}

/// A finite number as JSON carries it on to Kubernetes: whole numbers lose their fraction (`1.0` is `1`).
pub(super) fn float_to_json(value: f64) -> Option<Value> {
    const EXACT: f64 = 9_223_372_036_854_775_807.0;
    if value.fract() == 0.0 && (-EXACT..EXACT).contains(&value) {
        return Some(Value::from(value as i64));
    }
    Number::from_f64(value).map(Value::Number)
}

/// The text of a key that is a number with a fraction, in the shortest single precision that Go prints (`%g`).
pub(super) fn float_key(value: f64) -> String {
    if value.is_nan() {
        return ".nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let single = value as f32;
    crate::schema::float_g(&format!("{single:e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cases: &[(&str, Plain)]) {
        for (text, expect) in cases {
            assert_eq!(&resolve(text), expect, "{text}");
        }
    }

    #[test]
    fn words_of_yaml_1_1_are_booleans_and_null() {
        check(&[
            ("yes", Plain::Bool(true)),
            ("On", Plain::Bool(true)),
            ("y", Plain::Bool(true)),
            ("N", Plain::Bool(false)),
            ("off", Plain::Bool(false)),
            ("yEs", Plain::Text),
            ("~", Plain::Null),
            ("Null", Plain::Null),
            ("", Plain::Null),
            ("<<", Plain::Merge),
        ]);
    }

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        check(&[
            ("0644", Plain::Int(420)),
            ("0o644", Plain::Int(420)),
            ("-0x1F", Plain::Int(-31)),
            ("0b101", Plain::Int(5)),
            ("+12", Plain::Int(12)),
            ("1_000", Plain::Int(1000)),
            ("08", Plain::Float(8.0)),
            ("1e3", Plain::Float(1000.0)),
            (".5", Plain::Float(0.5)),
            ("1.", Plain::Float(1.0)),
            ("-9223372036854775808", Plain::Int(i64::MIN)),
            ("18446744073709551615", Plain::Uint(u64::MAX)),
            ("18446744073709551616", Plain::Float(18_446_744_073_709_551_616.0)),
            ("1.2.3", Plain::Text),
            ("2024-01-31", Plain::Text),
            ("10.0.0.1", Plain::Text),
            ("1e", Plain::Text),
            ("0x", Plain::Text),
            ("--1", Plain::Text),
            ("-", Plain::Text),
            ("0x1p4", Plain::Text),
            ("12:30", Plain::Text),
            ("infinity", Plain::Text),
        ]);
    }

    #[test]
    fn keys_that_are_fractions_are_printed_in_single_precision() {
        for (value, expect) in
            [(1.5, "1.5"), (1e6, "1e+06"), (0.1, "0.1"), (1e-5, "1e-05"), (2.0, "2")]
        {
            assert_eq!(float_key(value), expect);
        }
    }
}
