//! Quantities: `100m`, `1.5Gi`, `2e3`. Exact to a billionth, as Kubernetes keeps them.

use std::fmt;

/// A quantity, with the kind of suffix it was written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantity {
    /// In billionths.
    nano: i128,
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Decimal,
    Binary,
    Exponent,
}

const NANO: i128 = 1_000_000_000;
/// The greatest quantity: 2^63 - 1.
const LIMIT: i128 = i64::MAX as i128 * NANO;

const DECIMAL: [(&str, i32); 10] = [
    ("n", -9),
    ("u", -6),
    ("m", -3),
    ("", 0),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
    ("P", 15),
    ("E", 18),
];
const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// What Kubernetes says of a text that is no quantity.
pub const MALFORMED: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self { nano: 0, format: Format::Decimal };

    /// A whole number of thousandths.
    pub const fn from_milli(milli: i64) -> Self {
        Self { nano: milli as i128 * 1_000_000, format: Format::Decimal }
    }

    /// A whole number.
    pub const fn from_whole(number: usize) -> Self {
        Self { nano: number as i128 * NANO, format: Format::Decimal }
    }

    /// Two amounts together. The sum is written as the first of them that is anything.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        let format = if self.nano == 0 { other.format } else { self.format };
        Self { nano: self.nano + other.nano, format }
    }

    /// What is more of this amount than of another.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self { nano: self.nano - other.nano, format: self.format }
    }

    /// How many times another amount, which is not nothing, goes into this one.
    pub const fn over(self, other: Self) -> f64 {
        self.nano as f64 / other.nano as f64
    }

    /// Reads a quantity.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return None;
        }
        let (scale, format) = suffix_of(suffix)?;
        let digits = format!("{whole}{fraction}");
        if digits.len() > 60 {
            return None;
        }
        let nano = scaled(&digits, fraction.len(), scale)?.min(LIMIT);
        Some(Self { nano: if negative { -nano } else { nano }, format })
    }

    /// Whether two quantities are as much, however they are written.
    pub const fn equals(self, other: Self) -> bool {
        self.nano == other.nano
    }

    /// In thousandths, rounded up.
    pub const fn milli(self) -> i64 {
        ceil_div(self.nano, 1_000_000) as i64
    }

    /// As a whole number, rounded up.
    pub const fn whole(self) -> i64 {
        ceil_div(self.nano, NANO) as i64
    }

    /// Whether it is less than nothing.
    pub const fn is_negative(self) -> bool {
        self.nano < 0
    }

    /// Whether it is nothing.
    pub const fn is_zero(self) -> bool {
        self.nano == 0
    }

    /// Whether it is a whole number.
    pub const fn is_whole(self) -> bool {
        self.nano % NANO == 0
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.nano.cmp(&other.nano))
    }
}

const fn ceil_div(value: i128, by: i128) -> i128 {
    let down = value.div_euclid(by);
    if value.rem_euclid(by) == 0 { down } else { down + 1 }
}

/// How a suffix scales: by a power of ten or of 1024.
enum Scale {
    Ten(i32),
    Kibi(u32),
}

fn suffix_of(suffix: &str) -> Option<(Scale, Format)> {
    if let Some((_, power)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Some((Scale::Ten(*power), Format::Decimal));
    }
    if let Some(place) = BINARY.iter().position(|name| *name == suffix) {
        return Some((Scale::Kibi(u32::try_from(place).ok()? + 1), Format::Binary));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    let power: i32 = exponent.parse().ok()?;
    Some((Scale::Ten(power), Format::Exponent))
}

/// `digits` with `places` of them behind the point, scaled, in billionths, rounded up.
fn scaled(digits: &str, places: usize, scale: Scale) -> Option<i128> {
    let places = i32::try_from(places).ok()?;
    let (power, factor) = match scale {
        Scale::Ten(power) => (power, 1),
        Scale::Kibi(power) => (0, 1_i128 << (10 * power)),
    };
    let shift = 9 + power - places;
    let trimmed = digits.trim_start_matches('0');
    if trimmed.is_empty() {
        return Some(0);
    }
    // Far above the limit, whatever follows.
    if i32::try_from(trimmed.len()).ok()? + shift > 36 {
        return Some(LIMIT);
    }
    if shift < -38 {
        return Some(1);
    }
    let value = trimmed.get(..trimmed.len().min(37))?.parse::<i128>().ok()?;
    let dropped = i32::try_from(trimmed.len().saturating_sub(37)).ok()?;
    let shift = shift + dropped;
    let Some(value) = value.checked_mul(factor) else { return Some(LIMIT) };
    Some(if shift >= 0 {
        value.checked_mul(10_i128.checked_pow(u32::try_from(shift).ok()?)?).unwrap_or(LIMIT)
    } else {
        ceil_div(value, 10_i128.checked_pow(shift.unsigned_abs())?)
    })
}

impl fmt::Display for Quantity {
    /// In canonical form: no fraction, the greatest suffix that needs none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nano == 0 {
            return f.write_str("0");
        }
        if self.format == Format::Binary && self.nano.abs() >= 1024 * NANO {
            let mut value = ceil_div(self.nano, NANO);
            let mut suffix = "";
            for name in BINARY {
                if value % 1024 != 0 {
                    break;
                }
                value /= 1024;
                suffix = name;
            }
            return write!(f, "{value}{suffix}");
        }
        let mut value = self.nano;
        let mut place = 0;
        while value % 1000 == 0 && place + 1 < DECIMAL.len() {
            value /= 1000;
            place += 1;
        }
        let (suffix, power) = DECIMAL[place];
        match self.format {
            Format::Exponent if power != 0 => write!(f, "{value}e{power}"),
            _ => write!(f, "{value}{suffix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantities_have_one_canonical_form() {
        for (text, expect) in [
            ("0", "0"),
            ("0.5", "500m"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("100m", "100m"),
            ("1.5Gi", "1536Mi"),
            ("1024Mi", "1Gi"),
            ("1Ki", "1Ki"),
            ("0.5Ki", "512"),
            ("1e3", "1e3"),
            ("12e6", "12e6"),
            ("1000", "1k"),
            ("2000Mi", "2000Mi"),
            ("0.1m", "100u"),
            ("0.1n", "1n"),
            ("-1.5", "-1500m"),
            ("1E", "1E"),
            (".5", "500m"),
            ("9999999999999999999E", "9223372036854775807"),
        ] {
            let quantity = Quantity::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(quantity.to_string(), expect, "{text}");
        }
        for text in ["", "abc", "1.2.3", "1x", "1 Gi", "--1", "e3", "1e"] {
            assert_eq!(Quantity::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_canonical_form_means_the_same(milli in any::<i32>()) {
            let quantity = Quantity::from_milli(i64::from(milli));
            prop_assert_eq!(Quantity::parse(&quantity.to_string()), Some(quantity));
        }
    }
}
