//! Digests, archived values and call records in files that many processes share.
//!
//! [`Store`] is the face; [`canonical`] gives values their digests. The store never knows what a function or a type
//! is, and never talks to a terminal.

// Index tables and upkeep, which come next, use the rest.
#![allow(dead_code)]

mod backend;
mod blob;
mod bytes;
pub mod canonical;
mod digest;
mod disk;
mod error;
mod frame;
mod layout;
mod memory;
mod reader;
mod record;
mod segment;
mod store;
mod tail;
mod view;
mod writer;

pub use crate::bytes::Bytes;
pub use crate::digest::{
    CallId, CallKey, CodeDigest, DependencyId, Digest, ParseDigestError, TypeFingerprint, ValueDigest,
};
pub use crate::error::{Error, Result};
pub use crate::record::{Argument, Dependency, Edge, Identity, Record, Stored};
pub use crate::store::{Durability, Named, Options, Stats, Store};
