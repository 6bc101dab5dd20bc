//! ValidatingAdmissionPolicies: conditions in CEL on writes, which bindings put into force.

use std::sync::Arc;

use serde_json::{Value, json};
use serin_api::expression::{Expression, Outcome, Scope};
use serin_objects::status::{Cause, Details};
use serin_objects::{Resource, Status, catalog, convert};

use super::matching::{Conditions, Matcher, namespace_of};
use super::{Review, authorizer, facts};
use crate::access::audit;
use crate::server::ApiServer;
use crate::server::request::{key_of, storage_of};
use crate::store::Store;
use crate::store::indexed::Indexed;

const POLICIES: &str = "admissionregistration.k8s.io/validatingadmissionpolicies";
const BINDINGS: &str = "admissionregistration.k8s.io/validatingadmissionpolicybindings";
/// How long a message that an expression makes may be.
const MESSAGE: usize = 5 << 10;
/// How long the value of an annotation may be.
const ANNOTATION: usize = 10 << 10;
/// The annotation of the audit log that tells which validations failed.
const FAILURES: &str = "validation.policy.admission.k8s.io/validation_failure";

/// The policies that are in force.
pub(crate) struct Policies(Indexed<Vec<Policy>, 2>);

impl Default for Policies {
    fn default() -> Self {
        Self(Indexed::new([POLICIES, BINDINGS]))
    }
}

struct Policy {
    name: String,
    matcher: Matcher,
    /// Whether an expression that cannot be evaluated refuses the write.
    fails: bool,
    /// `apiVersion` and `kind` of its parameters.
    params: Option<(String, String)>,
    conditions: Conditions,
    variables: Vec<(String, Result<Expression, String>)>,
    validations: Vec<Validation>,
    /// What the audit log is told, by key.
    annotations: Vec<(String, Result<Expression, String>)>,
    bindings: Vec<Binding>,
}

struct Validation {
    text: String,
    expression: Result<Expression, String>,
    message: String,
    message_expression: Option<Expression>,
    reason: String,
}

struct Binding {
    name: String,
    matcher: Matcher,
    param: Value,
    actions: Vec<String>,
}

/// What a policy says against a write.
#[derive(Default)]
struct Finding {
    message: String,
    reason: String,
    /// Which of the policy's validations found it.
    index: usize,
}

impl Finding {
    fn new(message: String) -> Self {
        Self { message, ..Self::default() }
    }
}

