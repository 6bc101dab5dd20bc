//! Rules for RequestAuthentications.

use super::place::Place;
use super::{Rules, headers, jwks, numbers, selectors, url};
use crate::Meta;
use crate::security::{JwtRule, RequestAuthentication};

impl Rules for RequestAuthentication {
    fn check(&self, _: &Meta, spec: &Place<'_>) {
        let target = self.target_ref.as_ref();
        selectors::policy_scope(self.selector.as_ref(), target, &self.target_refs, spec);
        spec.key("jwtRules").each(&self.jwt_rules, jwt_rule);
    }
}

fn jwt_rule(rule: &JwtRule, at: &Place<'_>) {
    if rule.issuer.is_empty() && rule.jwks_uri.is_empty() {
        at.error("an issuer or a jwksUri is required");
    }
    if !rule.jwks_uri.is_empty() {
        match url::scheme(&rule.jwks_uri).as_deref() {
            Ok("http" | "https") => {}
            Ok(_) => {
                at.key("jwksUri").error("the address of keys must begin with http:// or https://")
            }
            Err(message) => at.key("jwksUri").error(message.clone()),
        }
    }
    if !rule.jwks.is_empty() {
        jwks::check(&rule.jwks, &at.key("jwks"));
    }
    at.key("fromHeaders").each(&rule.from_headers, |location, at| {
        if location.name.is_empty() {
            at.key("name").error("the header that holds a token needs a name");
        }
    });
    let lists = [
        ("audiences", &rule.audiences),
        ("fromParams", &rule.from_params),
        ("fromCookies", &rule.from_cookies),
        ("spaceDelimitedClaims", &rule.space_delimited_claims),
    ];
    for (field, list) in lists {
        at.key(field).each(list, |value, at| {
            if value.is_empty() {
                at.error(format!("empty values are not allowed in {field}"));
            }
        });
    }
    at.key("outputClaimToHeaders").each(&rule.output_claim_to_headers, |output, at| {
        if output.claim.is_empty() || output.header.is_empty() {
            at.error("a claim that is passed on needs both a claim and a header");
        } else {
            at.key("header").expect(headers::strict_name(&output.header));
        }
    });
    numbers::duration(rule.timeout, &at.key("timeout"));
}
