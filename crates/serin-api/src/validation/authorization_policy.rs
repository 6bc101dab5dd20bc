//! Rules for AuthorizationPolicies.

use super::place::Place;
use super::{Rules, annotations, names, selectors};
use crate::Meta;
use crate::security::{
    AuthorizationAction, AuthorizationPolicy, AuthorizationRule, Condition, Operation, Source,
};

/// What Go's `strconv.ParseBool` reads.
const BOOLEANS: [&str; 12] =
    ["1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"];

impl Rules for AuthorizationPolicy {
    fn check(&self, meta: &Meta, spec: &Place<'_>) {
        dry_run(self, meta, spec);
        let target = self.target_ref.as_ref();
        selectors::policy_scope(self.selector.as_ref(), target, &self.target_refs, spec);
        action(self, spec);
        let is_custom = self.action == AuthorizationAction::Custom;
        spec.key("rules").each(&self.rules, |rule, at| {
            self::rule(rule, at);
            if is_custom {
                custom(rule, at);
            }
            if self.action == AuthorizationAction::Deny && denies_all_tcp(rule) {
                at.warning("this DENY rule has attributes of HTTP only: it denies every connection to TCP ports. Name the ports it is for");
            }
        });
    }
}

fn dry_run(policy: &AuthorizationPolicy, meta: &Meta, spec: &Place<'_>) {
    let Some(value) = meta.annotations.get(annotations::DRY_RUN) else { return };
    if !matches!(policy.action, AuthorizationAction::Allow | AuthorizationAction::Deny) {
        spec.key("action").error(format!(
            "a dry run ({}) supports the actions ALLOW and DENY only",
            annotations::DRY_RUN
        ));
    } else if !BOOLEANS.contains(&value.as_str()) {
        spec.error(format!(
            "the annotation {} must be true or false, not {value:?}",
            annotations::DRY_RUN
        ));
    }
}

/// What an action needs and excludes.
fn action(policy: &AuthorizationPolicy, spec: &Place<'_>) {
    let action = policy.action;
    let is_custom = action == AuthorizationAction::Custom;
    if policy.rules.is_empty() && (is_custom || action == AuthorizationAction::Deny) {
        spec.key("rules").error(format!("a policy with the action {action} and no rules never applies: add an empty rule {{}} to have it apply to every request"));
    }
    let provider = policy.provider.as_ref();
    let is_named = provider.is_some_and(|provider| !provider.name.is_empty());
    if is_custom && !policy.rules.is_empty() && !is_named {
        spec.key("provider").key("name").error("the action CUSTOM needs the name of a provider");
    }
    if provider.is_some() && !is_custom {
        spec.key("provider").error(format!("a provider is for the action CUSTOM, not {action}"));
    }
}

/// A provider decides before tokens and peers are looked at.
fn custom(rule: &AuthorizationRule, at: &Place<'_>) {
    at.key("from").each(&rule.from, |from, at| {
        let Some(source) = &from.source else { return };
        let unsupported = [
            ("namespaces", &source.namespaces),
            ("notNamespaces", &source.not_namespaces),
            ("serviceAccounts", &source.service_accounts),
            ("notServiceAccounts", &source.not_service_accounts),
            ("principals", &source.principals),
            ("notPrincipals", &source.not_principals),
            ("trustDomains", &source.trust_domains),
            ("notTrustDomains", &source.not_trust_domains),
            ("requestPrincipals", &source.request_principals),
            ("notRequestPrincipals", &source.not_request_principals),
        ];
        for (field, _) in unsupported.iter().filter(|(_, values)| !values.is_empty()) {
            at.key("source")
                .key(field)
                .error(format!("{field} is not supported with the action CUSTOM"));
        }
    });
    at.key("when").each(&rule.when, |Condition { key, .. }, at| {
        let unsupported = matches!(
            key.as_str(),
            "source.namespace"
                | "source.serviceAccount"
                | "source.principal"
                | "source.trustDomain"
        ) || key.starts_with("request.auth.");
        if unsupported {
            at.key("key").error(format!("{key} is not supported with the action CUSTOM"));
        }
    });
}