fn read(store: &Store) -> Vec<Policy> {
    let values = |resource: &str| -> Vec<Value> {
        store.list(resource, "", None).0.iter().map(|(_, object)| object.value()).collect()
    };
    let bindings = values(BINDINGS);
    let policies = values(POLICIES);
    let all = policies.iter().map(|policy| Policy::read(policy, &bindings));
    all.filter(|policy| !policy.bindings.is_empty()).collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

impl Policy {
    fn read(policy: &Value, bindings: &[Value]) -> Self {
        let (name, spec) = (text(&policy["metadata"], "name"), &policy["spec"]);
        let kind = &spec["paramKind"];
        Self {
            matcher: Matcher::of_policy(&spec["matchConstraints"]),
            fails: spec["failurePolicy"] != "Ignore",
            params: kind.is_object().then(|| (text(kind, "apiVersion"), text(kind, "kind"))),
            conditions: Conditions::read(&spec["matchConditions"]),
            variables: list(&spec["variables"])
                .map(|it| (text(it, "name"), Expression::compile(&text(it, "expression"))))
                .collect(),
            validations: list(&spec["validations"]).map(Validation::read).collect(),
            annotations: list(&spec["auditAnnotations"])
                .map(|it| (text(it, "key"), Expression::compile(&text(it, "valueExpression"))))
                .collect(),
            bindings: bindings
                .iter()
                .filter(|it| it["spec"]["policyName"] == name.as_str())
                .map(Binding::read)
                .collect(),
            name,
        }
    }

    /// What speaks against a write, with one object of parameters.
    fn judge(&self, scope: &mut Scope, params: &Value) -> Vec<Finding> {
        scope.set("params", params);
        match self.conditions.hold(scope) {
            Ok(true) => {}
            Ok(false) => return Vec::new(),
            Err(why) => return self.unless_ignored(why).into_iter().collect(),
        }
        for (name, expression) in &self.variables {
            match expression {
                Ok(expression) => scope.define(name, expression),
                Err(why) => return self.unless_ignored(why.clone()).into_iter().collect(),
            }
        }
        let each = self.validations.iter().enumerate();
        let mut findings: Vec<Finding> = each
            .filter_map(|(index, it)| Some(Finding { index, ..it.check(scope, self)? }))
            .collect();
        findings.extend(self.annotate(scope));
        findings
    }

    /// Tells the audit log what the policy has to say of a write; an expression that fails counts as a validation that does.
    fn annotate(&self, scope: &Scope) -> Vec<Finding> {
        let mut failed = Vec::new();
        for (key, expression) in &self.annotations {
            let result = expression.as_ref().map_err(String::clone);
            match result.and_then(|it| scope.evaluate(it)) {
                Ok(Outcome::Text(value)) => {
                    let value: String = value.trim().chars().take(ANNOTATION).collect();
                    audit::annotate(&format!("{}/{key}", self.name), &value);
                }
                Ok(Outcome::Null) => {}
                Ok(_) => failed.extend(
                    self.unless_ignored(format!("the annotation {key:?} is neither text nor null")),
                ),
                Err(why) => failed.extend(
                    self.unless_ignored(format!("the annotation {key:?} resulted in error: {why}")),
                ),
            }
        }
        failed
    }

    fn unless_ignored(&self, why: String) -> Option<Finding> {
        self.fails.then(|| Finding::new(why))
    }
}

impl Validation {
    fn read(value: &Value) -> Self {
        let expression = text(value, "expression");
        Self {
            expression: Expression::compile(&expression),
            message: text(value, "message").trim().to_owned(),
            message_expression: Expression::compile(&text(value, "messageExpression")).ok(),
            reason: text(value, "reason"),
            text: expression.trim().to_owned(),
        }
    }

    fn check(&self, scope: &Scope, policy: &Policy) -> Option<Finding> {
        let result = match &self.expression {
            Ok(expression) => scope.evaluate(expression),
            Err(why) => Err(why.clone()),
        };
        match result {
            Ok(Outcome::Bool(true)) => None,
            Ok(Outcome::Bool(false)) => {
                let (message, reason) = (self.explain(scope), self.reason.clone());
                Some(Finding { message, reason, index: 0 })
            }
            Ok(_) => policy.unless_ignored(format!("expression '{}' is no condition", self.text)),
            Err(why) => policy
                .unless_ignored(format!("expression '{}' resulted in error: {why}", self.text)),
        }
    }

    fn explain(&self, scope: &Scope) -> String {
        let made = self.message_expression.as_ref().and_then(|it| scope.evaluate(it).ok());
        match made {
            Some(Outcome::Text(made))
                if !made.trim().is_empty() && !made.contains('\n') && made.len() <= MESSAGE =>
            {
                made.trim().to_owned()
            }
            _ if self.message.is_empty() => format!("failed expression: {}", self.text),
            _ => self.message.clone(),
        }
    }
}

impl Binding {
    fn read(value: &Value) -> Self {
        let spec = &value["spec"];
        let actions = list(&spec["validationActions"]).filter_map(Value::as_str);
        Self {
            name: text(&value["metadata"], "name"),
            matcher: Matcher::of_policy(&spec["matchResources"]),
            param: spec["paramRef"].clone(),
            actions: actions.map(str::to_owned).collect(),
        }
    }

    fn acts(&self, action: &str) -> bool {
        self.actions.iter().any(|it| it == action)
    }

    /// The objects of parameters; one that is null where the policy takes none.
    fn params(
        &self,
        server: &ApiServer,
        policy: &Policy,
        review: &Review<'_>,
    ) -> Result<Vec<Value>, String> {
        let Some((api_version, kind)) = &policy.params else { return Ok(vec![Value::Null]) };
        if !self.param.is_object() {
            return Ok(vec![Value::Null]);
        }
        let (group, version) = catalog::split_api_version(api_version);
        let catalog = server.inner.catalog.load();
        let resource = catalog.find_kind(group, version, kind).ok_or_else(|| {
            format!("failed to find resource referenced by paramKind: '{api_version}, Kind={kind}'")
        })?;
        let own = text(&self.param, "namespace");
        let namespace = match (resource.namespaced, own.is_empty()) {
            (false, _) => String::new(),
            (true, false) => own,
            (true, true) => review.namespace.to_owned(),
        };
        let found = self.find(server, resource, &namespace)?;
        if found.is_empty() && self.param["parameterNotFoundAction"] != "Allow" {
            return Err(
                "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"
                    .to_owned(),
            );
        }
        Ok(found)
    }

    fn find(
        &self,
        server: &ApiServer,
        resource: &Resource,
        namespace: &str,
    ) -> Result<Vec<Value>, String> {
        let store = &server.inner.store;
        let storage = storage_of(resource);
        let shown = |value| convert::to_version(resource, value);
        let name = text(&self.param, "name");
        if !name.is_empty() {
            let found = store.object(&storage, &key_of(namespace, &name));
            return Ok(found.map(|object| shown(object.value())).into_iter().collect());
        }
        let labels = serin_objects::selector::Labels::from_object(&self.param["selector"])?;
        let prefix = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
        let (all, _) = store.list(&storage, &prefix, None);
        let values = all.iter().map(|(_, object)| shown(object.value()));
        Ok(values.filter(|object| labels.matches_object(object)).collect())
    }
}

/// Lets policies judge a write.
pub(super) fn validate(server: &ApiServer, review: &Review<'_>) -> Result<Vec<String>, Status> {
    let store = &server.inner.store;
    let policies = server.inner.policies.0.get(store, read);
    let catalog = server.inner.catalog.load_full();
    let (mut warnings, mut refusal, mut noted) = (Vec::new(), None, Vec::new());
    for policy in policies.iter() {
        let Some(resource) = policy.matcher.fit(review, &catalog, store) else { continue };
        for binding in &policy.bindings {
            if !binding.matcher.fits_binding(review, &catalog, store) {
                continue;
            }
            for finding in judge(server, policy, binding, (review, &resource)) {
                let said = |verb: &str| {
                    format!(
                        "ValidatingAdmissionPolicy '{}' with binding '{}'{verb}: {}",
                        policy.name, binding.name, finding.message
                    )
                };
                if binding.acts("Audit") {
                    noted.push(json!({
                        "message": finding.message,
                        "policy": policy.name,
                        "binding": binding.name,
                        "expressionIndex": finding.index,
                        "validationActions": binding.actions,
                    }));
                }
                if binding.acts("Deny") && refusal.is_none() {
                    refusal = Some(refused(review, &said(" denied request"), &finding.reason));
                }
                if binding.acts("Warn") {
                    warnings.push(format!("Validation failed for {}", said("")));
                }
            }
        }
    }
    if !noted.is_empty() {
        audit::annotate(FAILURES, &Value::Array(noted).to_string());
    }
    refusal.map_or(Ok(warnings), Err)
}

fn judge(
    server: &ApiServer,
    policy: &Policy,
    binding: &Binding,
    (review, resource): (&Review<'_>, &Arc<Resource>),
) -> Vec<Finding> {
    let params = match binding.params(server, policy, review) {
        Ok(params) => params,
        Err(why) => return policy.unless_ignored(why).into_iter().collect(),
    };
    let mut findings = Vec::new();
    let namespace = namespace_of(review, &server.inner.store);
    // An object that belongs to no namespace is judged without one.
    let namespace = namespace.filter(|_| review.resource.namespaced).unwrap_or_default();
    for params in params {
        let mut scope = Scope::default();
        scope.set("object", review.object);
        scope.set("oldObject", review.old);
        scope.set("request", &facts(review, resource));
        scope.set("namespaceObject", &namespace);
        authorizer::set(&mut scope, server, review);
        findings.extend(policy.judge(&mut scope, &params));
    }
    findings
}

fn refused(review: &Review<'_>, message: &str, reason: &str) -> Status {
    let mut status = Status::forbidden(review.resource, review.name, message);
    let reason = if reason.is_empty() { "Invalid" } else { reason };
    status.code = match reason {
        "Unauthorized" => 401,
        "Forbidden" => 403,
        "RequestEntityTooLarge" => 413,
        _ => 422,
    };
    reason.clone_into(&mut status.reason);
    let mut details = status.details.take().unwrap_or_else(|| Box::new(Details::default()));
    details.causes.push(Cause { message: message.to_owned(), ..Cause::default() });
    status.details = Some(details);
    status
}
