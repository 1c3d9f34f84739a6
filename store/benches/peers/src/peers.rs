//! The peers, each as fast as it is when it survives a kill of the process but not of the machine.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use fleche_store::{
    Argument, CallKey, Dependency, Digest, Edge, Identity, Options, Put, Record, Store, Stored,
    TypeFingerprint, ValueDigest,
};
use heed::types::Bytes as HeedBytes;

pub const FP: TypeFingerprint = TypeFingerprint(1);

pub fn key(i: u64) -> [u8; 32] {
    *blake3::hash(&i.to_le_bytes()).as_bytes()
}

pub fn payload(i: u64, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    let mut word = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for chunk in bytes.chunks_mut(8) {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
    }
    bytes
}

/// A store of bytes under digests.
pub trait Peer {
    fn put(&mut self, batch: &[([u8; 32], Vec<u8>)]);
    /// The first byte of a value, having copied or mapped all of it.
    fn get(&self, key: &[u8; 32]) -> Option<u8>;
}

pub struct Fleche(pub Store);

impl Fleche {
    pub fn open(dir: &Path) -> Self {
        Self(Store::open(dir, Options::default()).unwrap())
    }
}

impl Peer for Fleche {
    fn put(&mut self, batch: &[([u8; 32], Vec<u8>)]) {
        let puts = batch.iter().map(|(key, value)| Put::Value {
            digest: ValueDigest::new(Digest::from_bytes(*key)),
            fingerprint: FP,
            bytes: value,
        });
        self.0.put_all(&puts.collect::<Vec<_>>()).unwrap();
    }
    fn get(&self, key: &[u8; 32]) -> Option<u8> {
        self.0.value(&ValueDigest::new(Digest::from_bytes(*key)), FP).unwrap().map(|bytes| bytes[0])
    }
}

/// Value and record together, hashed here as the engine would.
pub struct FlecheResults(pub Store);

pub fn record(i: u64, value: &[u8]) -> Record {
    let argument = ValueDigest::new(Digest::of(&i.to_le_bytes()));
    let identity = Identity {
        function: "demo::words::count".into(),
        package: "demo".into(),
        module: "demo::words".into(),
        arguments: vec![Argument {
            name: "n".into(),
            digest: argument,
            encoded: Some(i.to_le_bytes().to_vec()),
        }],
    };
    let dependency = Dependency::Input { kind: 1, name: b"data/book.txt".to_vec() };
    Record {
        key: CallKey::new(Digest::of(identity.id().as_bytes())),
        identity,
        trace: vec![Edge { dependency, observed: Digest::from_bytes([7; 32]) }],
        result: Stored { digest: ValueDigest::new(Digest::of(value)), fingerprint: FP },
        meta: Vec::new(),
        created_ms: 0,
        clock: 0,
    }
}

impl Peer for FlecheResults {
    fn put(&mut self, batch: &[([u8; 32], Vec<u8>)]) {
        let number = |key: &[u8; 32]| u64::from_le_bytes(*key.first_chunk().unwrap());
        let records: Vec<_> = batch.iter().map(|(key, value)| record(number(key), value)).collect();
        let puts: Vec<_> =
            records.iter().zip(batch).map(|(record, (_, value))| Put::Result(record, value)).collect();
        self.0.put_all(&puts).unwrap();
    }
    fn get(&self, key: &[u8; 32]) -> Option<u8> {
        let i = u64::from_le_bytes(*key.first_chunk().unwrap());
        let identity = record(i, b"").key;
        let record = self.0.records(&identity).unwrap().into_iter().next()?;
        self.0.value(&record.result.digest, FP).unwrap().map(|bytes| bytes[0])
    }
}

pub struct Heed(heed::Env, heed::Database<HeedBytes, HeedBytes>);

impl Heed {
    pub fn open(dir: &Path) -> Self {
        let mut options = heed::EnvOpenOptions::new();
        options.map_size(64 << 30);
        // SAFETY: nothing else touches the directory; without sync it survives a kill of the process.
        let env = unsafe { options.flags(heed::EnvFlags::NO_SYNC).open(dir).unwrap() };
        let mut txn = env.write_txn().unwrap();
        let db = env.create_database(&mut txn, None).unwrap();
        txn.commit().unwrap();
        Self(env, db)
    }
}

impl Peer for Heed {
    fn put(&mut self, batch: &[([u8; 32], Vec<u8>)]) {
        let mut txn = self.0.write_txn().unwrap();
        for (key, value) in batch {
            self.1.put(&mut txn, key, value).unwrap();
        }
        txn.commit().unwrap();
    }
    fn get(&self, key: &[u8; 32]) -> Option<u8> {
        let txn = self.0.read_txn().unwrap();
        self.1.get(&txn, key).unwrap().map(|bytes| bytes[0])
    }
}

pub struct Redb(redb::Database);

const REDB: redb::TableDefinition<&[u8], &[u8]> = redb::TableDefinition::new("t");

