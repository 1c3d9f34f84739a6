//! Earlier outputs, put aside while their task runs: thrown away once it has succeeded, put back if it has not, so that nothing
//! half-written takes the place of something good.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::path::is_below;
use crate::plan::Task;
use crate::staging::{Staging, remove, sweep};

/// The outputs that were there before.
#[derive(Debug)]
pub struct Stash {
    stagings: Vec<Staging>,
    moved: Vec<(PathBuf, PathBuf)>,
}

impl Stash {
    /// Empties a task's outputs except for what it keeps, and makes the directories that they go into.
    ///
    /// They are put into `work` if that is on their file system.
    pub fn put_aside(root: &Path, work: &Path, task: &Task) -> io::Result<Stash> {
        let mut stash = Stash { stagings: Vec::new(), moved: Vec::new() };
        for output in &task.outputs {
            let place = root.join(&output.path);
            if let Some(parent) = place.parent() {
                fs::create_dir_all(parent)?;
                sweep(parent);
            }
            if place.symlink_metadata().is_ok() {
                stash.stagings.push(Staging::near(&place, work)?);
                stash.aside(root, &output.path, task)?;
            }
            if output.directory {
                fs::create_dir_all(&place)?;
            }
        }
        Ok(stash)
    }

    fn aside(&mut self, root: &Path, path: &str, task: &Task) -> io::Result<()> {
        let place = root.join(path);
        let Ok(metadata) = fs::symlink_metadata(&place) else { return Ok(()) };
        if task.keeps(path) {
            return Ok(());
        }
        if metadata.is_dir() && task.keep.iter().any(|keep| is_below(keep, path)) {
            for child in children(&place)? {
                self.aside(root, &format!("{path}/{child}"), task)?;
            }
            return Ok(());
        }
        let Some(staging) = self.stagings.last_mut() else { return Ok(()) };
        let aside = staging.place();
        fs::rename(&place, &aside)?;
        self.moved.push((place, aside));
        Ok(())
    }

    /// Removes whatever the task left in its outputs and puts the earlier ones back.
    pub fn put_back(self, root: &Path, task: &Task) -> io::Result<()> {
        for output in &task.outputs {
            clear(root, &output.path, task)?;
        }
        for (place, aside) in &self.moved {
            if let Some(parent) = place.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::rename(aside, place)?;
        }
        Ok(())
    }
}

/// Removes an output except for what its task keeps.
pub fn clear(root: &Path, path: &str, task: &Task) -> io::Result<()> {
    let place = root.join(path);
    if task.keeps(path) {
        return Ok(());
    }
    let is_directory = fs::symlink_metadata(&place).is_ok_and(|metadata| metadata.is_dir());
    if is_directory && task.keep.iter().any(|keep| is_below(keep, path)) {
        for child in children(&place)? {
            clear(root, &format!("{path}/{child}"), task)?;
        }
        return Ok(());
    }
    remove(&place)
}

fn children(directory: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(directory)?
        .map(|entry| {
            entry?
                .file_name()
                .into_string()
                .map_err(|name| io::Error::other(format!("the name {} is not UTF-8", name.display())))
        })
        .collect()
}
