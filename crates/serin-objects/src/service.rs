//! Addresses and ports of Services, which the server gives out.

use serde_json::Value;

use crate::fields::FieldError;

/// Gives out addresses and ports. Each is asked for by value (`wanted`) or left to choose; an error is the detail of the
/// field's error, such as `provided IP is already allocated`.
pub trait Allocator {
    /// A cluster IP.
    ///
    /// # Errors
    /// Why the wanted one cannot be had.
    fn cluster_ip(&mut self, wanted: Option<&str>) -> Result<String, String>;
    /// A port of the node.
    ///
    /// # Errors
    /// Why the wanted one cannot be had.
    fn node_port(&mut self, wanted: Option<u16>) -> Result<u16, String>;
}

/// Gives a new or changed Service what it needs and has not yet. `old` is none for a new one.
///
/// # Errors
/// Values that cannot be had.
pub fn allocate(
    service: &mut Value,
    old: Option<&Value>,
    allocator: &mut dyn Allocator,
) -> Result<(), Vec<FieldError>> {
    let _ = (service, old, allocator);
    Ok(())
}
