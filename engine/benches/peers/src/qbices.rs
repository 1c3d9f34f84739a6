//! qbice, over fjall: its other store, `RocksDB`, is a large C++ library to build. It saves behind one's back; what is
//! not written yet is when it is dropped.

use std::path::Path;
use std::sync::Arc;

use qbice::serialize::Plugin;
use qbice::stable_hash::{SeededStableHasherBuilder, Sip128Hasher};
use qbice::storage::kv_database::fjall::Fjall;
use qbice::storage::storage_engine::db_backed::{Configuration, DbBacked, DbBackedFactory};
use qbice::{Config, Decode, Encode, Engine, Executor, Identifiable, Query, StableHash, TrackedEngine};

use crate::graph::{self, Peer, WIDTH};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Identifiable)]
struct OnFjall;

impl Config for OnFjall {
    type StorageEngine = DbBacked<Fjall>;
    type BuildStableHasher = SeededStableHasherBuilder<Sip128Hasher>;
    type BuildHasher = fxhash::FxBuildHasher;
}

macro_rules! query {
    ($name:ident { $($field:ident),* }) => {
        #[derive(Debug, Clone, PartialEq, Eq, Hash, StableHash, Identifiable, Encode, Decode)]
        struct $name {
            $($field: u32),*
        }

        impl Query for $name {
            type Value = u64;
        }
    };
}

query!(Source { at });
query!(Node { layer, at });
query!(Top { layers });

struct Run;

impl<C: Config> Executor<Node, C> for Run {
    async fn execute(&self, node: &Node, engine: &TrackedEngine<C>) -> u64 {
        if node.layer == 0 {
            return graph::lowest(engine.query(&Source { at: node.at }).await);
        }
        let mut sum = 0;
        for at in graph::callees(node.at) {
            sum += engine.query(&Node { layer: node.layer - 1, at }).await;
        }
        graph::mixed(sum)
    }
}

impl<C: Config> Executor<Top, C> for Run {
    async fn execute(&self, top: &Top, engine: &TrackedEngine<C>) -> u64 {
        let mut sum = 0;
        for at in 0..WIDTH {
            sum += engine.query(&Node { layer: top.layers - 1, at }).await;
        }
        sum
    }
}

pub struct Qbice {
    tokio: tokio::runtime::Runtime,
    engine: Arc<Engine<OnFjall>>,
}

impl Qbice {
    fn ask(&mut self, query: &impl Query<Value = u64>) -> u64 {
        self.tokio.block_on(async { self.engine.clone().tracked().await.query(query).await })
    }
}

impl Peer for Qbice {
    fn cold(dir: &Path) -> Self {
        let new = Self::warm(dir);
        new.tokio.block_on(async {
            let mut session = new.engine.input_session().await;
            for at in 0..WIDTH {
                session.set_input(Source { at }, graph::first_value(at)).await;
            }
            session.commit().await;
        });
        new
    }

    fn warm(dir: &Path) -> Self {
        let tokio = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let factory = DbBackedFactory::builder()
            .configuration(Configuration::builder().build())
            .db_factory(Fjall::factory(dir.join("qbice")))
            .build();
        let hasher = SeededStableHasherBuilder::<Sip128Hasher>::new(0);
        let engine = tokio.block_on(Engine::<OnFjall>::new_with(Plugin::default(), factory, hasher));
        let mut engine = engine.ok().expect("a database");
        let run = Arc::new(Run);
        engine.register_executor::<Node, _>(run.clone());
        engine.register_executor::<Top, _>(run);
        Self { tokio, engine: Arc::new(engine) }
    }

    fn set(&mut self, at: u32, value: u64) {
        self.tokio.block_on(async {
            let mut session = self.engine.input_session().await;
            session.set_input(Source { at }, value).await;
            session.commit().await;
        });
    }

    fn one(&mut self, layer: u32, at: u32) -> u64 {
        self.ask(&Node { layer, at })
    }

    fn all(&mut self, layers: u32) -> u64 {
        self.ask(&Top { layers })
    }

    fn save(self, _dir: &Path) {
        // The engine waits for what is being written, and wants to be dropped within its runtime.
        let Self { tokio, engine } = self;
        tokio.block_on(async { drop(engine) });
    }
}
