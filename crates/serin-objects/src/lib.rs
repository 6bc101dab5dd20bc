//! Kubernetes' object model, as an API server needs it.
//!
//! Objects are JSON values. A [`Catalog`] names the resources that exist (Kubernetes' own and those that users define);
//! each [`Resource`] has a schema, and everything that depends on the shape of objects is driven by it: reading and
//! pruning ([`decode`]), default values, validation and what a write may change ([`prepare`]), the three kinds of patch
//! ([`patch`]), server-side apply ([`apply`]) and who owns which field ([`managed`]), tables for people ([`table`]) and
//! OpenAPI ([`openapi`]).
//!
//! Pure: the time, unique ids and random letters are arguments. Storing, serving and watching belong to the API server.

#[macro_use]
mod macros;

pub mod admission;
pub mod apply;
pub mod catalog;
pub mod convert;
pub mod crd;
pub mod decode;
mod defaults;
mod embedded;
pub mod expressions;
mod field_set;
mod fields;
mod go;
pub mod limit_range;
pub mod managed;
pub mod names;
pub mod openapi;
pub mod patch;
pub mod pod_security;
pub mod prepare;
pub mod quantity;
pub mod quota;
mod resources;
pub mod scale;
mod schema;
pub mod selector;
pub mod service;
pub mod status;
pub mod table;
mod time;
mod typed;
mod validate;
mod warnings;

pub use catalog::{Catalog, Resource, Subresource};
pub use fields::{FieldError, FieldErrorKind, Path};
pub use prepare::Prepared;
pub use status::Status;
