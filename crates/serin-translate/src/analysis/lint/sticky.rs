//! SRN0404 and SRN0405: sessions that are kept by a cookie, or should be.

use std::collections::BTreeSet;

use serin_api::networking::{HttpRoute, VirtualService};
use serin_api::values::StringMatch;
use serin_api::{FieldPath, Object};
use serin_re2::Regex;

use super::{codes, matches, rules, written};
use crate::analysis::{Input, Report};

/// A cookie that a rule's response sets: its name and value.
fn set_cookies<'r>(at: &FieldPath, rule: &'r HttpRoute) -> Vec<(FieldPath, &'r str, &'r str)> {
    let mut found = Vec::new();
    let of_rule = rule.headers.iter().map(|headers| (at.key("headers"), headers));
    let destinations = rule.route.iter().enumerate();
    let of_destinations = destinations.filter_map(|(index, route)| {
        Some((at.key("route").index(index).key("headers"), route.headers.as_ref()?))
    });
    for (at, headers) in of_rule.chain(of_destinations) {
        let Some(response) = &headers.response else { continue };
        for (operation, values) in [("add", &response.add), ("set", &response.set)] {
            for (name, value) in
                values.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"))
            {
                let pair = value.split(';').next().unwrap_or_default();
                if let Some((cookie, content)) = pair.split_once('=') {
                    found.push((
                        at.key("response").key(operation).key(name),
                        cookie.trim(),
                        content.trim(),
                    ));
                }
            }
        }
    }
    found
}

/// Whether a cookie ends with this response rather than begins.
fn expires(rule: &HttpRoute, cookie: &str) -> bool {
    let gone = |headers: &serin_api::networking::Headers| {
        let response = headers.response.iter().flat_map(|it| it.add.iter().chain(&it.set));
        response.filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")).any(|(_, value)| {
            let lower = value.to_ascii_lowercase().replace(' ', "");
            value.starts_with(cookie)
                && (lower.contains("max-age=-") || lower.contains("max-age=0"))
        })
    };
    rule.headers
        .iter()
        .chain(rule.route.iter().filter_map(|route| route.headers.as_ref()))
        .any(gone)
}

fn cookie_matches(virtual_service: &VirtualService) -> Vec<(FieldPath, &StringMatch)> {
    let entries =
        rules(virtual_service).flat_map(|(at, rule)| matches(&at, rule).collect::<Vec<_>>());
    let cookies = entries.flat_map(|(at, entry)| {
        let headers = entry.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("cookie"));
        headers.map(|(name, value)| (at.key("headers").key(name), value)).collect::<Vec<_>>()
    });
    cookies.collect()
}

/// A rule sets a cookie that no rule of the VirtualService reads: who was placed before is placed anew with each request.
pub(in crate::analysis) fn missing_sticky_rules(input: Input<'_>, report: &mut Report) {
    for virtual_service in written(input) {
        let read = cookie_matches(&virtual_service.spec);
        for (at, rule) in rules(&virtual_service.spec) {
            for (field, cookie, value) in set_cookies(&at, rule) {
                let header = format!("{cookie}={value}");
                if expires(rule, cookie)
                    || read.iter().any(|(_, condition)| holds(condition, &header))
                {
                    continue;
                }
                // Without other destinations there is nothing to be kept from.
                if rule.route.len() < 2 {
                    continue;
                }
                let text = format!(
                    "this sets cookie {cookie} to keep sessions where they are, but no rule reads it: each request is drawn anew, \
                     and sessions fall back to the other version"
                );
                let help = format!(
                    "put a rule before this one with `match: [{{headers: {{cookie: {{regex: \"(.*; ?)?{cookie}={value}(;.*)?\"}}}}}}]`"
                );
                report.add(virtual_service, field, codes::NOT_STICKY.message(text).help(help));
            }
        }
    }
}

fn holds(condition: &StringMatch, header: &str) -> bool {
    match condition {
        StringMatch::Empty => true,
        StringMatch::Exact(text) => text == header,
        StringMatch::Prefix(text) => header.starts_with(text.as_str()),
        StringMatch::Regex(pattern) => {
            Regex::new(pattern).is_ok_and(|regex| regex.is_full_match(header.as_bytes()))
        }
    }
}

/// An expression for a cookie that also takes other cookies: tried out with names and values that only look like it.
pub(in crate::analysis) fn cookie_expressions(input: Input<'_>, report: &mut Report) {
    for virtual_service in written(input) {
        for (at, condition) in cookie_matches(&virtual_service.spec) {
            let StringMatch::Regex(pattern) = condition else { continue };
            let Ok(regex) = Regex::new(pattern) else { continue };
            let Some(other) = look_alike(virtual_service, pattern, &regex) else { continue };
            let text = format!("the expression also matches other cookies, for example `{other}`");
            let help = cookie_of(pattern).map_or_else(
                || "begin with `(.*; ?)?NAME=` and end with `(;.*)?`".to_owned(),
                |(name, value)| format!("write `(.*; ?)?{name}={value}(;.*)?`"),
            );
            report.add(
                virtual_service,
                at.key("regex"),
                codes::LOOSE_COOKIE.message(text).help(help),
            );
        }
    }
}

/// A header that the expression matches though it does not have the cookie that the expression is for.
fn look_alike(
    virtual_service: &Object<VirtualService>,
    pattern: &str,
    regex: &Regex,
) -> Option<String> {
    let mut meant: BTreeSet<(String, String)> = BTreeSet::new();
    for (at, rule) in rules(&virtual_service.spec) {
        let cookies = set_cookies(&at, rule);
        meant.extend(
            cookies.into_iter().map(|(_, name, value)| (name.to_owned(), value.to_owned())),
        );
    }
    meant.extend(cookie_of(pattern));
    let tries = meant.into_iter().flat_map(|(name, value)| {
        [
            format!("not-{name}={value}"),
            format!("{name}={value}-not"),
            format!("{name}=other; also={value}"),
            format!("{name}-old={value}"),
        ]
    });
    tries.into_iter().find(|header| regex.is_full_match(header.as_bytes()))
}

/// The cookie an expression seems to be for: `.*user=jason.*` is for `user=jason`, `.*a.*B.*` for `a=B`.
fn cookie_of(pattern: &str) -> Option<(String, String)> {
    let is_plain = |text: &str| {
        !text.is_empty()
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    let words: Vec<&str> = pattern
        .split([';', '^', '$', '(', ')', '?', ' ', '|'])
        .flat_map(|part| part.split(".*"))
        .collect();
    let pair = words.iter().find_map(|word| {
        word.split_once('=').filter(|(name, value)| is_plain(name) && is_plain(value))
    });
    let plain: Vec<&str> = words.iter().copied().filter(|word| is_plain(word)).collect();
    match (pair, plain.as_slice()) {
        (Some((name, value)), _) => Some((name.to_owned(), value.to_owned())),
        (None, [name, value]) => Some(((*name).to_owned(), (*value).to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_of_an_expression_is_guessed() {
        let cookie = |name: &str, value: &str| Some((name.to_owned(), value.to_owned()));
        assert_eq!(
            cookie_of(".*reviews-cookie.*REVIRES-V2.*"),
            cookie("reviews-cookie", "REVIRES-V2")
        );
        assert_eq!(cookie_of("^(.*?;)?(user=jason)(;.*)?$"), cookie("user", "jason"));
        assert_eq!(cookie_of(".*[0-9]+.*"), None);
    }
}
