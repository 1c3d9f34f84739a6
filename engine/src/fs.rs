//! Tracked reads of files: each becomes an input of the call that made it.
//!
//! The functions take what those of [`std::fs`] take, and fail as they fail. A read returns bytes of the current
//! revision, or the running call is spoilt: what it makes of them is not kept. Outside a cached call they are
//! plain reads.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use fleche_store::Digest;

use crate::frame::{Dep, Taint};
use crate::graph;
use crate::input::{self, InputId};
use crate::thread::{self, Place};

/// Reads a whole file, as [`std::fs::read`] does. A missing file is an input too: the call runs again when it
/// appears.
///
/// # Errors
///
/// Those of [`std::fs::read`]. One that is not about absence leaves the running call unrecorded.
///
/// # Panics
///
/// On a thread other than the main one that has no cache in scope; see [`crate::cache()`].
pub fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let path = path.as_ref();
    let place = thread::place("`fleche::fs::read`");
    if !thread::running() {
        return std::fs::read(path);
    }
    let input = input::file(path);
    match read_with_stamps(&place, path) {
        Ok((bytes, digest)) => {
            observed(&place, path, input, digest);
            Ok(bytes)
        }
        Err(error) => Err(failed(&place, path, input, error)),
    }
}

/// Reads a whole file as UTF-8, as [`std::fs::read_to_string`] does. A file that is not UTF-8 is an input like
/// any other: the call sees the error again until the file changes.
///
/// # Errors
///
/// Those of [`std::fs::read_to_string`]. One of the system's that is not about absence leaves the running call
/// unrecorded.
///
/// # Panics
///
/// On a thread other than the main one that has no cache in scope; see [`crate::cache()`].
pub fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    String::from_utf8(read(path)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "stream did not contain valid UTF-8"))
}

/// The digest of a path's content without its bytes: BLAKE3 of a file's bytes, or a digest over everything in a
/// directory (names, kinds, link texts, executable bits, contents). `None` if nothing is there.
///
/// # Errors
///
/// If the path cannot be looked at or something in it cannot be read; that leaves the running call unrecorded.
///
/// # Panics
///
/// On a thread other than the main one that has no cache in scope; see [`crate::cache()`].
pub fn digest(path: impl AsRef<Path>) -> io::Result<Option<Digest>> {
    let path = path.as_ref();
    let place = thread::place("`fleche::fs::digest`");
    let files = place.cache.files();
    // What a plan assumes or this picture already holds goes before what lies there now.
    let tree = input::tree(path);
    let input = if place.revision.has(tree) || path.is_dir() { tree } else { input::file(path) };
    let Some(digest) = graph::look(&place, input) else {
        let error =
            files.tree(path).err().unwrap_or_else(|| io::Error::other("it changed while it was read"));
        thread::taint(Taint::FailedRead(error.to_string()));
        return Err(error);
    };
    relative(&place, path);
    thread::record(Dep::Input(input), digest);
    Ok((digest != input::absent()).then_some(digest))
}

fn read_with_stamps(place: &Place, path: &Path) -> io::Result<(Vec<u8>, Digest)> {
    let mut file = File::open(path)?;
    let before = file.metadata()?;
    let mut bytes = Vec::with_capacity(usize::try_from(before.len()).unwrap_or_default());
    file.read_to_end(&mut bytes)?;
    let after = file.metadata()?;
    let digest = Digest::of(&bytes);
    place.cache.files().learn(&before, &after, digest);
    Ok((bytes, digest))
}

/// Records what was read, if the picture agrees with it.
fn observed(place: &Place, path: &Path, input: InputId, digest: Digest) {
    relative(place, path);
    if graph::settle(place, input, digest) {
        thread::record(Dep::Input(input), digest);
    } else {
        thread::taint(Taint::Changed);
    }
}

fn failed(place: &Place, path: &Path, input: InputId, error: io::Error) -> io::Error {
    if input::is_absence(&error) {
        observed(place, path, input, input::absent());
    } else if path.is_dir()
        && let Some(digest) = graph::look(place, input)
    {
        // A directory in the file's place is a state that can be observed again.
        observed(place, path, input, digest);
    } else {
        thread::taint(Taint::FailedRead(error.to_string()));
    }
    error
}

/// A relative path means what the working directory makes of it.
fn relative(place: &Place, path: &Path) {
    if path.is_relative()
        && let here = place.cache.files().working_directory()
        && let Some(digest) = graph::look(place, here)
    {
        thread::record(Dep::Input(here), digest);
    }
}
