//! RequestAuthentication: which tokens requests may carry.

use crate::values::{Duration, PolicySelector, TargetRef};

resource! {
    RequestAuthentication: "security.istio.io", ["v1", "v1beta1"], "requestauthentications"
    short ["ra"]
}

message! {
    /// Tokens that are checked. A request without a token passes; one with an invalid token does not.
    #[schemars(extend("x-kubernetes-validations" = [
        {"rule": "(has(self.targetRef) ? 1 : 0) + (has(self.targetRefs) ? 1 : 0) + (has(self.selector) ? 1 : 0) <= 1", "message": "only one of targetRefs or selector can be set"},
    ]))]
    pub struct RequestAuthentication {
        /// Workloads of the namespace. Absent is all of them; in the root namespace, all of the mesh.
        pub selector: Option<PolicySelector>,
        /// Deprecated: use `targetRefs`.
        pub target_ref: Option<TargetRef>,
        /// Gateways and services that the policy is attached to.
        #[schemars(length(max = 16))]
        pub target_refs: Vec<TargetRef>,
        /// Issuers whose tokens are accepted.
        #[schemars(length(max = 4096))]
        pub jwt_rules: Vec<JwtRule>,
    }

    /// An issuer and how its tokens are found and checked.
    #[schemars(extend("x-kubernetes-validations" = [
        {"rule": "(has(self.jwksUri) ? 1 : 0) + (has(self.jwks_uri) ? 1 : 0) + (has(self.jwks) ? 1 : 0) <= 1", "message": "only one of jwks or jwksUri can be set"},
    ]))]
    pub struct JwtRule {
        /// The issuer (`iss`). May be left out with a `jwksUri`.
        #[schemars(length(min = 1))]
        pub issuer: String,
        /// Audiences (`aud`), one of which the token must have. None at all accepts any.
        #[schemars(inner(length(min = 1)))]
        pub audiences: Vec<String>,
        /// Address of the issuer's public keys. Absent asks the issuer's discovery document.
        #[schemars(length(min = 1, max = 2048), extend("x-kubernetes-validations" = [{"rule": "self.startsWith('http://') || self.startsWith('https://')", "message": "url must have scheme http:// or https://"}]))]
        #[serde(alias = "jwks_uri")]
        #[schemars(extend("x-alias" = "jwks_uri"))]
        pub jwks_uri: String,
        /// The issuer's public keys as a JSON Web Key Set.
        pub jwks: String,
        /// Headers that may hold the token. Absent, with the other places, is `Authorization: Bearer`.
        pub from_headers: Vec<JwtHeader>,
        /// Query parameters that may hold the token. Absent, with the other places, is `access_token`.
        #[schemars(inner(length(min = 1)))]
        pub from_params: Vec<String>,
        /// Cookies that may hold the token.
        #[schemars(inner(length(min = 1)))]
        pub from_cookies: Vec<String>,
        /// Header in which the verified payload is passed on, in base64url.
        pub output_payload_to_header: String,
        /// Whether the token itself is passed on.
        pub forward_original_token: bool,
        /// Claims that are passed on as headers.
        pub output_claim_to_headers: Vec<ClaimToHeader>,
        /// How long fetching the keys may take. Absent is 5 s.
        #[schemars(extend("x-positive-duration" = true))]
        pub timeout: Option<Duration>,
        /// Claims that are lists separated by spaces. Absent is `scope` and `permission`.
        #[schemars(length(max = 64), inner(length(min = 1)))]
        pub space_delimited_claims: Vec<String>,
    }

    /// A header that may hold a token.
    pub struct JwtHeader {
        /// Name.
        #[schemars(extend("x-required" = true), length(min = 1))]
        pub name: String,
        /// What stands before the token, with its blank: `Bearer `.
        pub prefix: String,
    }

    /// A claim that is passed on as a header.
    pub struct ClaimToHeader {
        /// Name of the header.
        #[schemars(extend("x-required" = true), length(min = 1), regex(pattern = r"^[-_A-Za-z0-9]+$"))]
        pub header: String,
        /// Name of the claim; nested ones with dots.
        #[schemars(extend("x-required" = true), length(min = 1))]
        pub claim: String,
    }
}
