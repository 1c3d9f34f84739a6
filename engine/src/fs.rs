//! Tracked reads of files: each becomes an input of the call that made it.
//!
//! The functions take what those of [`std::fs`] take, and fail as they fail. A read returns bytes of the current
//! revision, or the running call is spoilt: what it makes of them is not kept. Outside a cached call they are
//! plain reads. An [`Overlay`](crate::Overlay) of the cache in scope lies over all of them.
//!
//! What does not exist is an input like what does: the call runs again when it appears. What cannot be looked at for
//! another reason (a permission, say) leaves the running call unrecorded, and so does what gives other bytes each time
//! it is read: a pipe, a socket or a device is refused.

mod file;
mod map;
mod metadata;
mod walk;

use std::io;
use std::path::{Path, PathBuf};

use fleche_store::Digest;

pub use self::file::File;
pub use self::map::{Map, map};
pub use self::metadata::Metadata;
pub use self::walk::{DirEntry, Entries, FileType, Glob, ReadDir, Tree, Walk, glob, read_dir, walk};
use crate::frame::{Dep, Taint};
use crate::graph;
use crate::input::{self, Input, InputId};
use crate::system::Kind;
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
    if is_plain(&place) {
        return std::fs::read(path);
    }
    let at = absolute(path);
    let input = input::file(&at);
    match place.cache.files().read(&at) {
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

/// Opens a file to be read piece by piece, as [`std::fs::File::open`] does: for what is too large for memory.
///
/// The input is all of the content, whatever part of it is read; it is digested first, unless its digest is known.
/// A file that was written a moment ago, and that is too large to be copied, is waited for until its stamp can be
/// trusted: some fractions of a second.
///
/// ```
/// # use std::path::Path;
/// use std::io::{BufRead, BufReader};
///
/// #[fleche::fleche]
/// fn first_line(path: &Path) -> std::io::Result<String> {
///     BufReader::new(fleche::fs::open(path)?).lines().next().unwrap_or(Ok(String::new()))
/// }
/// # fn main() -> fleche::Result<()> {
/// # let _scope = fleche::cache("memory")?;
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("a");
/// std::fs::write(&path, "one\ntwo\n")?;
/// assert_eq!(first_line(&path)?, "one");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Those of [`std::fs::File::open`], and if the file changes while it is digested.
///
/// # Panics
///
/// On a thread other than the main one that has no cache in scope; see [`crate::cache()`].
pub fn open(path: impl AsRef<Path>) -> io::Result<File> {
    let path = path.as_ref();
    let place = thread::place("`fleche::fs::open`");
    if is_plain(&place) {
        return std::fs::File::open(path).map(File::plain);
    }
    let at = absolute(path);
    let input = input::file(&at);
    match place.cache.files().open(&at) {
        Ok((opened, digest)) => {
            observed(&place, path, input, digest);
            Ok(File::tracked(opened, at, place.revision.clone()))
        }
        Err(error) => Err(failed(&place, path, input, error)),
    }
}

/// Kind, length and permissions of what is at the end of all links, as [`std::fs::metadata`] has them. The rest of
/// what the system knows (times, owner, inode) is no input; [`Metadata::modified`] makes the time one when it is
/// asked.
///
/// ```
/// # use std::path::Path;
/// #[fleche::fleche]
/// fn is_large(path: &Path) -> std::io::Result<bool> {
///     Ok(fleche::fs::metadata(path)?.len() > 1000)
/// }
/// # fn main() -> fleche::Result<()> {
/// # let _scope = fleche::cache("memory")?;
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("a");
/// std::fs::write(&path, "short")?;
/// assert!(!is_large(&path)?);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Those of [`std::fs::metadata`]. One that is not about absence leaves the running call unrecorded.
///
/// # Panics
///
/// On a thread other than the main one that has no cache in scope; see [`crate::cache()`].
pub fn metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    status("`fleche::fs::metadata`", path.as_ref(), true)
}

/// Like [`metadata`], of a link itself if there is one, as [`std::fs::symlink_metadata`].
///
/// # Errors
///
/// Those of [`std::fs::symlink_metadata`]. One that is not about absence leaves the running call unrecorded.
///
/// # Panics
///
/// On a thread other than the main one that has no cache in scope; see [`crate::cache()`].
pub fn symlink_metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    status("`fleche::fs::symlink_metadata`", path.as_ref(), false)
}

fn status(what: &str, path: &Path, follow: bool) -> io::Result<Metadata> {
    let place = thread::place(what);
    let at = absolute(path);
    let whole = input::whole(&at);
    let found = place.cache.files().find(&at, follow);
    let input = || Input::Status(whole.clone(), follow).id();
    match found {
        Ok(found) => {
            if thread::running() {
                observed(&place, path, input(), input::status_digest(&found));
            }
            Ok(Metadata::new(whole, follow, &found))
        }
        Err(error) => Err(failed(&place, path, input(), error)),
    }
}

