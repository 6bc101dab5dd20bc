//! The services that the samples' manifests run, small enough to read and able to misbehave on request.
//!
//! A [`Sample`] is chosen by name and set up by an [`Environment`], as a container is: by variables. [`serve`] runs it on a
//! socket until it is told to stop, and then lets requests end. [`stand_in`] names the sample that takes the place of a well-known
//! image, so that manifests written for that image run where there are no images.
//!
//! The shape of a request's way: `server` reads it whole, `misbehave` decides what goes wrong on purpose, `sample` passes it to the
//! service that was chosen, and `upstream` is how services call each other. What a service answers is a pure function of the request,
//! its environment and what the services behind it said.

mod bookinfo;
mod chain;
mod echo;
mod environment;
mod greet;
mod hello;
mod images;
mod message;
mod misbehave;
mod sample;
mod server;
mod upstream;
mod web;

pub use environment::Environment;
pub use images::stand_in;
pub use misbehave::BadSetting;
pub use sample::{BadSample, NAMES, Sample};
pub use server::{Ended, serve};
pub use upstream::BadUrl;
