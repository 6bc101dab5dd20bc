use base64::Engine as _;
use proptest::prelude::*;
use serde_json::json;

use super::token::BASE64URL;
use super::*;
use crate::request::RequestParts;

/// Keys of names are `good` at any source but one, and whoever signs writes the key's name.
struct World;

impl Checks for World {
    fn now(&self) -> u64 {
        1_000_000
    }

    fn fetched(&self, source: &KeySource) -> Option<Arc<KeySet>> {
        match source {
            KeySource::At(url) if url.contains("nowhere") => None,
            _ => Some(keys(&["fetched"])),
        }
    }

    fn has_signed(&self, key: &Material, _: Algorithm, _: &[u8], signature: &[u8]) -> bool {
        *key == Material::Secret(signature.to_vec())
    }
}

fn encoded(value: &Value) -> String {
    BASE64URL.encode(value.to_string())
}

fn keys(names: &[&str]) -> Arc<KeySet> {
    let keys =
        names.iter().map(|name| json!({"kty": "oct", "kid": name, "k": BASE64URL.encode(name)}));
    let set = json!({"keys": keys.collect::<Vec<_>>()});
    Arc::new(KeySet::parse(set.to_string().as_bytes()).unwrap())
}

/// A token that the owner of a key has signed.
fn token(key: &str, claims: &Value) -> String {
    let head = json!({"alg": "HS256", "kid": key});
    format!("{}.{}.{}", encoded(&head), encoded(claims), BASE64URL.encode(key))
}

fn issuer(name: &str, key: &str) -> Issuer {
    let keys = KeySource::Given(keys(&[key]));
    Issuer { name: name.into(), keys, places: Place::usual(), ..Issuer::default() }
}

fn bearing(token: &str) -> RequestParts {
    RequestParts::get("a", "/").with_header("authorization", format!("Bearer {token}"))
}

#[track_caller]
fn check(
    issuers: &[Issuer],
    request: &RequestParts,
    expect: Result<Option<&str>, &str>,
) -> Checked {
    let authentication = Authentication { issuers: issuers.to_vec() };
    let found = authentication.check(request, &World);
    let principal = found.as_ref().map(|it| it.token.as_ref().and_then(Token::principal));
    assert_eq!(principal.map_err(|it| it.text()), expect);
    found.unwrap_or_default()
}

#[test]
fn a_request_without_a_token_passes_and_one_with_a_bad_one_does_not() {
    let shop = [issuer("shop", "k")];
    let claims = json!({"iss": "shop", "sub": "ann"});
    check(&shop, &RequestParts::get("a", "/"), Ok(None));
    check(&shop, &bearing(&token("k", &claims)), Ok(Some("shop/ann")));
    check(&shop, &bearing("nonsense"), Err(Refusal::Form.text()));
    check(&shop, &bearing("a.b.c"), Err("Jwt header is an invalid Base64url encoded"));
    let other = json!({"iss": "other", "sub": "ann"});
    check(&shop, &bearing(&token("k", &other)), Err("Jwt issuer is not configured"));
    let unknown = "Jwks doesn't have key to match kid or alg from Jwt";
    check(&shop, &bearing(&token("l", &claims)), Err(unknown));
    let forged = token("k", &claims).replace(&BASE64URL.encode("k"), "eHh4");
    check(&shop, &bearing(&forged), Err("Jwt verification fails"));
    // What is no such header is no token.
    let basic = RequestParts::get("a", "/").with_header("authorization", "Basic YTpi");
    check(&shop, &basic, Ok(None));
    let anonymous = bearing(&token("k", &json!({"iss": "shop"})));
    check(&shop, &anonymous, Ok(None));
}

#[test]
fn a_token_counts_from_its_beginning_to_its_end_and_a_minute_more() {
    let shop = [issuer("shop", "k")];
    let with = |name: &str, value: Value| {
        bearing(&token("k", &json!({"iss": "shop", "sub": "s", name: value})))
    };
    check(&shop, &with("exp", json!(999_940)), Ok(Some("shop/s")));
    check(&shop, &with("exp", json!(999_939)), Err("Jwt is expired"));
    check(&shop, &with("exp", json!(1_000_000.5)), Ok(Some("shop/s")));
    check(&shop, &with("nbf", json!(1_000_060)), Ok(Some("shop/s")));
    check(&shop, &with("nbf", json!(1_000_061)), Err("Jwt not yet valid"));
    check(&shop, &with("exp", json!("soon")), Err("Jwt payload [exp] field is not an integer"));
}

