//! Gateway API objects become Istio objects with the Gateway API's own semantics, and get their status.
