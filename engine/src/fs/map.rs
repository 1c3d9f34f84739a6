//! A tracked file's bytes where they lie, without copying: the one place where a file that others may write is mapped.

use std::io;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use fleche_store::Digest;

use super::{absolute, failed, is_plain, observed};
use crate::files::{self, Opened};
use crate::input;
use crate::thread;

/// The bytes of a file, mapped by [`map`].
#[derive(Debug)]
pub struct Map(Inner);

#[derive(Debug)]
enum Inner {
    Mapped(memmap2::Mmap),
    Bytes(Arc<[u8]>),
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Inner::Mapped(map) => map,
            Inner::Bytes(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Map {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// Maps a file into memory, as `memmap2::Mmap::map` does: its bytes are there without having been copied. They are
/// checked against the digest that the input is recorded with. A small file that was written a moment ago is copied
/// instead.
///
/// ```
/// # use std::path::Path;
/// #[fleche::fleche]
/// fn zeros(path: &Path) -> std::io::Result<u64> {
///     // SAFETY: measurements are written once and never altered.
///     let bytes = unsafe { fleche::fs::map(path)? };
///     Ok(bytes.iter().filter(|byte| **byte == 0).count() as u64)
/// }
/// # fn main() -> fleche::Result<()> {
/// # let _scope = fleche::cache("memory")?;
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("a");
/// std::fs::write(&path, [0, 1, 0])?;
/// assert_eq!(zeros(&path)?, 2);
/// # Ok(())
/// # }
/// ```
///
/// # Safety
///
/// Nobody may write to the file or truncate it while the [`Map`] lives, in this process or another: the bytes would
/// change under a shared reference, and those beyond the new end cannot be read. Replacing the file by renaming
/// another over it is harmless. Where that cannot be promised, [`open`](super::open) is the way.
///
/// # Errors
///
/// Those of [`std::fs::File::open`] and of mapping, and if the file changes while it is digested.
///
/// # Panics
///
/// On a thread other than the main one that has no cache in scope; see [`crate::cache()`].
pub unsafe fn map(path: impl AsRef<Path>) -> io::Result<Map> {
    let path = path.as_ref();
    let place = thread::place("`fleche::fs::map`");
    if is_plain(&place) {
        let file = std::fs::File::open(path)?;
        // SAFETY: the caller promises that nobody writes to the file while it is mapped.
        return Ok(Map(Inner::Mapped(unsafe { memmap2::Mmap::map(&file)? })));
    }
    let at = absolute(path);
    let input = input::file(&at);
    let mapped = place.cache.files().open(&at).and_then(|(opened, digest)| {
        let map = match opened {
            Opened::Bytes(bytes) => Inner::Bytes(bytes),
            Opened::File { file, stamp } => {
                // SAFETY: the caller promises that nobody writes to the file while it is mapped.
                let map = unsafe { memmap2::Mmap::map(&file.file)? };
                // The digest may be older than the mapping.
                if file.status()?.stamp != stamp && Digest::of(&map) != digest {
                    return Err(files::changed(path));
                }
                Inner::Mapped(map)
            }
        };
        Ok((Map(map), digest))
    });
    match mapped {
        Ok((map, digest)) => {
            observed(&place, path, input, digest);
            Ok(map)
        }
        Err(error) => Err(failed(&place, path, input, error)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use fleche_store::Store;

    use super::*;
    use crate::cache::Cache;
    use crate::system::double::Double;
    use crate::system::{Op, System};

    #[test]
    fn a_file_that_is_written_while_it_is_mapped_is_not_handed_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "one").unwrap();
        let double = Arc::<Double>::default();
        // So that the file itself is mapped, and not copied.
        double.wait(Duration::from_secs(5));
        let cache = Cache::through(System::with(double.clone()), Store::memory(), dir.path());
        let _scope = crate::cache(&cache).unwrap();
        // Anything in an overlay makes reads outside of calls tracked ones.
        cache.overlay().set(dir.path().join("other"), "").unwrap();
        // SAFETY: nobody writes while the map lives.
        let mapped = || unsafe { map(&path) };
        let statuses = Arc::<AtomicUsize>::default();
        let watch = |at: usize| {
            let (asked, path) = (statuses.clone(), path.clone());
            asked.store(0, Ordering::Relaxed);
            double.before(move |op, other| {
                if op == Op::Status && other == path && asked.fetch_add(1, Ordering::Relaxed) + 1 == at {
                    std::fs::write(&path, "two").unwrap();
                }
                Ok(())
            });
        };
        // Twice, so that its digest is known.
        for _ in 0..2 {
            watch(0);
            assert_eq!(&*mapped().unwrap(), b"one");
        }
        // After the look that finds the digest; the last one comes when the map is there.
        watch(statuses.load(Ordering::Relaxed) - 1);
        let error = mapped().unwrap_err();
        assert!(error.to_string().contains("changed while it was read"), "{error}");
        double.undisturbed();
        assert_eq!(&*mapped().unwrap(), b"two");
    }
}