impl Redb {
    pub fn open(dir: &Path) -> Self {
        let db = redb::Database::create(dir.join("redb")).unwrap();
        let txn = db.begin_write().unwrap();
        txn.open_table(REDB).unwrap();
        txn.commit().unwrap();
        Self(db)
    }
}

impl Peer for Redb {
    fn put(&mut self, batch: &[([u8; 32], Vec<u8>)]) {
        let mut txn = self.0.begin_write().unwrap();
        txn.set_durability(redb::Durability::Eventual);
        {
            let mut table = txn.open_table(REDB).unwrap();
            for (key, value) in batch {
                table.insert(&key[..], &value[..]).unwrap();
            }
        }
        txn.commit().unwrap();
    }
    fn get(&self, key: &[u8; 32]) -> Option<u8> {
        let txn = self.0.begin_read().unwrap();
        txn.open_table(REDB).unwrap().get(&key[..]).unwrap().map(|value| value.value()[0])
    }
}

pub struct Fjall(fjall::Keyspace, fjall::PartitionHandle);

impl Fjall {
    pub fn open(dir: &Path) -> Self {
        let keyspace = fjall::Config::new(dir).open().unwrap();
        let partition = keyspace.open_partition("t", fjall::PartitionCreateOptions::default()).unwrap();
        Self(keyspace, partition)
    }
}

impl Peer for Fjall {
    fn put(&mut self, batch: &[([u8; 32], Vec<u8>)]) {
        let mut all = self.0.batch();
        for (key, value) in batch {
            all.insert(&self.1, &key[..], &value[..]);
        }
        all.commit().unwrap();
        self.0.persist(fjall::PersistMode::Buffer).unwrap();
    }
    fn get(&self, key: &[u8; 32]) -> Option<u8> {
        self.1.get(&key[..]).unwrap().map(|value| value[0])
    }
}

pub struct Sqlite(rusqlite::Connection);

impl Sqlite {
    pub fn open(dir: &Path) -> Self {
        let db = rusqlite::Connection::open(dir.join("sqlite")).unwrap();
        db.execute_batch(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA mmap_size=8589934592;
             CREATE TABLE IF NOT EXISTS t (k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID;",
        )
        .unwrap();
        Self(db)
    }
}

impl Peer for Sqlite {
    fn put(&mut self, batch: &[([u8; 32], Vec<u8>)]) {
        let txn = self.0.transaction().unwrap();
        {
            let mut put = txn.prepare_cached("INSERT OR REPLACE INTO t VALUES (?1, ?2)").unwrap();
            for (key, value) in batch {
                put.execute((&key[..], &value[..])).unwrap();
            }
        }
        txn.commit().unwrap();
    }
    fn get(&self, key: &[u8; 32]) -> Option<u8> {
        let mut get = self.0.prepare_cached("SELECT v FROM t WHERE k = ?1").unwrap();
        get.query_row((&key[..],), |row| row.get_ref(0).map(|value| value.as_blob().unwrap()[0])).ok()
    }
}

/// One file a value, under a temporary name first.
pub struct Files(pub PathBuf);

impl Files {
    fn path(&self, key: &[u8; 32]) -> PathBuf {
        let name: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        self.0.join(&name[..2]).join(&name[2..])
    }
}

impl Peer for Files {
    fn put(&mut self, batch: &[([u8; 32], Vec<u8>)]) {
        for (key, value) in batch {
            let path = self.path(key);
            let temporary = self.0.join("tmp");
            if fs::write(&temporary, value).and_then(|()| fs::rename(&temporary, &path)).is_err() {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::rename(&temporary, &path).unwrap();
            }
        }
    }
    fn get(&self, key: &[u8; 32]) -> Option<u8> {
        fs::read(self.path(key)).ok().map(|bytes| bytes[0])
    }
}

/// The floor: append, and a hash table in memory. No checks, no other process, gone with this one.
pub struct Floor(File, u64, HashMap<[u8; 32], (u64, usize)>);

impl Floor {
    pub fn open(dir: &Path) -> Self {
        let file = File::options().create(true).append(true).read(true).open(dir.join("floor")).unwrap();
        Self(file, 0, HashMap::new())
    }
}

impl Peer for Floor {
    fn put(&mut self, batch: &[([u8; 32], Vec<u8>)]) {
        let mut bytes = Vec::with_capacity(batch.iter().map(|(_, value)| value.len()).sum());
        for (key, value) in batch {
            self.2.insert(*key, (self.1, value.len()));
            self.1 += value.len() as u64;
            bytes.extend_from_slice(value);
        }
        self.0.write_all(&bytes).unwrap();
    }
    fn get(&self, key: &[u8; 32]) -> Option<u8> {
        let (offset, length) = self.2.get(key)?;
        let mut value = vec![0; *length];
        let mut file = &self.0;
        file.seek(SeekFrom::Start(*offset)).unwrap();
        file.read_exact(&mut value).unwrap();
        Some(value[0])
    }
}
