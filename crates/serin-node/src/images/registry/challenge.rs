//! What a registry asks for: `www-authenticate` (RFC 9110 §11.6.1, and the token scheme of the distribution protocol).

/// How a registry wants to know who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A user and a password.
    Basic,
    /// A token that somebody else gives.
    Bearer {
        /// Who gives it.
        realm: String,
        /// For whom.
        service: String,
        /// For what.
        scope: String,
    },
}

impl Challenge {
    /// Reads a challenge; `None` for schemes that are not known.
    pub(super) fn parse(written: &str) -> Option<Self> {
        let (scheme, rest) = written.trim().split_once(' ').unwrap_or((written.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let value = |wanted: &str| {
            let mut all = parameters(rest);
            all.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
        };
        Some(Self::Bearer {
            realm: value("realm")?,
            service: value("service").unwrap_or_default(),
            scope: value("scope").unwrap_or_default(),
        })
    }
}

/// `name="value"` or `name=value`, separated by commas.
fn parameters(text: &str) -> impl Iterator<Item = (&str, String)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([' ', ',']);
        let (name, after) = rest.split_once('=')?;
        if let Some(quoted) = after.strip_prefix('"') {
            let mut value = String::new();
            let mut letters = quoted.char_indices();
            while let Some((at, letter)) = letters.next() {
                match letter {
                    '"' => {
                        rest = &quoted[at + 1..];
                        return Some((name.trim(), value));
                    }
                    '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
                    _ => value.push(letter),
                }
            }
            return None;
        }
        let end = after.find(',').unwrap_or(after.len());
        rest = &after[end..];
        Some((name.trim(), after[..end].trim().to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_in_their_forms() {
        let bearer = |realm: &str, service: &str, scope: &str| {
            let text = |text: &str| text.to_owned();
            Some(Challenge::Bearer {
                realm: text(realm),
                service: text(service),
                scope: text(scope),
            })
        };
        let check = |written: &str, expect: Option<Challenge>| {
            assert_eq!(Challenge::parse(written), expect, "{written}");
        };
        check("Basic realm=\"x\"", Some(Challenge::Basic));
        check("Basic", Some(Challenge::Basic));
        check("Negotiate", None);
        check(
            "Bearer realm=\"https://a.example/token\",service=\"r.example\",scope=\"repository:a/b:pull,push\"",
            bearer("https://a.example/token", "r.example", "repository:a/b:pull,push"),
        );
        check("bearer realm=https://a.example , service=s", bearer("https://a.example", "s", ""));
        check("Bearer service=\"s\"", None);
    }
}