/// Whether there is something at the end of all links, as [`std::fs::exists`].
///
/// ```
/// # use std::path::Path;
/// #[fleche::fleche]
/// fn is_configured(project: &Path) -> std::io::Result<bool> {
///     fleche::fs::exists(project.join("settings.toml"))
/// }
/// # fn main() -> fleche::Result<()> {
/// # let _scope = fleche::cache("memory")?;
/// # let dir = tempfile::tempdir()?;
/// assert!(!is_configured(dir.path())?);
/// std::fs::write(dir.path().join("settings.toml"), "")?;
/// assert!(is_configured(dir.path())?);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Those of [`std::fs::exists`]; they leave the running call unrecorded.
///
/// # Panics
///
/// On a thread other than the main one that has no cache in scope; see [`crate::cache()`].
pub fn exists(path: impl AsRef<Path>) -> io::Result<bool> {
    let path = path.as_ref();
    let place = thread::place("`fleche::fs::exists`");
    let at = absolute(path);
    let exists = match place.cache.files().find(&at, true) {
        Ok(_) => true,
        Err(error) if input::is_absence(&error) => false,
        Err(error) => {
            thread::taint(Taint::FailedRead(error.to_string()));
            return Err(error);
        }
    };
    if thread::running() {
        let input = Input::Exists(input::whole(&at)).id();
        // A slash at the end asks for more than the input tells.
        if !input::wants_directory(path) {
            observed(&place, path, input, if exists { input::present() } else { input::absent() });
        } else if let Some(digest) = graph::look(&place, input) {
            observed(&place, path, input, digest);
            let _kind = status("`fleche::fs::exists`", path.components().as_path(), true);
        } else {
            thread::taint(Taint::Changed);
        }
    }
    Ok(exists)
}

/// The text of a link, as [`std::fs::read_link`]. What it leads to is no part of the input.
///
/// # Errors
///
/// Those of [`std::fs::read_link`]. Where there is something else than a link, or nothing, the call sees that again
/// until it changes.
///
/// # Panics
///
/// On a thread other than the main one that has no cache in scope; see [`crate::cache()`].
pub fn read_link(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    let path = path.as_ref();
    let place = thread::place("`fleche::fs::read_link`");
    let at = absolute(path);
    let input = Input::Link(input::whole(&at)).id();
    let result = place.cache.files().link(&at);
    let result = result.map_err(|error| if input::is_absence(&error) { nothing_there() } else { error });
    match &result {
        _ if !thread::running() => {}
        Ok(text) => observed(&place, path, input, input::link_digest(text)),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            observed(&place, path, input, input::no_link());
        }
        Err(error) if input::is_absence(error) => observed(&place, path, input, input::absent()),
        Err(error) => thread::taint(Taint::FailedRead(error.to_string())),
    }
    result
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
    let at = absolute(path);
    // What a plan assumes or this picture already holds goes before what lies there now.
    let tree = input::tree(&at);
    let is_directory = || files.find(&at, true).is_ok_and(|found| found.kind() == Kind::Directory);
    let input = if place.revision.has(tree) || is_directory() { tree } else { input::file(&at) };
    let Some(digest) = graph::look(&place, input) else {
        let error = files.tree(&at).err().unwrap_or_else(|| io::Error::other("it changed while it was read"));
        thread::taint(Taint::FailedRead(error.to_string()));
        return Err(error);
    };
    relative(&place, path, input);
    thread::record(Dep::Input(input), digest);
    Ok((digest != input::absent()).then_some(digest))
}

/// Nothing is to be recorded, and nothing lies over the disk.
fn is_plain(place: &Place) -> bool {
    !thread::running() && place.cache.files().layer().is_empty()
}

/// The path as it is to be opened: absolute, and otherwise as the caller wrote it.
fn absolute(path: &Path) -> PathBuf {
    if path.is_absolute() || path.as_os_str().is_empty() {
        return path.to_path_buf();
    }
    std::env::current_dir().map_or_else(|_| path.to_path_buf(), |here| here.join(path))
}

/// Records what was read, if the picture agrees with it.
fn observed(place: &Place, path: &Path, input: InputId, digest: Digest) {
    if !thread::running() {
        return;
    }
    relative(place, path, input);
    if graph::settle(place, input, digest) {
        thread::record(Dep::Input(input), digest);
    } else {
        thread::taint(Taint::Changed);
    }
}

/// What says that nothing is there. That a file is in a directory's place further up is the same state to an input,
/// so that it must be the same error: a call that told the two apart would be answered with the other one's result.
fn nothing_there() -> io::Error {
    // "No such file" on Unix and on Windows.
    io::Error::from_raw_os_error(2)
}

/// Records why nothing was read.
fn failed(place: &Place, path: &Path, input: InputId, error: io::Error) -> io::Error {
    let absent = input::is_absence(&error);
    let error = if absent && !input::wants_directory(path) { nothing_there() } else { error };
    if !thread::running() {
        return error;
    }
    if absent && !input::wants_directory(path) {
        observed(place, path, input, input::absent());
    } else if (absent || error.kind() == io::ErrorKind::IsADirectory)
        && let Some(digest) = graph::look(place, input)
    {
        // A directory in the file's place, or a file where a slash asks for a directory, is a state that can be
        // observed again.
        observed(place, path, input, digest);
        if absent && digest == input::absent() {
            return nothing_there();
        }
    } else {
        thread::taint(Taint::FailedRead(error.to_string()));
    }
    error
}

/// A relative path means what the working directory makes of it: that is an input too. It has to be the one that was
/// used for this input, and the same for all of a revision.
fn relative(place: &Place, path: &Path, input: InputId) {
    if path.is_absolute() {
        return;
    }
    let files = place.cache.files();
    let here = files.working_directory();
    let input = input.input();
    let names = path.components().filter(|part| part.as_os_str() != ".").count();
    // Of a tree the base may be further up than what was asked for.
    let used = match &*input {
        Input::Tree(_) => None,
        other => other.path().and_then(|whole| whole.ancestors().nth(names)),
    };
    match graph::look(place, here) {
        Some(digest)
            if used.is_none_or(|used| input::working_directory_digest(used, files.root()) == digest) =>
        {
            thread::record(Dep::Input(here), digest);
        }
        Some(_) => {
            place.revision.spoil();
            thread::taint(Taint::Changed);
        }
        None => thread::taint(Taint::FailedRead("the working directory cannot be found".into())),
    }
}
