//! Cross-origin policies (Istio's `TranslateCORSPolicy`).

use std::sync::Arc;
use std::time::Duration;

use serin_api::networking::{CorsPolicy, UnmatchedPreflights};
use serin_api::values::StringMatch;
use serin_routing::model::{Cors, ValueMatch};

use super::Unusable;
use super::condition::value_match;

/// The policy that `written` asks for.
pub(super) fn cors(written: &CorsPolicy) -> Result<Cors, Unusable> {
    let allow_origins = if written.allow_origins.is_empty() {
        let exact = |origin: &String| ValueMatch::Exact(Arc::from(origin.as_str()));
        written.allow_origin.iter().map(exact).collect()
    } else {
        let conditions = written.allow_origins.iter().filter(|it| **it != StringMatch::Empty);
        conditions
            .map(value_match)
            .collect::<Result<_, _>>()
            .map_err(|error| Unusable::new("corsPolicy.allowOrigins", error))?
    };
    let join = |list: &[String]| Arc::from(list.join(","));
    Ok(Cors {
        allow_origins,
        allow_methods: join(&written.allow_methods),
        allow_headers: join(&written.allow_headers),
        expose_headers: join(&written.expose_headers),
        max_age: written.max_age.map(|age| Duration::from_secs(age.to_std().as_secs())),
        allow_credentials: written.allow_credentials,
        forward_unmatched_preflights: written.unmatched_preflights != UnmatchedPreflights::Ignore,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_joined_and_unmatched_preflights_go_on_by_default() {
        let written = CorsPolicy {
            allow_origins: vec![StringMatch::Prefix("https://a".to_owned())],
            allow_origin: vec!["https://ignored".to_owned()],
            allow_methods: vec!["GET".to_owned(), "POST".to_owned()],
            max_age: Some(serin_api::values::Duration::from_millis(1_500)),
            ..Default::default()
        };
        let made = cors(&written).unwrap();
        assert_eq!(made.allow_origins, [ValueMatch::Prefix(Arc::from("https://a"))]);
        assert_eq!(&*made.allow_methods, "GET,POST");
        assert_eq!(made.max_age, Some(Duration::from_secs(1)));
        assert!(made.forward_unmatched_preflights);
        let ignored = CorsPolicy { unmatched_preflights: UnmatchedPreflights::Ignore, ..written };
        assert!(!cors(&ignored).unwrap().forward_unmatched_preflights);
    }

    #[test]
    fn the_old_list_of_origins_is_exact() {
        let written = CorsPolicy { allow_origin: vec!["*".to_owned()], ..Default::default() };
        assert_eq!(cors(&written).unwrap().allow_origins, [ValueMatch::Exact(Arc::from("*"))]);
    }
}