fn rule(rule: &AuthorizationRule, at: &Place<'_>) {
    at.key("from").each(&rule.from, |from, at| match &from.source {
        Some(source) => self::source(source, &at.key("source")),
        None => at.key("source").error("a source is required"),
    });
    at.key("to").each(&rule.to, |to, at| match &to.operation {
        Some(operation) => self::operation(operation, &at.key("operation")),
        None => at.key("operation").error("an operation is required"),
    });
    at.key("when").each(&rule.when, condition);
}

/// How the values of a field are checked.
type Check = fn(&str) -> Result<(), String>;

fn source(source: &Source, at: &Place<'_>) {
    if *source == Source::default() {
        at.error("a source must not be empty");
    }
    let by_account = !source.service_accounts.is_empty() || !source.not_service_accounts.is_empty();
    let by_identity =
        [&source.principals, &source.not_principals, &source.namespaces, &source.not_namespaces];
    if by_account && by_identity.iter().any(|values| !values.is_empty()) {
        at.error("serviceAccounts cannot be set together with principals or namespaces");
    }
    let fields: [(&str, &[String], Check); 14] = [
        ("principals", &source.principals, not_empty),
        ("notPrincipals", &source.not_principals, not_empty),
        ("requestPrincipals", &source.request_principals, not_empty),
        ("notRequestPrincipals", &source.not_request_principals, not_empty),
        ("namespaces", &source.namespaces, not_empty),
        ("notNamespaces", &source.not_namespaces, not_empty),
        ("serviceAccounts", &source.service_accounts, service_account),
        ("notServiceAccounts", &source.not_service_accounts, service_account),
        ("trustDomains", &source.trust_domains, not_empty),
        ("notTrustDomains", &source.not_trust_domains, not_empty),
        ("ipBlocks", &source.ip_blocks, names::subnet),
        ("notIpBlocks", &source.not_ip_blocks, names::subnet),
        ("remoteIpBlocks", &source.remote_ip_blocks, names::subnet),
        ("notRemoteIpBlocks", &source.not_remote_ip_blocks, names::subnet),
    ];
    values(&fields, at);
}

fn operation(operation: &Operation, at: &Place<'_>) {
    if *operation == Operation::default() {
        at.error("an operation must not be empty");
    }
    let fields: [(&str, &[String], Check); 8] = [
        ("hosts", &operation.hosts, not_empty),
        ("notHosts", &operation.not_hosts, not_empty),
        ("ports", &operation.ports, port),
        ("notPorts", &operation.not_ports, port),
        ("methods", &operation.methods, not_empty),
        ("notMethods", &operation.not_methods, not_empty),
        ("paths", &operation.paths, path),
        ("notPaths", &operation.not_paths, path),
    ];
    values(&fields, at);
}

fn values(fields: &[(&str, &[String], Check)], at: &Place<'_>) {
    for (field, values, check) in fields {
        at.key(field).each(values, |value, at| {
            at.expect(check(value));
        });
    }
}

fn not_empty(value: &str) -> Result<(), String> {
    if value.is_empty() { Err("empty values are not allowed".to_owned()) } else { Ok(()) }
}

/// `namespace/account`, or an account of the policy's namespace.
fn service_account(account: &str) -> Result<(), String> {
    not_empty(account)?;
    let valid = account.split('/').all(|part| !part.is_empty()) && account.matches('/').count() < 2;
    if valid && !account.contains('*') {
        Ok(())
    } else {
        Err(format!("{account:?} must be namespace/account, without wildcards"))
    }
}

fn port(port: &str) -> Result<(), String> {
    match port.parse::<u16>() {
        Ok(_) if port.bytes().all(|byte| byte.is_ascii_digit()) => Ok(()),
        _ => Err(format!("{port:?} is not a port number")),
    }
}

/// A path with `*` at one end, or a template with `{*}` and `{**}` and nothing else of the kind.
fn path(path: &str) -> Result<(), String> {
    not_empty(path)?;
    let is_template = path.contains("{*}") || path.contains("{**}");
    let plain_wildcard = path.contains("/*") || path.contains("*/");
    if is_template && (plain_wildcard || has_named_segment(path)) {
        return Err(format!(
            "{path:?} is not a supported template: only {{*}} and {{**}} can be used"
        ));
    }
    Ok(())
}

