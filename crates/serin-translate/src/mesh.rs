//! Sidecar proxies: outbound and inbound listeners and route tables.
