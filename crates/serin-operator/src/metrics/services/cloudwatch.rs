//! Amazon CloudWatch: `GetMetricData` as JSON, signed with version 4 of AWS' signatures.

use aws_lc_rs::hmac;
use serde_json::{Value, json};
use serin_rollout::Time;
use sha2::{Digest as _, Sha256};

use super::{Asked, Call, PATIENCE, Source, parsed, posted, secret};

/// The operation, as AWS' JSON protocol names it.
const OPERATION: &str = "GraniteServiceVersion20100801.GetMetricData";
/// So many points are asked for at most.
const POINTS: u32 = 20;
/// The service in signatures.
const SERVICE: &str = "monitoring";

/// Who asks.
struct Keys {
    id: String,
    secret: String,
    /// Of those who ask for a while only.
    token: Option<String>,
}

impl Source<'_> {
    /// The query is a list of `MetricDataQueries`; the newest value of the first result counts.
    pub(super) fn cloudwatch(&self, text: &str) -> Result<Asked, String> {
        let queries: Value = serde_json::from_str(text)
            .map_err(|error| format!("the query is no list of MetricDataQueries: {error}"))?;
        let [from, to] = self.wide().map(|it| it / 1000);
        let body = json!({
            "StartTime": from, "EndTime": to, "MaxDatapoints": POINTS, "MetricDataQueries": queries,
        });
        let read = |body: &[u8]| {
            let body = parsed(body)?;
            let value = body.pointer("/MetricDataResults/0/Values/0");
            Ok(value.and_then(Value::as_f64))
        };
        Ok(Asked { call: self.signed(&body)?, read, scale: 1.0 })
    }

    fn signed(&self, body: &Value) -> Result<Call, String> {
        let region = self.provider.region.as_str();
        if region.is_empty() {
            return Err("cloudwatch is asked in a region: set spec.provider.region".to_owned());
        }
        let country = if region.starts_with("cn-") { ".cn" } else { "" };
        let usual = format!("https://{SERVICE}.{region}.amazonaws.com{country}");
        let mut call = posted(format!("{}/", self.address(&usual)), &body.to_string(), PATIENCE);
        call.headers =
            [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", OPERATION)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec();
        let keys = Keys {
            id: self.key("aws_access_key_id")?,
            secret: self.key("aws_secret_access_key")?,
            token: self.secret.and_then(|it| secret::text(it, "aws_session_token")),
        };
        sign(&mut call, &keys, [region, SERVICE], self.now)?;
        Ok(call)
    }
}

/// Signs a call without parameters for a service in a region.
fn sign(
    call: &mut Call,
    keys: &Keys,
    [region, service]: [&str; 2],
    now: Time,
) -> Result<(), String> {
    let uri: http::Uri = call.url.parse().map_err(|_| format!("{:?} is no address", call.url))?;
    let at = jiff::Timestamp::from_millisecond(now.0).map_err(|error| error.to_string())?;
    let at = at.strftime("%Y%m%dT%H%M%SZ").to_string();
    let day = at.get(..8).unwrap_or_default();
    call.headers.push(("x-amz-date".to_owned(), at.clone()));
    call.headers
        .extend(keys.token.iter().map(|it| ("x-amz-security-token".to_owned(), it.clone())));
    let mut signed = call.headers.clone();
    let host = uri.authority().map_or("", |it| it.as_str());
    signed.push(("host".to_owned(), host.to_owned()));
    signed.sort();
    let names: Vec<&str> = signed.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(";");
    let lines: String = signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let request =
        format!("{}\n{}\n\n{lines}\n{names}\n{}", call.method, uri.path(), hash(&call.body));
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{}", hash(request.as_bytes()));
    let mut key = format!("AWS4{}", keys.secret).into_bytes();
    for part in [day, region, service, "aws4_request"] {
        key = mac(&key, part);
    }
    let signature = hex(&mac(&key, &text));
    let Keys { id, .. } = keys;
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}"
    );
    call.headers.push(("authorization".to_owned(), authorization));
    Ok(())
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The request `post-vanilla` of AWS' suite of signatures.
    #[test]
    fn a_signature_is_that_of_the_published_suite() {
        let mut call = posted("https://example.amazonaws.com/".to_owned(), "", PATIENCE);
        let keys = Keys {
            id: "AKIDEXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            token: None,
        };
        sign(&mut call, &keys, ["us-east-1", "service"], Time(1_440_938_160_000)).unwrap();
        assert_eq!(
            call.headers.last().unwrap().1,
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, \
             Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
        );
    }
}
