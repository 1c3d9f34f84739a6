//! Digests, archived values and call records in files that many processes share.
//!
//! [`Store`] is the face; [`canonical`] gives values their digests. The store never knows what a function or a type
//! is, and never talks to a terminal.

mod aside;
mod backend;
mod blob;
mod build;
mod bytes;
pub mod canonical;
mod compact;
mod digest;
mod disk;
mod error;
mod evict;
mod filter;
mod frame;
#[cfg(test)]
mod fuzz;
mod gc;
mod layout;
mod live;
mod memory;
mod os;
mod pause;
mod pin;
mod put;
mod reader;
mod record;
mod segment;
mod store;
mod sync;
mod table;
mod tail;
mod touched;
mod upkeep;
mod verify;
mod view;
mod worker;
mod writer;

pub use crate::bytes::Bytes;
pub use crate::digest::{
    CallId, CallKey, CodeDigest, DependencyId, Digest, ParseDigestError, TypeFingerprint, ValueDigest,
};
pub use crate::error::{Error, Result};
pub use crate::gc::{GcOptions, GcReport};
pub use crate::pin::Pin;
pub use crate::put::Put;
pub use crate::record::{Argument, Dependency, Edge, Identity, Record, Stored};
pub use crate::store::{Durability, Named, Options, SigningKey, Stats, Store};
pub use crate::verify::{Damage, VerifyReport};
