//! The forms of text that `format` names. Names that Kubernetes does not check are not checked here either.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use base64::Engine as _;

/// Whether `text` has the form `name`.
pub(super) fn fits(name: &str, text: &str) -> bool {
    match name {
        "date" => jiff::civil::Date::strptime("%Y-%m-%d", text).is_ok(),
        "date-time" | "datetime" => is_date_time(text),
        "duration" => crate::values::Duration::from_str(text).is_ok(),
        "ipv4" => Ipv4Addr::from_str(text).is_ok(),
        "ipv6" => Ipv6Addr::from_str(text).is_ok(),
        "cidr" => is_cidr(text),
        "mac" => is_mac(text),
        "uuid" | "uuid3" | "uuid4" | "uuid5" => is_uuid(name, text),
        "byte" => base64::engine::general_purpose::STANDARD.decode(text).is_ok(),
        "uri" => text.contains(':') && !text.contains(char::is_whitespace),
        "email" => {
            text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty())
        }
        "hostname" => !text.is_empty() && text.split('.').all(is_dns_label),
        "hexcolor" => text.strip_prefix('#').is_some_and(|digits| {
            matches!(digits.len(), 3 | 6) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        }),
        _ => true,
    }
}

/// RFC 3339 with a zone, as in `2024-01-31T12:00:00Z`.
fn is_date_time(text: &str) -> bool {
    text.as_bytes().get(10).is_some_and(|separator| matches!(separator, b'T' | b't'))
        && jiff::Timestamp::from_str(text).is_ok()
}

fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let Ok(address) = IpAddr::from_str(address) else { return false };
    let limit = if address.is_ipv4() { 32 } else { 128 };
    length.parse::<u8>().is_ok_and(|length| length <= limit) && !length.starts_with('+')
}

fn is_mac(text: &str) -> bool {
    let parts: Vec<&str> = text.split([':', '-']).collect();
    parts.len() == 6
        && parts
            .iter()
            .all(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_uuid(name: &str, text: &str) -> bool {
    let plain: String = text.chars().filter(|&c| c != '-').collect();
    let version = name.strip_prefix("uuid").and_then(|version| version.chars().next());
    plain.len() == 32
        && plain.bytes().all(|byte| byte.is_ascii_hexdigit())
        && version.is_none_or(|version| plain[12..].starts_with(version))
}

fn is_dns_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_the_form_or_not() {
        for (name, text, expect) in [
            ("date", "2024-01-31", true),
            ("date", "2024-1-31x", false),
            ("date-time", "2024-01-31T12:00:00Z", true),
            ("date-time", "2024-01-31T12:00:00.5+01:00", true),
            ("date-time", "2024-01-31 12:00:00Z", false),
            ("date-time", "2024-01-31", false),
            ("duration", "1m30s", true),
            ("duration", "soon", false),
            ("ipv4", "10.0.0.1", true),
            ("ipv4", "10.0.0", false),
            ("ipv6", "::1", true),
            ("cidr", "10.0.0.0/8", true),
            ("cidr", "10.0.0.0/33", false),
            ("cidr", "10.0.0.0", false),
            ("mac", "00:1b:63:84:45:e6", true),
            ("uuid", "550e8400-e29b-41d4-a716-446655440000", true),
            ("uuid4", "550e8400-e29b-41d4-a716-446655440000", true),
            ("uuid3", "550e8400-e29b-41d4-a716-446655440000", false),
            ("byte", "aGk=", true),
            ("byte", "a", false),
            ("hostname", "a-b.example", true),
            ("hostname", "-a", false),
            ("email", "a@b", true),
            ("no-such-form", "x", true),
        ] {
            assert_eq!(fits(name, text), expect, "{name} {text}");
        }
    }
}
