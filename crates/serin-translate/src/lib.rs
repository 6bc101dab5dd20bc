//! A snapshot of objects becomes the runtime model of one workload.
