//! The objects a translation works on, indexed and in Istio's order.