#[test]
fn audiences_are_compared_without_scheme_and_last_slash() {
    let shop = [Issuer { audiences: vec!["https://shop.example/".into()], ..issuer("shop", "k") }];
    let with = |aud: Value| bearing(&token("k", &json!({"iss": "shop", "sub": "s", "aud": aud})));
    check(&shop, &with(json!("shop.example")), Ok(Some("shop/s")));
    check(&shop, &with(json!(["x", "http://shop.example"])), Ok(Some("shop/s")));
    check(&shop, &with(json!([])), Err("Audiences in Jwt are not allowed"));
    check(&shop, &with(json!("cellar.example")), Err("Audiences in Jwt are not allowed"));
    check(&shop, &with(json!(7)), Err("Jwt payload [aud] field is not a string or string list"));
}

#[test]
fn one_issuer_that_is_content_is_enough_and_else_the_one_that_knows_the_token_says_why() {
    let both = [issuer("one", "1"), issuer("two", "2")];
    let of =
        |name: &str, key: &str, exp: u64| token(key, &json!({"iss": name, "sub": "s", "exp": exp}));
    check(&both, &bearing(&of("two", "2", 2_000_000)), Ok(Some("two/s")));
    check(&both, &bearing(&of("two", "2", 5)), Err("Jwt is expired"));
    check(&both, &bearing(&of("one", "1", 5)), Err("Jwt is expired"));
    check(&both, &bearing(&of("three", "3", 5)), Err("Jwt issuer is not configured"));
    // At the places of one issuer all tokens must be good.
    let mixed = bearing(&of("one", "1", 2_000_000));
    let mixed = RequestParts { target: format!("/?access_token={}", of("one", "1", 5)), ..mixed };
    check(&both, &mixed, Err("Jwt is expired"));
    let anyone = [Issuer { name: "".into(), ..issuer("", "1") }];
    check(&anyone, &bearing(&of("whoever", "1", 2_000_000)), Ok(Some("whoever/s")));
}

#[test]
fn tokens_are_found_in_headers_parameters_and_cookies() {
    let good = token("k", &json!({"iss": "shop", "sub": "s"}));
    let at = |place: Place| [Issuer { places: vec![place], ..issuer("shop", "k") }];
    let found = Ok(Some("shop/s"));
    let get = || RequestParts::get("a", "/");
    let header = at(Place::Header("x-jwt".into(), "".into()));
    check(&header, &get().with_header("x-jwt", &good), found);
    check(&header, &bearing(&good), Ok(None));
    let prefixed = at(Place::Header("x-jwt".into(), "token=".into()));
    check(&prefixed, &get().with_header("x-jwt", format!("a=b; token=\"{good}")), found);
    let more = get().with_header("x-jwt", format!("token={good},"));
    check(&prefixed, &more, Err("Jwt signature is an invalid Base64url encoded"));
    let no_token =
        Err("Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections");
    let parameter = at(Place::Parameter("jwt".into()));
    check(&parameter, &RequestParts::get("a", &format!("/?a=b&jwt={good}")), found);
    let written = good.replace('.', "%2E");
    check(&parameter, &RequestParts::get("a", &format!("/?jwt={written}&a=b")), found);
    check(&parameter, &RequestParts::get("a", "/?jwt="), no_token);
    let in_cookie = at(Place::Cookie("session".into()));
    check(&in_cookie, &get().with_header("cookie", format!("a=b; session={good}")), found);
    check(&in_cookie, &get().with_header("cookie", "session=; a=b"), no_token);
    check(
        &[issuer("shop", "k")],
        &RequestParts::get("a", &format!("/?access_token={good}")),
        found,
    );
}

