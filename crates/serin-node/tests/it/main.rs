//! Pods that really run: a node over an API server in this process, with small shell programs as images.
//!
//! They need namespaces; where the system gives none they say so and pass.

#[cfg(test)]
mod dns;
#[cfg(test)]
mod features;
#[cfg(test)]
mod images;
#[cfg(test)]
mod kubectl;
#[cfg(test)]
mod life;
#[cfg(test)]
mod pods;
#[cfg(test)]
mod registry;
#[cfg(test)]
mod world;
