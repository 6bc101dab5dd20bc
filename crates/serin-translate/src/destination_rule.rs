//! DestinationRules: merging, choosing the one for a host, and inheriting traffic policies.
