//! End-to-end tests over the public surface; see `tests/`.

/// The example in the README compiles and does what it says.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