#[test]
fn what_is_passed_on_is_what_the_issuer_says_and_nothing_that_a_client_made_up() {
    let path = |text: &str| text.split('.').map(Arc::from).collect::<Vec<Arc<str>>>();
    let claims = json!({"iss": "shop", "sub": "s", "n": 7, "is": true, "list": ["a"], "in": {"side": "x"}, "bad": "a\r\nb"});
    let names = ["sub", "n", "is", "list", "in.side", "none", "bad"];
    let claim_headers = names.map(|name| (Arc::from(format!("x-{name}")), path(name)));
    let shop = Issuer {
        payload_header: Some("x-payload".into()),
        claim_headers: claim_headers.to_vec(),
        ..issuer("shop", "k")
    };
    let text = token("k", &claims);
    let request = bearing(&text).with_header("x-payload", "forged").with_header("x-none", "forged");
    let checked = check(std::slice::from_ref(&shop), &request, Ok(Some("shop/s")));
    let removed: Vec<&str> = checked.removed.iter().map(|it| &**it).collect();
    assert_eq!(removed, ["x-payload", "x-none", "authorization"]);
    let added = checked
        .added
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)));
    let payload = format!("x-payload: {}", encoded(&claims));
    let expect = [&payload, "x-sub: s", "x-n: 7", "x-is: true", "x-list: WyJhIl0=", "x-in.side: x"];
    assert_eq!(added.collect::<Vec<_>>(), expect);
    let forwarding = Issuer { forwards: true, ..issuer("shop", "k") };
    assert!(check(&[forwarding], &bearing(&text), Ok(Some("shop/s"))).changes_nothing());
    // Also where nobody is known.
    let nobody = RequestParts::get("a", "/").with_header("x-payload", "forged");
    assert_eq!(check(&[shop], &nobody, Ok(None)).removed, ["x-payload".into()]);
}

#[test]
fn keys_that_are_elsewhere_count_once_they_are_there() {
    let at = |source| [Issuer { keys: source, ..issuer("shop", "k") }];
    let text = bearing(&token("fetched", &json!({"iss": "shop", "sub": "s"})));
    check(&at(KeySource::At("https://keys.example".into())), &text, Ok(Some("shop/s")));
    check(&at(KeySource::Discovered("https://shop.example".into())), &text, Ok(Some("shop/s")));
    let nowhere = at(KeySource::At("https://nowhere.example".into()));
    check(&nowhere, &text, Err("Jwks remote fetch is failed"));
    check(&nowhere, &RequestParts::get("a", "/"), Ok(None));
}

#[test]
fn a_browser_that_asks_whether_it_may_ask_needs_no_token() {
    let preflight =
        bearing("nonsense").with_method("OPTIONS").with_header("origin", "https://a.example");
    let shop = [issuer("shop", "k")];
    check(&shop, &preflight, Err(Refusal::Form.text()));
    check(&shop, &preflight.with_header("access-control-request-method", "GET"), Ok(None));
}

#[test]
fn claims_are_texts_or_lists_and_scopes_are_lists() {
    let claims = json!({"iss": "i", "sub": "s", "scope": "read write", "groups": ["a", "b"], "in": {"side": "x"}, "n": 7, "own": "p q"});
    let token = Token::new(claims, &["own".into()]);
    let has = |path: &str, value: &str| {
        let path: Vec<Arc<str>> = path.split('.').map(Arc::from).collect();
        token.any_claim(&path, &mut |text| text == value.as_bytes())
    };
    assert!(has("scope", "write") && !has("scope", "read write"));
    assert!(has("own", "q") && has("groups", "b") && has("in.side", "x") && has("sub", "s"));
    assert!(!has("n", "7") && !has("in", "x") && !has("none", ""));
}

#[test]
fn sets_of_keys_are_read_and_what_is_none_says_so() {
    let check = |text: &str, expect: Result<&[&str], &str>| {
        let found = KeySet::parse(text.as_bytes());
        let shown = found.as_ref().map(|it| serde_json::to_value(it).unwrap());
        let expect = expect.map(|it| json!(it));
        assert_eq!(shown.map_err(ToString::to_string), expect.map_err(str::to_owned));
    };
    let rsa = r#"{"kty": "RSA", "kid": "a", "n": "AQAB", "e": "AQAB"}"#;
    let ec = r#"{"kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ"}"#;
    let unknown = r#"{"kty": "EC", "crv": "P-1", "x": "AQ", "y": "AQ"}"#;
    check(&format!(r#"{{"keys": [{rsa}, {ec}, {unknown}]}}"#), Ok(&["a RSA", "- EC"]));
    check("{}", Err("the key set has no list `keys`"));
    check("{", Err("the key set is no JSON (line 1, column 1)"));
    assert_eq!(KeySet::parse(br#"{"keys": []}"#), Err(KeyError::NoneUsable));
}

proptest! {
    #[test]
    fn no_text_is_too_odd_to_be_refused(text in "[A-Za-z0-9_.=-]{0,200}", byte: u8) {
        let mut bytes = text.into_bytes();
        bytes.push(byte);
        prop_assert!(Parsed::read(&bytes).is_err());
    }
}
