//! salsa, saved and loaded with its feature `persistence`, as JSON, which is the only format its own tests have.

use std::fs;
use std::path::{Path, PathBuf};

use salsa::{Database, DatabaseImpl, Setter as _};

use crate::graph::{self, Peer, WIDTH};

#[salsa::input(persist)]
struct Source {
    value: u64,
}

#[salsa::input(persist, singleton)]
struct Sources {
    #[returns(ref)]
    all: Vec<Source>,
}

#[salsa::interned(persist)]
struct Place<'db> {
    layer: u32,
    at: u32,
}

#[salsa::tracked(persist)]
fn node<'db>(db: &'db dyn Database, sources: Sources, place: Place<'db>) -> u64 {
    let (layer, at) = (*place.layer(db), *place.at(db));
    if layer == 0 {
        return graph::lowest(*sources.all(db)[at as usize].value(db));
    }
    graph::mixed(graph::callees(at).map(|callee| node(db, sources, Place::new(db, layer - 1, callee))).sum())
}

#[salsa::tracked(persist)]
fn top(db: &dyn Database, sources: Sources, layers: u32) -> u64 {
    (0..WIDTH).map(|at| node(db, sources, Place::new(db, layers - 1, at))).sum()
}

pub struct Salsa {
    db: DatabaseImpl,
    sources: Sources,
}

fn file(dir: &Path) -> PathBuf {
    dir.join("salsa.json")
}

impl Peer for Salsa {
    fn cold(_dir: &Path) -> Self {
        let db = DatabaseImpl::new();
        let all = (0..WIDTH).map(|at| Source::new(&db, graph::first_value(at))).collect();
        let sources = Sources::new(&db, all);
        Self { db, sources }
    }

    fn warm(dir: &Path) -> Self {
        let mut db = DatabaseImpl::new();
        let text = fs::read(file(dir)).expect("saved");
        <dyn Database>::deserialize(&mut db, &mut serde_json::Deserializer::from_slice(&text))
            .expect("whole");
        let sources = Sources::get(&db);
        Self { db, sources }
    }

    fn set(&mut self, at: u32, value: u64) {
        let source = self.sources.all(&self.db)[at as usize];
        source.set_value(&mut self.db).to(value);
    }

    fn one(&mut self, layer: u32, at: u32) -> u64 {
        *node(&self.db, self.sources, Place::new(&self.db, layer, at))
    }

    fn all(&mut self, layers: u32) -> u64 {
        *top(&self.db, self.sources, layers)
    }

    fn save(mut self, dir: &Path) {
        let text = serde_json::to_vec(&<dyn Database>::as_serialize(&mut self.db)).expect("numbers");
        fs::write(file(dir), text).expect("written");
    }
}
