//! VirtualServices: names resolved, delegates merged, rules chosen for a proxy.
