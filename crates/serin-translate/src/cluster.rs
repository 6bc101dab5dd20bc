//! Clusters and endpoints of the services that a proxy sees.
