//! `fleche.toml`, as far as a library needs it: which caches there are and which is the default.
//!
//! Tasks and everything else in the file are the command line's; unknown keys are not looked at here.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use serde::Deserialize;

use crate::cache::Cache;
use crate::error::{Error, Result};

/// One handle a directory and process, so that all scopes share memos.
static OPEN: Mutex<Option<HashMap<PathBuf, Cache>>> = Mutex::new(None);

/// The file's name.
const FILE: &str = "fleche.toml";

#[derive(Debug, Default, Deserialize)]
struct Config {
    #[serde(default)]
    default: Defaults,
    #[serde(default)]
    cache: HashMap<String, Place>,
}

#[derive(Debug, Default, Deserialize)]
struct Defaults {
    cache: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Place {
    path: PathBuf,
}

/// The default cache: what `[default] cache` names, else memory.
pub(crate) fn default() -> Result<Cache> {
    match found()? {
        Some((file, config)) => match &config.default.cache {
            Some(name) => open(name, Some((&file, &config))),
            None => Ok(Cache::memory()),
        },
        None => Ok(Cache::memory()),
    }
}

/// The cache of that name.
pub(crate) fn named(name: &str) -> Result<Cache> {
    match name {
        "memory" => Ok(Cache::memory()),
        "void" => Ok(Cache::void()),
        _ => {
            let found = found()?;
            open(name, found.as_ref().map(|(file, config)| (file.as_path(), config)))
        }
    }
}

fn open(name: &str, found: Option<(&Path, &Config)>) -> Result<Cache> {
    match name {
        "memory" => return Ok(Cache::memory()),
        "void" => return Ok(Cache::void()),
        _ => {}
    }
    let Some((file, config)) = found else {
        return Err(Error::NoSuchCache {
            name: name.into(),
            searched: format!("no {FILE} in the working directory or above it"),
        });
    };
    let place = config.cache.get(name).ok_or_else(|| Error::NoSuchCache {
        name: name.into(),
        searched: format!("not in {}", file.display()),
    })?;
    let root = file.parent().unwrap_or(Path::new("/"));
    let dir = root.join(&place.path);
    let mut open = OPEN.lock();
    let open = open.get_or_insert_default();
    if let Some(cache) = open.get(&dir) {
        return Ok(cache.clone());
    }
    let cache = Cache::open_at(&dir, root)?;
    open.insert(dir, cache.clone());
    Ok(cache)
}

/// The nearest `fleche.toml`, from the working directory upwards.
fn found() -> Result<Option<(PathBuf, Config)>> {
    let here = std::env::current_dir()?;
    for dir in here.ancestors() {
        let file = dir.join(FILE);
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if crate::input::is_absence(&error) => continue,
            Err(error) => return Err(Error::Config { file, reason: error.to_string() }),
        };
        let config = toml::from_str(&text)
            .map_err(|error| Error::Config { file: file.clone(), reason: error.message().to_string() })?;
        return Ok(Some((file, config)));
    }
    Ok(None)
}
