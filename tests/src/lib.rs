//! End-to-end tests over the public surface; see `tests/`.
