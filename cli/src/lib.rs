//! The command line of fleche as a library, so that a program of one's own can offer the same commands.

pub mod diagnostic;
pub mod environment;
pub mod interrupt;
pub mod manifest;
pub mod path;
pub mod pattern;
pub mod plan;
pub mod process;
pub mod programs;
pub mod staging;
