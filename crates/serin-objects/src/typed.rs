//! Comparing and merging values by their shape.
