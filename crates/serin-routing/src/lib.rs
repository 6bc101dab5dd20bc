//! The runtime model and every decision made for a request.
