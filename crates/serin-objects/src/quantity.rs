//! Quantities: `100m`, `1.5Gi`.
