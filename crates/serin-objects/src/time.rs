//! Times as objects hold them.
