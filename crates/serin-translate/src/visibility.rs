//! Which namespaces may see an object (`exportTo`).
