//! Host names as rules use them: exact, `*.suffix`, `*`; matching, covering, intersecting, resolving short names.
