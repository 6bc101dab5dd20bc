//! The API as a client sees it: requests to a server in this process, or over its socket.

#![expect(clippy::unwrap_used, reason = "a helper of tests that fails fails its test")]

mod admission;
mod held;
mod hostile;
mod objects;
mod parts;
mod rights;
mod seams;
mod support;
mod tokens;
