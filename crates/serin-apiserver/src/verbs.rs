//! What can be done with objects.
//!
//! [`carry_out`] chooses by verb and subresource. Reading is in `read` and `follow`, all writing goes through `write`, the
//! end of objects through `remove` and `collect`; `answer` gives objects the form that the client takes.

pub(crate) mod addresses;
mod answer;
mod certificates;
mod claims;
pub(crate) mod collect;
mod components;
mod connect;
mod continuation;
pub(crate) mod definitions;
mod follow;
mod input;
mod namespaces;
mod options;
mod patch;
mod place;
mod priorities;
mod proxy;
mod read;
mod remove;
mod reviews;
mod runtimes;
mod security;
mod select;
pub(crate) mod services;
mod shares;
mod tokens;
mod write;

pub(crate) use self::answer::with_warnings;

use http::Response;
use serin_objects::Status;

use crate::access::rbac::{aggregation, escalation};
use crate::http::Body;
use crate::server::ApiServer;
use crate::server::request::Call;

/// Does what a request asks for.
pub(crate) async fn carry_out(server: &ApiServer, call: &Call) -> Result<Response<Body>, Status> {
    let resource = &call.resource;
    if matches!(call.verb, "create" | "update" | "patch" | "delete" | "deletecollection") {
        let applies = call.verb == "patch" && input::media_type(call) == patch::APPLY;
        options::of_write(call.verb, &call.query, applies)?;
    }
    match call.subresource.as_deref() {
        None if !resource.has_verb(call.verb) => {
            return Err(Status::method_not_allowed(resource, call.verb));
        }
        None => {}
        Some(name) => {
            let subresource = resource.subresource(name).ok_or_else(Status::no_such_path)?;
            if !subresource.verbs.iter().any(|verb| verb == call.verb) {
                return Err(Status::method_not_allowed(resource, call.verb));
            }
            match name {
                "status" | "scale" | "finalize" | "ephemeralcontainers" | "resize" | "approval" => {
                }
                "proxy" => return proxy::pass(server, call).await,
                "log" | "exec" | "attach" | "portforward" => {
                    return connect::connect(server, call, name).await;
                }
                "binding" => return place::bind(server, call).await,
                "token" => return tokens::request(server, call),
                "eviction" => return place::evict(server, call).await,
                _ => {
                    let message = format!("{name} of {} is not served", resource.group_resource());
                    return Err(Status::new(501, "NotImplemented", message));
                }
            }
        }
    }
    let gives_out = services::are(resource) || definitions::are(resource);
    let writes = !matches!(call.verb, "get" | "list" | "watch");
    let _alone = if gives_out && writes { Some(server.inner.exclusive.lock().await) } else { None };
    let response = match call.verb {
        "get" => read::get(server, call),
        "list" => read::list(server, call),
        "watch" => follow::watch(server, call),
        "create" if resource.kind == "Binding" => place::bind(server, call).await,
        "create" if !resource.is_stored() => reviews::answer(server, call),
        "create" => write::create(server, call).await,
        "update" => write::update(server, call).await,
        "patch" => patch::patch(server, call).await,
        "delete" => remove::delete(server, call).await,
        _ => remove::delete_collection(server, call).await,
    }?;
    if writes && resource.kind == "ClusterRole" && resource.group == escalation::GROUP {
        aggregation::settle(&server.inner.store).await;
    }
    Ok(response)
}
