//! Incremental computation that survives the process.
