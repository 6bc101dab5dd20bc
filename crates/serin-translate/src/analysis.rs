//! Findings about a snapshot as a whole: Istio's analysis codes (IST…) and ours (SRN…).
