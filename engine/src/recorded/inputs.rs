//! Which recorded inputs some paths are part of.
//!
//! A file that was read is found by its name; a walk or a glob only by what it says of the path, so that all records are
//! read. None may be left out that the path belongs to; one too many is better.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use fleche_store::{Dependency, DependencyId, Store};
use foldhash::{HashSet, HashSetExt};

use crate::error::Result;
use crate::input::Input;

/// Some paths, and whether each is a directory.
pub(crate) type Paths = BTreeMap<PathBuf, bool>;

/// The inputs of a store's records that one of the `paths` (absolute) is part of, in no particular order.
pub(crate) fn inputs_at(
    store: &Store,
    root: &Path,
    paths: impl Iterator<Item = PathBuf>,
) -> Result<Vec<Dependency>> {
    let paths: Paths = paths
        .map(|path| {
            let path = as_traces_have_it(root, &path);
            let is_directory = path.is_dir();
            (path, is_directory)
        })
        .collect();
    let mut seen: HashSet<DependencyId> = HashSet::new();
    let mut inputs = Vec::new();
    store.for_each_record(&mut |record| {
        for edge in &record.trace {
            if let Dependency::Input { kind, name } = &edge.dependency
                && seen.insert(edge.dependency.id())
                && Input::parse(root, *kind, name).is_some_and(|input| input.covers_any(&paths))
            {
                inputs.push(edge.dependency.clone());
            }
        }
        ControlFlow::Continue(())
    })?;
    Ok(inputs)
}

/// Traces name what lies below the root relative to it, and the root is known without links. The last name stays: it
/// may be that of a link which was read.
fn as_traces_have_it(root: &Path, path: &Path) -> PathBuf {
    if path == root || path.canonicalize().is_ok_and(|real| real == root) {
        return root.to_path_buf();
    }
    // What is gone is named from the nearest directory that is still there.
    let parents = path.ancestors().skip(1);
    let real = parents.clone().find_map(|above| Some((above, above.canonicalize().ok()?)));
    match real {
        Some((above, real)) => real.join(path.strip_prefix(above).unwrap_or(path)),
        None => path.to_path_buf(),
    }
}
