//! RE2 regular expressions as Envoy and Go read them.
