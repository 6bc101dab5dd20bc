//! What a Sidecar object lets a proxy see.
