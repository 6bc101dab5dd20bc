//! Gateway proxies: merging Gateways, listeners and route tables.
