//! Which tokens a workload takes: what several RequestAuthentications say together (Istio's `convertToEnvoyJwtConfig`).

use std::sync::Arc;

use serin_api::Object;
use serin_api::security::{JwtRule, RequestAuthentication};
use serin_routing::authentication::{Authentication, Issuer, KeySet, KeySource, Place};

use crate::snapshot::Objects;

/// The addresses of keys that policies name, and that somebody has to fetch.
pub fn key_sources(objects: &Objects) -> Vec<KeySource> {
    let rules = objects.request_authentications.iter().flat_map(|it| &it.spec.jwt_rules);
    let mut sources: Vec<KeySource> =
        rules.map(source).filter(|it| !matches!(it, KeySource::Given(_))).collect();
    sources.sort_by(|one, other| address(one).cmp(&address(other)));
    sources.dedup();
    sources
}

fn address(source: &KeySource) -> (bool, &str) {
    match source {
        KeySource::Given(_) => (false, ""),
        KeySource::At(url) => (false, url),
        KeySource::Discovered(issuer) => (true, issuer),
    }
}

/// What the policies of a workload say; `None` if there is none.
pub(crate) fn authentication<'p>(
    policies: impl Iterator<Item = &'p Object<RequestAuthentication>>,
) -> Option<Arc<Authentication>> {
    let mut rules: Vec<&JwtRule> = policies.flat_map(|it| &it.spec.jwt_rules).collect();
    rules.sort_by_key(|it| it.issuer.as_str());
    let issuers: Vec<Issuer> = rules.into_iter().map(issuer).collect();
    (!issuers.is_empty()).then(|| Arc::new(Authentication { issuers }))
}

fn issuer(rule: &JwtRule) -> Issuer {
    let texts = |all: &[String]| all.iter().map(|it| it.as_str().into()).collect();
    let claim_headers = rule.output_claim_to_headers.iter().map(|it| {
        let path = it.claim.split('.').map(Arc::from).collect();
        (it.header.to_ascii_lowercase().into(), path)
    });
    let payload_header = rule.output_payload_to_header.to_ascii_lowercase();
    Issuer {
        name: rule.issuer.as_str().into(),
        audiences: texts(&rule.audiences),
        keys: source(rule),
        places: places(rule),
        forwards: rule.forward_original_token,
        payload_header: (!payload_header.is_empty()).then(|| payload_header.into()),
        claim_headers: claim_headers.collect(),
        lists: texts(&rule.space_delimited_claims),
    }
}

fn places(rule: &JwtRule) -> Vec<Place> {
    let headers = rule
        .from_headers
        .iter()
        .map(|it| Place::Header(it.name.to_ascii_lowercase().into(), it.prefix.as_str().into()));
    let parameters = rule.from_params.iter().map(|it| Place::Parameter(it.as_str().into()));
    let cookies = rule.from_cookies.iter().map(|it| Place::Cookie(it.as_str().into()));
    let places: Vec<Place> = headers.chain(parameters).chain(cookies).collect();
    if places.is_empty() { Place::usual() } else { places }
}

fn source(rule: &JwtRule) -> KeySource {
    if !rule.jwks.is_empty() {
        // One that cannot be read fits no token.
        return KeySource::Given(Arc::new(KeySet::parse(rule.jwks.as_bytes()).unwrap_or_default()));
    }
    if rule.jwks_uri.is_empty() {
        KeySource::Discovered(rule.issuer.as_str().into())
    } else {
        KeySource::At(rule.jwks_uri.as_str().into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn made(rules: Value) -> Vec<Issuer> {
        let object =
            json!({"metadata": {"name": "p", "namespace": "a"}, "spec": {"jwtRules": rules}});
        let object: Object<RequestAuthentication> = Object::from_value(&object).unwrap();
        authentication(std::iter::once(&object)).map_or_else(Vec::new, |it| it.issuers.clone())
    }

    #[test]
    fn issuers_go_by_their_names_and_tokens_are_looked_for_where_it_is_said() {
        let issuers = made(json!([
            {"issuer": "b", "jwksUri": "https://b.example/keys", "fromParams": ["jwt"], "fromCookies": ["session"],
             "fromHeaders": [{"name": "X-JWT", "prefix": "JWT "}], "forwardOriginalToken": true},
            {"issuer": "a", "audiences": ["x"], "outputPayloadToHeader": "X-Payload",
             "outputClaimToHeaders": [{"header": "X-Sub", "claim": "in.sub"}]},
        ]));
        let [one, other] = issuers.as_slice() else { panic!("{issuers:?}") };
        assert_eq!((&*one.name, one.places.clone()), ("a", Place::usual()));
        assert_eq!(one.keys, KeySource::Discovered("a".into()));
        assert_eq!(one.payload_header.as_deref(), Some("x-payload"));
        assert_eq!(one.claim_headers, [("x-sub".into(), vec!["in".into(), "sub".into()])]);
        assert!(!one.forwards && other.forwards);
        assert_eq!(other.keys, KeySource::At("https://b.example/keys".into()));
        let places = [
            Place::Header("x-jwt".into(), "JWT ".into()),
            Place::Parameter("jwt".into()),
            Place::Cookie("session".into()),
        ];
        assert_eq!(other.places, places);
        assert!(made(json!([])).is_empty());
    }

    #[test]
    fn keys_are_read_where_they_stand_and_each_address_is_fetched_once() {
        let keys = r#"{"keys": [{"kty": "oct", "k": "AQAB"}]}"#;
        let set = Arc::new(KeySet::parse(keys.as_bytes()).unwrap());
        assert_eq!(made(json!([{"issuer": "a", "jwks": keys}]))[0].keys, KeySource::Given(set));
        assert_eq!(made(json!([{"issuer": "a", "jwks": "{"}]))[0].keys, KeySource::default());
        let mut objects = Objects::default();
        for uri in ["https://k.example", "https://k.example"] {
            let rules = json!([{"issuer": "a", "jwksUri": uri}, {"issuer": "b", "jwks": keys}]);
            let object =
                json!({"metadata": {"name": "p", "namespace": "a"}, "spec": {"jwtRules": rules}});
            objects.request_authentications.push(Arc::new(Object::from_value(&object).unwrap()));
        }
        assert_eq!(key_sources(&objects), [KeySource::At("https://k.example".into())]);
    }
}
