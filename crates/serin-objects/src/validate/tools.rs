//! Checks that many kinds share.

use std::net::IpAddr;

use serde_json::Value;

use super::names;
use crate::fields::{FieldError, Path};

pub(super) type Errors = Vec<FieldError>;

/// The elements of a list.
pub(super) fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A text; empty where there is none.
pub(super) fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

/// The entries of a map.
pub(super) fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// A text must be there.
pub(super) fn require(errors: &mut Errors, path: &Path, value: &Value, name: &str) -> bool {
    if text(value, name).is_empty() {
        errors.push(FieldError::required(&path.child(name), ""));
        return false;
    }
    true
}

/// A text is one of some, or absent.
pub(super) fn one_of(
    errors: &mut Errors,
    path: &Path,
    value: &Value,
    name: &str,
    allowed: &[&str],
) {
    let found = text(value, name);
    if !found.is_empty() && !allowed.contains(&found) {
        errors.push(FieldError::not_supported(&path.child(name), found, allowed));
    }
}

/// A text is there and one of some.
pub(super) fn required_one_of(
    errors: &mut Errors,
    path: &Path,
    value: &Value,
    name: &str,
    allowed: &[&str],
) {
    if require(errors, path, value, name) {
        one_of(errors, path, value, name, allowed);
    }
}

/// A number is not below a limit.
pub(super) fn at_least(errors: &mut Errors, path: &Path, value: &Value, name: &str, least: i64) {
    if let Some(number) = value[name].as_i64().filter(|it| *it < least) {
        let why = format!("must be greater than or equal to {least}");
        errors.push(FieldError::invalid(&path.child(name), number, &why));
    }
}

/// Numbers are not negative.
pub(super) fn non_negative(errors: &mut Errors, path: &Path, value: &Value, names: &[&str]) {
    for name in names {
        at_least(errors, path, value, name, 0);
    }
}

/// A port has a number that ports can have.
pub(super) fn port(errors: &mut Errors, path: &Path, number: i64) {
    if !(1..=65535).contains(&number) {
        let why = "must be between 1 and 65535, inclusive";
        errors.push(FieldError::invalid(path, number, why));
    }
}

/// A port given by number or by name.
pub(super) fn port_or_name(errors: &mut Errors, path: &Path, value: &Value) {
    match value {
        Value::String(name) => {
            for why in names::port_name_errors(name) {
                errors.push(FieldError::invalid(path, name.as_str(), &why));
            }
        }
        Value::Number(_) => port(errors, path, value.as_i64().unwrap_or(0)),
        _ => {}
    }
}

/// A value did not change.
pub(super) fn immutable(errors: &mut Errors, path: &Path, old: &Value, new: &Value) {
    if old != new {
        errors.push(FieldError::invalid(path, new.clone(), "field is immutable"));
    }
}

/// All that is wrong with a text by a rule for names.
pub(super) fn named(errors: &mut Errors, path: &Path, name: &str, rule: fn(&str) -> Vec<String>) {
    for why in rule(name) {
        errors.push(FieldError::invalid(path, name, &why));
    }
}

/// A number of pods, or a part of all of them.
pub(super) fn count_or_percent(errors: &mut Errors, path: &Path, value: &Value) {
    match value {
        Value::String(text) => {
            let digits = text.strip_suffix('%').unwrap_or_default();
            if digits.is_empty() || !digits.bytes().all(|it| it.is_ascii_digit()) {
                let why = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
                errors.push(FieldError::invalid(path, text.as_str(), why));
            } else if digits.parse::<u32>().is_ok_and(|it| it > 100) {
                errors.push(FieldError::invalid(
                    path,
                    text.as_str(),
                    "must not be greater than 100%",
                ));
            }
        }
        Value::Number(number) if number.as_i64().is_some_and(|it| it < 0) => {
            let why = "must be greater than or equal to 0";
            errors.push(FieldError::invalid(path, value.clone(), why));
        }
        _ => {}
    }
}

/// Whether a count or percentage is nothing.
pub(super) fn is_none_of_all(value: &Value) -> bool {
    match value {
        Value::String(text) => text.trim_end_matches('%').parse() == Ok(0),
        other => other.as_i64() == Some(0),
    }
}

/// A label selector.
pub(super) fn selector(errors: &mut Errors, path: &Path, selector: &Value) {
    errors.extend(super::meta::labels(&path.child("matchLabels"), &selector["matchLabels"]));
    for (index, it) in items(&selector["matchExpressions"]).iter().enumerate() {
        let at = path.child("matchExpressions").index(index);
        let values = items(&it["values"]);
        match text(it, "operator") {
            "In" | "NotIn" if values.is_empty() => {
                let why = "must be specified when `operator` is 'In' or 'NotIn'";
                errors.push(FieldError::required(&at.child("values"), why));
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                errors.push(FieldError::forbidden(&at.child("values"), why));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => {
                let why = "not a valid selector operator";
                errors.push(FieldError::invalid(&at.child("operator"), other, why));
            }
        }
        for why in names::label_key_errors(text(it, "key")) {
            errors.push(FieldError::invalid(&at.child("key"), text(it, "key"), &why));
        }
        for (index, value) in values.iter().enumerate() {
            for why in names::label_value_errors(value.as_str().unwrap_or_default()) {
                errors.push(FieldError::invalid(
                    &at.child("values").index(index),
                    value.clone(),
                    &why,
                ));
            }
        }
    }
}

/// A path that leads down from where it starts.
pub(super) fn descending(errors: &mut Errors, path: &Path, place: &str) {
    if place.starts_with('/') {
        errors.push(FieldError::invalid(path, place, "must be a relative path"));
    }
    without_backsteps(errors, path, place);
}

/// A path that does not lead up again.
pub(super) fn without_backsteps(errors: &mut Errors, path: &Path, place: &str) {
    if place.split('/').any(|part| part == "..") {
        errors.push(FieldError::invalid(path, place, "must not contain '..'"));
    }
}

/// An IP address.
pub(super) fn ip(errors: &mut Errors, path: &Path, text: &str) {
    if text.parse::<IpAddr>().is_err() {
        let why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        errors.push(FieldError::invalid(path, text, why));
    }
}

/// An address of one machine, not of a group or of whoever asks.
pub(super) fn non_special_ip(errors: &mut Errors, path: &Path, text: &str) {
    let Ok(address) = text.parse::<IpAddr>() else {
        errors.push(FieldError::invalid(path, text, "must be a valid IP address"));
        return;
    };
    let (link_local, multicast) = match address {
        IpAddr::V4(it) => (it.is_link_local(), it.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(it) => (it.is_unicast_link_local(), it.segments()[0] & 0xff0f == 0xff02),
    };
    let why = if address.is_unspecified() {
        format!("may not be unspecified ({text})")
    } else if address.is_loopback() {
        "may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned()
    } else if link_local {
        "may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned()
    } else if multicast {
        "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".to_owned()
    } else {
        return;
    };
    errors.push(FieldError::invalid(path, text, &why));
}

/// An address and the length of its network.
pub(super) fn parsed_cidr(text: &str) -> Option<(IpAddr, u32)> {
    let (address, length) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let length: u32 = length.parse().ok()?;
    (length <= if address.is_ipv4() { 32 } else { 128 }).then_some((address, length))
}

/// A network.
pub(super) fn cidr(errors: &mut Errors, path: &Path, text: &str) {
    if parsed_cidr(text).is_none() {
        let why = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
        errors.push(FieldError::invalid(path, text, why));
    }
}
