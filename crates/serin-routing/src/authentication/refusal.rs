//! Why a token is refused, in the words of Envoy's filter (`jwt_verify_lib`), which users search for.

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not three parts with dots between.
    Form,
    /// The head is not in base64url.
    HeadEncoding,
    /// The head is no JSON.
    HeadJson,
    /// The head names no algorithm.
    NoAlgorithm,
    /// An algorithm that is not known.
    UnknownAlgorithm,
    /// The key's name is no text.
    KeyName,
    /// The payload is not in base64url.
    PayloadEncoding,
    /// The payload is no JSON.
    PayloadJson,
    /// `iss` is no text.
    Issuer,
    /// `sub` is no text.
    Subject,
    /// `aud` is no text, and no list of texts.
    Audience,
    /// `nbf` is no number.
    NotBefore,
    /// `exp` is no number.
    Expires,
    /// The signature is not in base64url.
    SignatureEncoding,
    /// Nobody takes this issuer's tokens.
    UnknownIssuer,
    /// `nbf` is still to come.
    NotYetValid,
    /// `exp` is over.
    Expired,
    /// It is for somebody else.
    WrongAudience,
    /// The issuer's keys could not be fetched.
    NoKeys,
    /// None of the keys can have signed it.
    NoKey,
    /// None of the keys has signed it.
    NotSigned,
}

impl Refusal {
    /// The status of the answer: tokens that are for somebody else are known, but not enough.
    pub const fn status(self) -> u16 {
        if matches!(self, Self::WrongAudience) { 403 } else { 401 }
    }

    /// The answer's body.
    pub const fn text(self) -> &'static str {
        self.row().0
    }

    /// `%RESPONSE_CODE_DETAILS%`.
    pub const fn details(self) -> &'static str {
        self.row().1
    }

    const fn row(self) -> (&'static str, &'static str) {
        macro_rules! both {
            ($text:literal, $in_details:literal) => {
                ($text, concat!("jwt_authn_access_denied{", $in_details, "}"))
            };
        }
        match self {
            Self::Form => both!(
                "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
                "Jwt_is_not_in_the_form_of_Header.Payload.Signature_with_two_dots_and_3_sections"
            ),
            Self::HeadEncoding => both!(
                "Jwt header is an invalid Base64url encoded",
                "Jwt_header_is_an_invalid_Base64url_encoded"
            ),
            Self::HeadJson => {
                both!("Jwt header is an invalid JSON", "Jwt_header_is_an_invalid_JSON")
            }
            Self::NoAlgorithm => both!(
                "Jwt header [alg] field is required and must be a string",
                "Jwt_header_[alg]_field_is_required_and_must_be_a_string"
            ),
            Self::UnknownAlgorithm => {
                both!("Jwt header [alg] is not supported", "Jwt_header_[alg]_is_not_supported")
            }
            Self::KeyName => both!(
                "Jwt header [kid] field is not a string",
                "Jwt_header_[kid]_field_is_not_a_string"
            ),
            Self::PayloadEncoding => both!(
                "Jwt payload is an invalid Base64url encoded",
                "Jwt_payload_is_an_invalid_Base64url_encoded"
            ),
            Self::PayloadJson => {
                both!("Jwt payload is an invalid JSON", "Jwt_payload_is_an_invalid_JSON")
            }
            Self::Issuer => both!(
                "Jwt payload [iss] field is not a string",
                "Jwt_payload_[iss]_field_is_not_a_string"
            ),
            Self::Subject => both!(
                "Jwt payload [sub] field is not a string",
                "Jwt_payload_[sub]_field_is_not_a_string"
            ),
            Self::Audience => both!(
                "Jwt payload [aud] field is not a string or string list",
                "Jwt_payload_[aud]_field_is_not_a_string_or_string_list"
            ),
            Self::NotBefore => both!(
                "Jwt payload [nbf] field is not an integer",
                "Jwt_payload_[nbf]_field_is_not_an_integer"
            ),
            Self::Expires => both!(
                "Jwt payload [exp] field is not an integer",
                "Jwt_payload_[exp]_field_is_not_an_integer"
            ),
            Self::SignatureEncoding => both!(
                "Jwt signature is an invalid Base64url encoded",
                "Jwt_signature_is_an_invalid_Base64url_encoded"
            ),
            Self::UnknownIssuer => {
                both!("Jwt issuer is not configured", "Jwt_issuer_is_not_configured")
            }
            Self::NotYetValid => both!("Jwt not yet valid", "Jwt_not_yet_valid"),
            Self::Expired => both!("Jwt is expired", "Jwt_is_expired"),
            Self::WrongAudience => {
                both!("Audiences in Jwt are not allowed", "Audiences_in_Jwt_are_not_allowed")
            }
            Self::NoKeys => both!("Jwks remote fetch is failed", "Jwks_remote_fetch_is_failed"),
            Self::NoKey => both!(
                "Jwks doesn't have key to match kid or alg from Jwt",
                "Jwks_doesn't_have_key_to_match_kid_or_alg_from_Jwt"
            ),
            Self::NotSigned => both!("Jwt verification fails", "Jwt_verification_fails"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_the_same_in_the_answer_and_in_the_log() {
        let check = |refusal: Refusal, status: u16, text: &str| {
            assert_eq!((refusal.status(), refusal.text()), (status, text));
            let in_details = format!("jwt_authn_access_denied{{{}}}", text.replace(' ', "_"));
            assert_eq!(refusal.details(), in_details);
        };
        check(Refusal::Expired, 401, "Jwt is expired");
        check(Refusal::NotSigned, 401, "Jwt verification fails");
        check(Refusal::UnknownIssuer, 401, "Jwt issuer is not configured");
        check(Refusal::WrongAudience, 403, "Audiences in Jwt are not allowed");
        let form =
            "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections";
        check(Refusal::Form, 401, form);
        check(Refusal::NoKey, 401, "Jwks doesn't have key to match kid or alg from Jwt");
        check(Refusal::NoAlgorithm, 401, Refusal::NoAlgorithm.text());
        check(Refusal::Audience, 401, Refusal::Audience.text());
    }
}