/// Whether a path has `{}`, `{name}`, or `/{name=*`.
fn has_named_segment(path: &str) -> bool {
    path.match_indices('{').any(|(start, _)| {
        let rest = &path[start + 1..];
        let word =
            rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        rest[word..].starts_with('}') || (word > 0 && rest[word..].starts_with("=*"))
    })
}

fn condition(condition: &Condition, at: &Place<'_>) {
    let key = condition.key.as_str();
    if key.is_empty() {
        at.key("key").error("a condition needs the key of an attribute");
        return;
    }
    if condition.values.is_empty() && condition.not_values.is_empty() {
        at.error(format!("the condition on {key} needs values or notValues"));
        return;
    }
    match attribute(key) {
        Ok(check) => values(
            &[("values", &condition.values, check), ("notValues", &condition.not_values, check)],
            at,
        ),
        Err(message) => at.key("key").error(message),
    }
}

/// How values of an attribute are checked.
fn attribute(key: &str) -> Result<Check, String> {
    let with_name = ["request.headers", "request.auth.claims", "experimental.envoy.filters."];
    if with_name.iter().any(|prefix| key.starts_with(prefix)) {
        let name = key.split_once('[').and_then(|(_, rest)| rest.strip_suffix(']'));
        return match name {
            Some(name) if !name.is_empty() && !key.starts_with('[') => Ok(not_empty),
            _ => Err(format!(
                "the attribute {key} needs a name in brackets, as in request.headers[x-user]"
            )),
        };
    }
    match key {
        "source.ip" | "remote.ip" | "destination.ip" => Ok(names::subnet),
        "destination.port" => Ok(port),
        "source.serviceAccount" => Ok(service_account),
        "source.namespace"
        | "source.principal"
        | "request.auth.principal"
        | "request.auth.audiences"
        | "request.auth.presenter"
        | "source.trustDomain"
        | "connection.sni" => Ok(not_empty),
        "destination.namespace" => {
            Err("destination.namespace is replaced by the namespace of the policy".to_owned())
        }
        _ if key.starts_with("destination.labels") => {
            Err("destination.labels is replaced by the selector of the policy".to_owned())
        }
        _ => Err(format!("{key} is not a known attribute")),
    }
}

/// Whether a rule has attributes of HTTP only, which match any TCP connection when they deny.
fn denies_all_tcp(rule: &AuthorizationRule) -> bool {
    let sources: Vec<_> = rule.from.iter().filter_map(|from| from.source.as_ref()).collect();
    let operations: Vec<_> = rule.to.iter().filter_map(|to| to.operation.as_ref()).collect();
    let knows_source = |source: &&Source| {
        let http_only = Source {
            request_principals: source.request_principals.clone(),
            not_request_principals: source.not_request_principals.clone(),
            ..Source::default()
        };
        **source != http_only
    };
    let knows_port =
        |operation: &&Operation| !operation.ports.is_empty() || !operation.not_ports.is_empty();
    if operations.is_empty() {
        !sources.is_empty() && !sources.iter().any(knows_source)
    } else {
        !operations.iter().any(knows_port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_have_unnamed_wildcards_only() {
        for good in ["/a", "/a*", "*/a", "/a/{*}", "/{*}/b/{**}", "/*"] {
            assert_eq!(path(good), Ok(()), "{good}");
        }
        for bad in ["", "/{*}/{name}", "/{*}/{}", "/{*}/*", "/{name=*}/{*}", "/**/{*}"] {
            assert!(path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn conditions_are_on_known_attributes() {
        for good in
            ["request.headers[a]", "source.ip", "connection.sni", "request.auth.claims[a][b]"]
        {
            assert!(attribute(good).is_ok(), "{good}");
        }
        for bad in ["request.headers", "request.headers[]", "source.user", "destination.labels[a]"]
        {
            assert!(attribute(bad).is_err(), "{bad}");
        }
    }
}
