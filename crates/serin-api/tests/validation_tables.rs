//! The tables by which Istio tests its validation, run against ours.
//!
//! A row is a whole resource, or one part of a resource; a part is put into an otherwise valid resource. What is compared
//! is whether the resource is taken, and whether there are warnings where the table knows.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test says how it fails and what it skips"
)]

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use serin_api::Severity;
use serin_api::validation::{self, Problem};

/// Rows that cannot be followed, and why.
const NOT_FOLLOWED: [(&str, &str); 2] = [
    (
        "from-empty",
        "`from: []` became an absent field in the conversion of the table, and `{}` is valid",
    ),
    (
        "to-empty",
        "`to: []` became an absent field in the conversion of the table, and `{}` is valid",
    ),
];

fn table() -> Option<Vec<Value>> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/conformance/istio/validation-tables/cases.json"
    );
    let Ok(text) = std::fs::read_to_string(path) else {
        println!("skipped: {path} is not there");
        return None;
    };
    let table: Value = serde_json::from_str(&text).unwrap();
    Some(table["cases"].as_array().unwrap().clone())
}

/// Replaces `{"$repeat": [text, count]}` and `{"$repeatBytes": [byte, count]}` by what they stand for.
fn expand(value: &mut Value) {
    if let Some([text, count]) = value.get("$repeat").and_then(Value::as_array).map(Vec::as_slice) {
        let count = usize::try_from(count.as_u64().unwrap()).unwrap();
        *value = text.as_str().unwrap().repeat(count).into();
    } else if let Some([byte, count]) =
        value.get("$repeatBytes").and_then(Value::as_array).map(Vec::as_slice)
    {
        // In JSON bytes are base64; three equal bytes are four characters.
        assert_eq!(byte, 97);
        let count = usize::try_from(count.as_u64().unwrap()).unwrap();
        let rest = ["", "YQ==", "YWE="][count % 3];
        *value = ("YWFh".repeat(count / 3) + rest).into();
    } else {
        match value {
            Value::Array(items) => items.iter_mut().for_each(expand),
            Value::Object(fields) => fields.values_mut().for_each(expand),
            _ => {}
        }
    }
}

fn object(kind: &str, metadata: &Value, spec: Value) -> Value {
    let group = match kind {
        "AuthorizationPolicy" | "PeerAuthentication" | "RequestAuthentication" => "security",
        "Telemetry" => "telemetry",
        "WasmPlugin" | "TrafficExtension" => "extensions",
        _ => "networking",
    };
    let mut metadata = metadata.clone();
    if metadata.get("name").is_none() {
        metadata["name"] = "name".into();
    }
    json!({"apiVersion": format!("{group}.istio.io/v1"), "kind": kind, "metadata": metadata, "spec": spec})
}

/// A VirtualService with one HTTP route.
fn http_route(route: Value) -> Value {
    object("VirtualService", &json!({}), json!({"hosts": ["foo.bar"], "http": [route]}))
}

/// A VirtualService whose route has this field beside a destination.
fn with_route_field(field: &str, value: Value) -> Value {
    let mut route = json!({"route": [{"destination": {"host": "foo.bar"}}]});
    route[field] = value;
    http_route(route)
}

/// A DestinationRule with this traffic policy.
fn traffic_policy(policy: Value) -> Value {
    object("DestinationRule", &json!({}), json!({"host": "foo.bar", "trafficPolicy": policy}))
}

/// The resource that a row is about.
fn resource(row: &Value) -> Option<Value> {
    if let Some(spec) = row.get("spec") {
        let kind = row["kind"].as_str().unwrap();
        return Some(object(kind, row.get("metadata").unwrap_or(&json!({})), spec.clone()));
    }
    let message = row.get("message").cloned().unwrap_or(Value::Null);
    let args = row.get("args").cloned().unwrap_or_else(|| json!({}));
    let validator = row["validator"].as_str().unwrap();
    gateway_part(validator, &message)
        .or_else(|| route_part(validator, &message, &args))
        .or_else(|| rule_part(validator, &message, &args))
        .or_else(|| other_part(validator, &message, &args))
}

fn gateway_part(validator: &str, message: &Value) -> Option<Value> {
    let server = match validator {
        "validateServer" => message.clone(),
        "validateServerPort" => json!({"port": message, "hosts": ["foo.bar"]}),
        "validateTLSOptions" => {
            json!({"port": {"number": 443, "protocol": "HTTPS", "name": "https"}, "hosts": ["foo.bar"], "tls": message})
        }
        _ => return None,
    };
    Some(object("Gateway", &json!({}), json!({"servers": [server]})))
}

