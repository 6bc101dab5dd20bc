//! HTTP as the API uses it: paths, parameters, forms of answers, bodies.

pub(crate) mod accept;
mod body;
pub(crate) mod query;
pub(crate) mod target;

pub use self::body::Body;
pub(crate) use self::body::shared;
