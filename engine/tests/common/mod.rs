//! A temporary project with a cache in it, short calls to edit its files, and the log of what ran.

#![allow(dead_code, unreachable_pub, reason = "each test file uses what it needs")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use fleche::{Cache, Scope};
use tempfile::TempDir;

/// A project in a directory of its own. Its cache is in scope on the thread that made it.
pub struct Project {
    dir: TempDir,
    pub cache: Cache,
    scope: Option<Scope>,
    log: Arc<Mutex<Vec<String>>>,
}

impl Project {
    pub fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let cache = Cache::open(dir.path().join(".fleche")).unwrap();
        let mut project = Self { dir, cache, scope: None, log: Arc::default() };
        project.enter();
        project
    }

    /// Without a log: for so many calls that telling of each would take most of the time.
    pub fn quiet() -> Self {
        let dir = TempDir::new().unwrap();
        let cache = Cache::open(dir.path().join(".fleche")).unwrap();
        let scope = Some(fleche::cache(&cache).unwrap());
        Self { dir, cache, scope, log: Arc::default() }
    }

    /// As [`Project::restart`], without a log.
    pub fn restart_quietly(&mut self) {
        self.cache = Cache::open(self.dir.path().join(".fleche")).unwrap();
        self.scope = None;
        self.scope = Some(fleche::cache(&self.cache).unwrap());
    }

    fn enter(&mut self) {
        self.scope = None;
        self.scope = Some(fleche::cache(&self.cache).unwrap());
        let log = self.log.clone();
        self.cache.subscribe(move |event| log.lock().unwrap().push(event.to_string()));
    }

    /// What a new process would see: the same store without anything remembered in memory.
    pub fn restart(&mut self) {
        self.cache = Cache::open(self.dir.path().join(".fleche")).unwrap();
        self.enter();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    /// What happened since the last look, paths shortened to the project.
    pub fn log(&self) -> Vec<String> {
        let root = format!("{}/", self.dir.path().display());
        let events = std::mem::take(&mut *self.log.lock().unwrap());
        events.into_iter().map(|event| event.replace(&root, "")).collect()
    }
}