fn route_part(validator: &str, message: &Value, args: &Value) -> Option<Value> {
    Some(match validator {
        "validateHTTPRoute" => {
            let mut route = http_route(message.clone());
            if args["delegate"] == true {
                route["spec"].as_object_mut()?.remove("hosts");
            }
            if args["gatewaySemantics"] == true {
                let annotations = json!({"internal.istio.io/route-semantics": "gateway"});
                route["metadata"]["annotations"] = annotations;
            }
            route
        }
        "validateRouteDestinations" => object(
            "VirtualService",
            &json!({}),
            json!({"hosts": ["foo.bar"], "tcp": [{"route": message}]}),
        ),
        "validateCORSPolicy" => with_route_field("corsPolicy", message.clone()),
        "validateHTTPStatus" => {
            with_route_field("fault", json!({"abort": {"httpStatus": args["status"]}}))
        }
        "validateHTTPFaultInjectionAbort" => {
            with_route_field("fault", json!({"abort": message, "delay": {"fixedDelay": "1s"}}))
        }
        "validateHTTPFaultInjectionDelay" => with_route_field("fault", json!({"delay": message})),
        "ValidateHTTPRetry" => with_route_field("retries", message.clone()),
        "validateHTTPRewrite" => with_route_field("rewrite", message.clone()),
        "validateURIRegexRewrite" => {
            with_route_field("rewrite", json!({"authority": "foo.bar", "uriRegexRewrite": message}))
        }
        "validateHTTPRedirect" | "validateHTTPDirectResponse" if message.is_null() => {
            with_route_field("name", "no answer of its own".into())
        }
        "validateHTTPRedirect" => http_route(json!({"redirect": message})),
        "validateHTTPDirectResponse" => http_route(json!({"directResponse": message})),
        "ValidateHTTPHeaderValue" => {
            with_route_field("headers", json!({"request": {"set": {"x-a": args["value"]}}}))
        }
        "ValidateHTTPHeaderNameOrJwtClaimRoute" => {
            let name = args["name"].as_str()?;
            let mut route = with_route_field("match", json!([{"headers": {name: {"exact": "a"}}}]));
            route["spec"]["gateways"] = json!(["gateway"]);
            route
        }
        _ => return None,
    })
}

fn rule_part(validator: &str, message: &Value, args: &Value) -> Option<Value> {
    Some(match validator {
        "validateTrafficPolicy" => traffic_policy(message.clone()),
        "validateConnectionPool" => traffic_policy(json!({"connectionPool": message})),
        "validateOutlierDetection" => traffic_policy(json!({"outlierDetection": message})),
        "validateLoadBalancer" => {
            traffic_policy(json!({"loadBalancer": message, "outlierDetection": args["outlier"]}))
        }
        "validateExportTo" => {
            let mut spec = json!({"exportTo": args["exportTo"], "host": "foo.bar"});
            let kind = if args["isServiceEntry"] == true {
                spec["hosts"] = json!(["foo.bar"]);
                "ServiceEntry"
            } else {
                if args["isDestinationRuleWithSelector"] == true {
                    spec["workloadSelector"] = json!({"matchLabels": {"app": "a"}});
                }
                "DestinationRule"
            };
            object(kind, &json!({"namespace": args["namespace"]}), spec)
        }
        _ => return None,
    })
}

fn other_part(validator: &str, message: &Value, args: &Value) -> Option<Value> {
    Some(match validator {
        "ValidatePortName" => object(
            "ServiceEntry",
            &json!({}),
            json!({"hosts": ["foo.bar"], "ports": [{"number": 80, "protocol": "HTTP", "name": args["name"]}]}),
        ),
        "ValidateStrictHTTPHeaderName" => object(
            "RequestAuthentication",
            &json!({}),
            json!({"jwtRules": [{"issuer": "a", "outputClaimToHeaders": [{"header": args["name"], "claim": "sub"}]}]}),
        ),
        "validateTelemetryFilter" => {
            object("Telemetry", &json!({}), json!({"accessLogging": [{"filter": message}]}))
        }
        _ => return None,
    })
}

/// What differs from the table, if anything.
fn difference(row: &Value, problems: &Result<Vec<Problem>, String>) -> Option<String> {
    let expect = &row["expect"];
    let problems = match problems {
        Ok(problems) => problems,
        Err(message) if expect["valid"] == true => return Some(format!("refused: {message}")),
        Err(_) => return None,
    };
    let mut shown = String::new();
    for problem in problems {
        write!(shown, "\n    {:?} {}: {}", problem.severity, problem.field, problem.message)
            .unwrap();
    }
    let is_valid = problems.iter().all(|problem| problem.severity != Severity::Error);
    if expect["valid"] != is_valid {
        return Some(format!("valid: {is_valid}, should be {}{shown}", expect["valid"]));
    }
    // Warnings are only compared where the object is taken: Istio often stops at the first error.
    let warned = problems.iter().any(|problem| problem.severity != Severity::Error);
    let expected = match expect.get("warning") {
        Some(Value::Bool(expected)) => *expected,
        Some(_) => true,
        None => return None,
    };
    (is_valid && warned != expected)
        .then(|| format!("warned: {warned}, should be {expected}{shown}"))
}

#[test]
fn every_row_of_istios_tables_is_judged_as_istio_judges_it() {
    let Some(rows) = table() else { return };
    let mut differences = Vec::new();
    let mut followed = 0_usize;
    for mut row in rows {
        let name = row["name"].as_str().unwrap().to_owned();
        if NOT_FOLLOWED.iter().any(|(not_followed, _)| *not_followed == name) {
            continue;
        }
        followed += 1;
        expand(&mut row);
        let Some(resource) = resource(&row) else {
            differences.push(format!("{name}: no resource for {}", row["validator"]));
            continue;
        };
        let problems = validation::validate(&resource).expect("a kind with rules");
        if let Some(difference) = difference(&row, &problems.map_err(|error| error.to_string())) {
            let shown: Map<String, Value> = resource.as_object().unwrap().clone();
            let shown = Value::from(shown).to_string();
            let shown = shown.chars().take(600).collect::<String>();
            differences.push(format!("{} {name}: {difference}\n    {shown}", row["validator"]));
        }
    }
    println!("{} of {followed} rows agree", followed - differences.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
