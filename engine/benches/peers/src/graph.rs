//! The graph that every peer computes, and what a peer has to offer for that.
//!
//! Layers of 1000 calls with three callees each; the lowest reads 1000 inputs and rounds them, so that a small change of
//! one is cut off right above it. Nothing here knows a peer.

use std::path::Path;

/// Calls in a layer, and inputs.
pub const WIDTH: u32 = 1000;

/// What the calls of a layer call in the one below.
pub fn callees(at: u32) -> impl Iterator<Item = u32> {
    (0..3).map(move |k| (at * 7 + k * 3) % WIDTH)
}

/// What a call of the lowest layer makes of its input.
pub fn lowest(input: u64) -> u64 {
    input / 10
}

/// What a call makes of its callees' results.
pub fn mixed(sum: u64) -> u64 {
    sum % 1_000_003
}

/// What an input is set to at first.
pub fn first_value(at: u32) -> u64 {
    u64::from(at) * 10
}

/// One engine with the graph in it.
pub trait Peer: Sized {
    /// Starts, with nothing but the inputs.
    fn cold(dir: &Path) -> Self;

    /// Starts from what an earlier process left there.
    fn warm(dir: &Path) -> Self;

    /// Sets an input.
    fn set(&mut self, at: u32, value: u64);

    /// One call of a layer.
    fn one(&mut self, layer: u32, at: u32) -> u64;

    /// The sum of the highest layer: everything.
    fn all(&mut self, layers: u32) -> u64;

    /// Leaves behind what a later process starts from; it is on disk, for the next process, when this returns.
    fn save(self, dir: &Path);
}
