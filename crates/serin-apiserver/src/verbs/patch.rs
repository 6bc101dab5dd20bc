//! Patches of all kinds, and server-side apply.

use http::Response;
use jiff::Timestamp;
use serin_objects::apply::{self, Options};
use serin_objects::patch::{self, Kind};
use serin_objects::prepare::Ownership;
use serin_objects::{Prepared, Status, decode, scale};

use super::{input, write};
use crate::http::Body;
use crate::server::ApiServer;
use crate::server::request::Call;

/// The type of a body that is applied.
pub(super) const APPLY: &str = "application/apply-patch+yaml";
const FORMS: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    APPLY,
];
/// What custom resources take: no strategic merge.
const CUSTOM_FORMS: &[&str] =
    &["application/json-patch+json", "application/merge-patch+json", APPLY];

pub(super) async fn patch(server: &ApiServer, call: &Call) -> Result<Response<Body>, Status> {
    let media_type = input::media_type(call);
    if media_type == APPLY {
        return apply(server, call).await;
    }
    let forms = if call.resource.is_custom() { CUSTOM_FORMS } else { FORMS };
    let kind = Kind::of_media_type(media_type)
        .filter(|_| forms.contains(&media_type))
        .ok_or_else(|| Status::unsupported_media_type(forms))?;
    let validation = input::validation(call)?;
    let resource = &call.resource;
    write::change(server, call, Ownership::Update, |old| {
        if call.subresource.as_deref() == Some("scale") {
            let patched = patch::patch_plain(&scale::get(resource, old)?, kind, &call.body)?;
            let object = scale::put(resource, old, &patched)?;
            return Ok(Prepared { object, warnings: Vec::new() });
        }
        patch::patch(resource, old, kind, &call.body, validation)
    })
    .await
}

async fn apply(server: &ApiServer, call: &Call) -> Result<Response<Body>, Status> {
    let resource = &call.resource;
    let read = || decode::yaml(&call.body).map_err(Status::bad_request);
    let options = Options {
        now: Timestamp::now(),
        manager: call.query.text("fieldManager").unwrap_or_default(),
        force: call.query.flag("force"),
        subresource: call.subresource.as_deref(),
        validation: input::validation(call)?,
    };
    if call.subresource.as_deref() == Some("scale") {
        return Err(Status::new(
            501,
            "NotImplemented",
            "a scale cannot be applied; update or patch it",
        ));
    }
    let mut body = read()?;
    let name = body.value["metadata"]["name"].as_str().unwrap_or_default();
    if !name.is_empty() && name != call.object_name() {
        return Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            call.object_name()
        )));
    }
    if server.inner.store.object(&call.storage(), &call.key()).is_none()
        && call.subresource.is_none()
    {
        if body.value.is_object() && name.is_empty() {
            body.value["metadata"]["name"] = call.object_name().into();
        }
        let prepared = apply::apply(resource, None, body, &options)?;
        let created = write::create_object(server, call, prepared, Ownership::Applied).await;
        match created {
            // Someone else created it meanwhile: then it is changed.
            Err(status) if status.reason == "AlreadyExists" => {}
            other => return other,
        }
    }
    write::change(server, call, Ownership::Applied, |old| {
        apply::apply(resource, Some(old), read()?, &options)
    })
    .await
}
