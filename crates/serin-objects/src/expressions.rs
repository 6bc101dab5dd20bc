//! Expressions in CEL that stand in objects: whether they can be compiled, and whether the fields they read exist.

use serde_json::{Value, json};
use serin_api::expression::{Expression, Names, reads};

use crate::schema::Node;
use crate::{Catalog, Resource};

/// How many kinds an expression is looked at for.
const KINDS: usize = 10;

/// The type of what an expression comes to, where that is certain.
///
/// # Errors
/// Why it cannot be compiled, as its compiler words it.
pub(crate) fn result(expression: &str, names: &Names<'_>) -> Result<Option<String>, String> {
    let failed = |why: &str| format!("compilation failed: {why}");
    let compiled = Expression::compile(expression).map_err(|why| {
        let why = why.strip_prefix("the rule cannot be compiled: ").unwrap_or(&why);
        // The place is shown on lines of its own, which Kubernetes indents.
        failed(&why.replace("\n|", "\n |"))
    })?;
    let typed = compiled.typed(names);
    match typed.misfit {
        Some(why) => Err(failed(&why)),
        None => Ok(typed.result),
    }
}

/// The fields that an expression reads of `name` and that `known` does not know.
pub(crate) fn undefined(
    expression: &str,
    name: &str,
    known: &dyn Fn(&[String]) -> bool,
) -> Vec<String> {
    let all = reads(expression, name);
    // Below a field that is not there, nothing else is told.
    let wrong = all.iter().filter(|it| {
        let parent = it.path.split_last().is_none_or(|(_, parent)| known(parent));
        parent && !known(&it.path)
    });
    wrong.map(|it| it.undefined(expression)).collect()
}

/// Whether a shape has a field. What is below anything may be anything.
fn has(node: &Node, path: &[String]) -> bool {
    let Some((first, rest)) = path.split_first() else { return true };
    match node {
        Node::Struct(record) => record.fields.get(first).is_some_and(|it| has(it.node(), rest)),
        _ => true,
    }
}

/// The status of a ValidatingAdmissionPolicy: which fields its expressions read that the kinds it is for do not have.
pub fn policy_status(catalog: &Catalog, policy: &Value) -> Value {
    let spec = &policy["spec"];
    let resources = matched(catalog, &spec["matchConstraints"]);
    let mut warnings = Vec::new();
    for (list, fields) in [
        ("variables", &["expression"][..]),
        ("validations", &["expression", "messageExpression"]),
        ("auditAnnotations", &["valueExpression"]),
        ("matchConditions", &["expression"]),
    ] {
        for (index, it) in spec[list].as_array().into_iter().flatten().enumerate() {
            for field in fields {
                let expression = it[*field].as_str().unwrap_or_default();
                let found: Vec<String> =
                    resources.iter().filter_map(|resource| warning(resource, expression)).collect();
                if !found.is_empty() {
                    warnings.push(json!({
                        "fieldRef": format!("spec.{list}[{index}].{field}"),
                        "warning": found.join("\n"),
                    }));
                }
            }
        }
    }
    let checked = match warnings.is_empty() {
        true => json!({}),
        false => json!({"expressionWarnings": warnings}),
    };
    let mut status = json!({"observedGeneration": policy["metadata"]["generation"]});
    status["typeChecking"] = checked;
    if policy["status"]["conditions"].is_array() {
        status["conditions"] = policy["status"]["conditions"].clone();
    }
    status
}

fn warning(resource: &Resource, expression: &str) -> Option<String> {
    let known = |path: &[String]| has(resource.schema(), path);
    let names = ["object", "oldObject"].into_iter();
    let all: Vec<String> = names.flat_map(|name| undefined(expression, name, &known)).collect();
    let kind = format!("{}, Kind={}", resource.api_version(), resource.kind);
    (!all.is_empty()).then(|| format!("{kind}: {}", all.join("\n")))
}

/// The resources that constraints name one by one.
fn matched<'c>(catalog: &'c Catalog, constraints: &Value) -> Vec<&'c Resource> {
    let texts = |value: &Value| -> Vec<String> {
        let all = value.as_array().into_iter().flatten();
        all.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut out: Vec<&Resource> = Vec::new();
    for rule in constraints["resourceRules"].as_array().into_iter().flatten() {
        for group in texts(&rule["apiGroups"]) {
            for version in texts(&rule["apiVersions"]) {
                for plural in texts(&rule["resources"]) {
                    out.extend(catalog.find(&group, &version, &plural).map(AsRef::as_ref));
                }
            }
        }
    }
    out.sort_by_key(|it| (it.api_version(), it.kind.clone()));
    out.dedup_by_key(|it| (it.api_version(), it.kind.clone()));
    out.truncate(KINDS);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_told_of_fields_that_its_kinds_do_not_have() {
        let policy = |expression: &str| {
            json!({"metadata": {"generation": 3}, "spec": {
                "matchConstraints": {"resourceRules": [
                    {"apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments", "*"], "operations": ["*"]}]},
                "validations": [{"expression": "true"}, {"expression": expression}],
            }})
        };
        let status = |expression: &str| policy_status(&Catalog::builtin(), &policy(expression));
        assert_eq!(
            status("object.replicas > 1"),
            json!({"observedGeneration": 3, "typeChecking": {"expressionWarnings": [{
                "fieldRef": "spec.validations[1].expression",
                "warning": "apps/v1, Kind=Deployment: ERROR: <input>:1:7: undefined field 'replicas'\n | object.replicas > 1\n | ......^",
            }]}})
        );
        let fine = "has(object.metadata.labels.x) && object.spec.template.spec.containers.all(c, c.foo == 1)";
        assert_eq!(status(fine)["typeChecking"], json!({}));
    }

    #[test]
    fn what_cannot_be_compiled_is_shown_with_its_place() {
        let bool = |expression: &str| result(expression, &|_| None);
        assert_eq!(bool("self.a > 1"), Ok(Some("bool".to_owned())));
        let why = bool("1 +").unwrap_err();
        assert!(why.starts_with("compilation failed: ERROR: <input>:1:4: Syntax error: "), "{why}");
        assert!(why.ends_with("\n | 1 +\n | ...^"), "{why}");
    }
}
