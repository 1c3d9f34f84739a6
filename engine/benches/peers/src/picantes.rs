//! picante, on one thread, saved and loaded whole with its own `persist`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use picante::db::{DynIngredient, IngredientLookup, IngredientRegistry};
use picante::ingredient::{DerivedIngredient, InputIngredient};
use picante::key::QueryKindId;
use picante::persist::{load_cache, save_cache};
use picante::runtime::{HasRuntime, Runtime};

use crate::graph::{self, Peer, WIDTH};

#[derive(Default)]
struct Db {
    runtime: Runtime,
    ingredients: IngredientRegistry<Self>,
}

impl HasRuntime for Db {
    fn runtime(&self) -> &Runtime {
        &self.runtime
    }
}

impl IngredientLookup for Db {
    fn ingredient(&self, kind: QueryKindId) -> Option<&dyn DynIngredient<Self>> {
        self.ingredients.ingredient(kind)
    }
}

type Inputs = Arc<InputIngredient<u32, u64>>;
type Nodes = DerivedIngredient<Db, (u32, u32), u64>;

pub struct Picante {
    tokio: tokio::runtime::Runtime,
    db: Db,
    inputs: Inputs,
    nodes: Arc<Nodes>,
    top: Arc<DerivedIngredient<Db, u32, u64>>,
}

fn node_of(inputs: Inputs, weak: Weak<Nodes>) -> Nodes {
    Nodes::new(QueryKindId(2), "Node", move |db, (layer, at)| {
        let (inputs, nodes) = (inputs.clone(), weak.upgrade().expect("it is asked"));
        Box::pin(async move {
            if layer == 0 {
                return Ok(graph::lowest(inputs.get(db, &at)?.expect("set")));
            }
            let mut sum = 0;
            for callee in graph::callees(at) {
                sum += nodes.get(db, (layer - 1, callee)).await?;
            }
            Ok(graph::mixed(sum))
        })
    })
}

fn file(dir: &Path) -> PathBuf {
    dir.join("picante")
}

impl Picante {
    fn empty() -> Self {
        let tokio = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let mut db = Db::default();
        let inputs: Inputs = Arc::new(InputIngredient::new(QueryKindId(1), "Input"));
        let nodes = Arc::new_cyclic(|weak| node_of(inputs.clone(), weak.clone()));
        let all = nodes.clone();
        let top = Arc::new(DerivedIngredient::new(QueryKindId(3), "Top", move |db, layers| {
            let nodes = all.clone();
            Box::pin(async move {
                let mut sum = 0;
                for at in 0..WIDTH {
                    sum += nodes.get(db, (layers - 1, at)).await?;
                }
                Ok(sum)
            })
        }));
        db.ingredients.register(inputs.clone());
        db.ingredients.register(nodes.clone());
        db.ingredients.register(top.clone());
        Self { tokio, db, inputs, nodes, top }
    }
}

impl Peer for Picante {
    fn cold(_dir: &Path) -> Self {
        let mut new = Self::empty();
        (0..WIDTH).for_each(|at| new.set(at, graph::first_value(at)));
        new
    }

    fn warm(dir: &Path) -> Self {
        let new = Self::empty();
        let runtime = new.db.runtime();
        let loaded = new.tokio.block_on(async {
            load_cache(file(dir), runtime, &[&*new.inputs, &*new.nodes, &*new.top]).await.expect("whole")
        });
        assert!(loaded, "it was saved");
        new
    }

    fn set(&mut self, at: u32, value: u64) {
        self.inputs.set(&self.db, at, value);
    }

    fn one(&mut self, layer: u32, at: u32) -> u64 {
        self.tokio.block_on(self.nodes.get(&self.db, (layer, at))).expect("it never fails")
    }

    fn all(&mut self, layers: u32) -> u64 {
        self.tokio.block_on(self.top.get(&self.db, layers)).expect("it never fails")
    }

    fn save(self, dir: &Path) {
        let runtime = self.db.runtime();
        self.tokio.block_on(async {
            save_cache(file(dir), runtime, &[&*self.inputs, &*self.nodes, &*self.top])
                .await
                .expect("written");
        });
    }
}
