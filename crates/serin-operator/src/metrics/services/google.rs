//! Google Cloud Monitoring (formerly Stackdriver): queries in MQL, asked in the name of a service account.
//!
//! The account signs who it is by itself (a JSON Web Token whose audience is the service), so nobody else has to be asked first.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use serin_rollout::Time;

use super::{Asked, Call, PATIENCE, Source, number, parsed};
use crate::json;

/// The service, as an audience and where it is asked.
const SERVICE: &str = "https://monitoring.googleapis.com";
/// How long a token is good, in seconds.
const GOOD_FOR: i64 = 3600;

impl Source<'_> {
    /// The first value of the newest point of the first series.
    pub(super) fn stackdriver(&self, text: &str) -> Result<Asked, String> {
        let url = format!(
            "{}/v3/projects/{}/timeSeries:query",
            self.address(SERVICE),
            self.key("project")?
        );
        let mut call = Call::post(url, &json!({"query": text}), PATIENCE);
        let token = token(&self.key("serviceAccountKey")?, self.now)?;
        call.headers.push(("authorization".to_owned(), format!("Bearer {token}")));
        let read = |body: &[u8]| {
            let body = parsed(body)?;
            let value = body.pointer("/timeSeriesData/0/pointData/0/values/0");
            let value = value.and_then(|it| it.get("doubleValue").or(it.get("int64Value")));
            Ok(value.and_then(number))
        };
        Ok(Asked { call, read, scale: 1.0 })
    }
}

/// Who asks, signed with the key of a service account as Google gives it.
fn token(account: &str, now: Time) -> Result<String, String> {
    let wrong = |what: &str| format!("serviceAccountKey in the Secret {what}");
    let account: Value = serde_json::from_str(account).map_err(|_| wrong("is no JSON"))?;
    let [email, id, key] =
        ["client_email", "private_key_id", "private_key"].map(|it| json::text(&account, it));
    let key = PrivatePkcs8KeyDer::from_pem_slice(key.as_bytes())
        .map_err(|_| wrong("has no private_key"))?;
    let pair = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der())
        .map_err(|_| wrong("has a private_key that is no RSA key"))?;
    let begin = now.0 / 1000;
    let head = json!({"alg": "RS256", "typ": "JWT", "kid": id});
    let claims = json!({
        "iss": email, "sub": email, "aud": format!("{SERVICE}/"), "iat": begin, "exp": begin + GOOD_FOR,
    });
    let part = |value: &Value| BASE64.encode(value.to_string());
    let text = format!("{}.{}", part(&head), part(&claims));
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
        .map_err(|_| wrong("cannot sign"))?;
    Ok(format!("{text}.{}", BASE64.encode(signature)))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn a_token_says_who_asks_whom_until_when_and_its_signature_holds() {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let label = "PRIVATE KEY";
        let pem = format!(
            "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
            STANDARD.encode(der.as_ref())
        );
        let account = json!({"client_email": "a@b", "private_key_id": "7", "private_key": pem});
        let token = token(&account.to_string(), Time(1_800_000_000_000)).unwrap();
        let (text, signature) = token.rsplit_once('.').unwrap();
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key());
        public.verify(text.as_bytes(), &BASE64.decode(signature).unwrap()).unwrap();
        let claims = BASE64.decode(text.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(
            claims,
            json!({"iss": "a@b", "sub": "a@b", "aud": "https://monitoring.googleapis.com/", "iat": 1_800_000_000, "exp": 1_800_003_600})
        );
    }

    #[test]
    fn a_key_that_is_none_is_told() {
        let check =
            |account: &str, expect: &str| assert_eq!(token(account, Time(0)).unwrap_err(), expect);
        check("{", "serviceAccountKey in the Secret is no JSON");
        check("{}", "serviceAccountKey in the Secret has no private_key");
    }
}
