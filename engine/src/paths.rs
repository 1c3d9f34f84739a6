//! A map from paths that knows what lies below what.
//!
//! Keys are the paths' bytes, so that comparing is one `memcmp`; two spellings of a path are two keys.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;
use std::path::Path;

#[derive(Debug)]
pub(crate) struct PathMap<V>(BTreeMap<Box<[u8]>, V>);

impl<V> Default for PathMap<V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

#[cfg(unix)]
fn path(bytes: &[u8]) -> &Path {
    use std::os::unix::ffi::OsStrExt;
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

const SEPARATOR: u8 = std::path::MAIN_SEPARATOR as u8;

type Range = (Bound<Box<[u8]>>, Bound<Box<[u8]>>);

/// The bytes between which what lies below a path does.
fn range(path: &Path) -> Range {
    let mut first = bytes(path).to_vec();
    // The root's own separator serves.
    if first.last() != Some(&SEPARATOR) {
        first.push(SEPARATOR);
    }
    let mut last = first.clone();
    *last.last_mut().expect("it ends with a separator") += 1;
    (Bound::Excluded(first.into()), Bound::Excluded(last.into()))
}

impl<V> PathMap<V> {
    pub(crate) fn get(&self, path: &Path) -> Option<&V> {
        self.0.get(bytes(path))
    }

    pub(crate) fn entry(&mut self, path: &Path) -> Entry<'_, Box<[u8]>, V> {
        self.0.entry(bytes(path).into())
    }

    /// What lies below the path, without the path itself.
    pub(crate) fn below(&self, path: &Path) -> impl Iterator<Item = (&[u8], &V)> {
        self.0.range(range(path)).map(|(path, value)| (&**path, value))
    }
}

#[cfg(unix)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only what watches by itself needs it"))]
impl<V> PathMap<V> {
    pub(crate) fn insert(&mut self, path: &Path, value: V) -> Option<V> {
        self.0.insert(bytes(path).into(), value)
    }

    pub(crate) fn remove(&mut self, path: &Path) -> Option<V> {
        self.0.remove(bytes(path))
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes out the path and all below it.
    pub(crate) fn take(&mut self, path: &Path) -> Vec<(Box<[u8]>, V)> {
        let own = self.0.remove_entry(bytes(path));
        let below: Vec<Box<[u8]>> = self.0.range(range(path)).map(|(path, _)| path.clone()).collect();
        own.into_iter().chain(below.into_iter().filter_map(|key| self.0.remove_entry(&key))).collect()
    }
}

/// A key as a path.
#[cfg(unix)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only what watches by itself needs it"))]
pub(crate) fn of_key(key: &[u8]) -> &Path {
    path(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_is_what_lies_in_the_directory_and_nothing_that_is_only_named_alike() {
        let mut map = PathMap::default();
        for path in ["/a", "/a-b", "/a.b", "/a/x", "/a/x/y", "/a0", "/ab", "/b"] {
            map.entry(Path::new(path)).or_insert(());
        }
        let below = |path: &str| {
            map.below(Path::new(path))
                .map(|(p, ())| String::from_utf8(p.to_vec()).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(below("/a"), ["/a/x", "/a/x/y"]);
        assert_eq!(below("/"), ["/a", "/a-b", "/a.b", "/a/x", "/a/x/y", "/a0", "/ab", "/b"]);
        assert_eq!(below("/a/x/y"), [""; 0]);
    }
}
