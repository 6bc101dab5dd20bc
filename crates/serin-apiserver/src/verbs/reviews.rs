//! Questions about rights, which are answered and not stored. Only administrators get in, and they may do everything.

use http::{Response, StatusCode};
use serde_json::{Value, json};
use serin_objects::{Prepared, Status, decode};

use super::{answer as answers, input};
use crate::access::user::MASTERS;
use crate::http::Body;
use crate::server::request::Call;

pub(super) fn answer(call: &Call) -> Result<Response<Body>, Status> {
    let resource = &call.resource;
    let Prepared { mut object, warnings } =
        decode::object(resource, input::body(call)?, input::validation(call)?)?;
    object["status"] = match resource.kind.as_str() {
        "SelfSubjectAccessReview" => allowed(call.user.is_in(MASTERS)),
        "SubjectAccessReview" | "LocalSubjectAccessReview" => {
            let groups = object["spec"]["groups"].as_array();
            allowed(groups.is_some_and(|all| all.iter().any(|group| group == MASTERS)))
        }
        "SelfSubjectRulesReview" => json!({
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            "incomplete": false,
        }),
        "SelfSubjectReview" => json!({"userInfo": call.user.to_value()}),
        kind => {
            return Err(Status::new(501, "NotImplemented", format!("{kind} is not served")));
        }
    };
    Ok(answers::with_warnings(answers::one(call, StatusCode::CREATED, &object), &warnings))
}

fn allowed(yes: bool) -> Value {
    if yes {
        json!({"allowed": true, "reason": "a member of system:masters may do everything"})
    } else {
        json!({"allowed": false, "reason": "only members of system:masters are let in"})
    }
}
