//! Default values of Kubernetes' own kinds.
