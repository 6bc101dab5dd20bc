//! Resources as users write them: types, default values, validation, and YAML with positions.
//!
//! This crate is the boundary to the outside: everything that a user, a file or an API server hands over
//! passes through here and comes out either as typed objects or as [`Finding`]s that say what is wrong,
//! where, and what to do. It does no I/O: callers bring the text.
//!
//! It knows single objects. Anything that needs two objects to decide (a missing gateway, a host that two
//! rules claim) belongs to `serin-translate`.

#[macro_use]
mod message;

pub mod codes;
pub mod core;
pub mod crd;
mod decode;
pub mod delivery;
pub mod expression;
pub mod extensions;

mod field_path;
mod finding;
pub mod gateway_api;
mod kinds;
pub mod load;
pub mod mesh_config;
pub mod networking;
mod object;
pub mod schema;
pub mod security;
pub mod telemetry;
pub mod validation;
pub mod values;
pub mod yaml;

pub use decode::{DecodeError, decode};
pub use field_path::{FieldPath, Segment};
pub use finding::{Code, CodeInfo, Finding, Location, Position, Related, Severity, Span};
pub use kinds::{AnyObject, Kind};
pub use object::{Meta, Object, ObjectRef, OwnerReference, Printer, Resource, Scope};
