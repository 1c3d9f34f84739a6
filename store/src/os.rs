//! What operating systems do differently: the one module that asks which one it is, but for `bytes`, where maps are.
//!
//! Linux is what is tested. The port to Windows compiles and has never run.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::*;
#[cfg(windows)]
pub(crate) use windows::*;
