//! [`Store`]: the whole face of this crate to the engine, over a disk or a memory backend.
//!
//! The store knows digests, bytes and records. It never learns what a function, a type or a task is.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use crate::backend::{Backend, Prefix};
use crate::bytes::Bytes;
use crate::digest::{CallId, CallKey, DependencyId, Digest, TypeFingerprint, ValueDigest};
use crate::disk::{Disk, Tuning};
use crate::error::{Error, Result};
use crate::gc::{GcOptions, GcReport};
use crate::memory::Memory;
use crate::pin::Pin;
use crate::put::Put;
use crate::record::Record;
use crate::verify::VerifyReport;

/// Values, records and notes, shared by threads (clone it) and, on disk, by processes (open it).
///
/// What was put is visible to the other threads of the process at once, and to other processes at their next lookup
/// that misses. Damage to stored data shows as a miss, never as an error or a wrong answer.
#[derive(Clone)]
pub struct Store {
    backend: Arc<dyn Backend>,
}

/// When a put counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Once the system has it: nothing is lost if the process is killed, little if the machine is.
    #[default]
    Process,
    /// Once the disk has it.
    Sync,
}

/// How to open a store.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Take no lock and write nothing.
    pub read_only: bool,
    /// When a put counts as done.
    pub durability: Durability,
    /// If there are any: what is put is signed with the first, and only what is signed with one of them is found.
    /// They keep out what somebody without a key put into a shared directory; they hide nothing.
    pub keys: Vec<SigningKey>,
}

/// A secret that entries are signed with.
#[derive(Clone)]
pub struct SigningKey([u8; 32]);

impl SigningKey {
    /// Makes a key of 32 bytes, which ought to be random.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// What a digest prefix can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Named {
    /// A call with a kept record.
    Call(CallId),
    /// A key with a kept record.
    Key(CallKey),
    /// A stored value.
    Value(ValueDigest, TypeFingerprint),
}

impl Named {
    /// The digest in question.
    pub fn digest(&self) -> Digest {
        match self {
            Self::Call(id) => id.digest(),
            Self::Key(key) => key.digest(),
            Self::Value(digest, _) => digest.digest(),
        }
    }
}

/// How much a store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Values, blobs among them.
    pub values: u64,
    /// Their bytes.
    pub value_bytes: u64,
    /// Records.
    pub records: u64,
    /// Notes.
    pub notes: u64,
    /// Segment files.
    pub segments: u64,
    /// Index tables.
    pub tables: u64,
    /// Bytes that all files take on disk.
    pub disk_bytes: u64,
}

impl Store {
    /// Opens the store in `dir`, which is made if it isn't there.
    pub fn open(dir: &Path, options: Options) -> Result<Self> {
        Ok(Self { backend: Disk::open(dir, options)? })
    }

    /// A store in memory.
    pub fn memory() -> Self {
        Self { backend: Arc::new(Memory::default()) }
    }

    /// Stores a value. Already there (by digest and fingerprint): nothing happens.
    pub fn put_value(&self, digest: ValueDigest, fingerprint: TypeFingerprint, bytes: &[u8]) -> Result<()> {
        self.put_all(&[Put::Value { digest, fingerprint, bytes }])
    }

    /// The bytes of a value.
    pub fn value(&self, digest: &ValueDigest, fingerprint: TypeFingerprint) -> Result<Option<Bytes>> {
        self.backend.value(digest, fingerprint)
    }

    /// How long a value is, without loading it.
    pub fn value_length(&self, digest: &ValueDigest, fingerprint: TypeFingerprint) -> Result<Option<u64>> {
        self.backend.value_length(digest, fingerprint)
    }

    /// Is this value stored?
    pub fn has_value(&self, digest: &ValueDigest, fingerprint: TypeFingerprint) -> Result<bool> {
        self.backend.has_value(digest, fingerprint)
    }

    /// Stores many things, in this order, with as few writes as possible: a batch of some thousand small ones is one.
    ///
    /// Each entry means what the method of its own means: what is there already is not written again. All of it is
    /// acknowledged together, when this returns. After an error, or a kill in the middle, some of the first may be
    /// stored, whole as ever, and no record without its value.
    ///
    /// ```
    /// use fleche_store::{Digest, Put, Store, TypeFingerprint, ValueDigest};
    ///
    /// let store = Store::memory();
    /// let words = ["one", "two", "three"].map(str::as_bytes);
    /// let puts = words.map(|bytes| Put::Value {
    ///     digest: ValueDigest::new(Digest::of(bytes)),
    ///     fingerprint: TypeFingerprint(1),
    ///     bytes,
    /// });
    /// store.put_all(&puts)?;
    /// assert_eq!(store.stats()?.values, 3);
    /// # Ok::<(), fleche_store::Error>(())
    /// ```
    pub fn put_all(&self, puts: &[Put<'_>]) -> Result<()> {
        self.backend.put_all(puts).map(drop)
    }

    /// Keeps a value in the store until the guard is dropped: no gc and no eviction of this process drops it, nor the
    /// blobs that it mentions. It need not be stored yet. Pin first, then look: what is found then stays.
    ///
    /// Other processes do not see pins. What their gc drops is a miss here, which heals by putting it again; bytes that
    /// were handed out stay valid either way.
    ///
    /// ```
    /// use fleche_store::{Digest, GcOptions, Store, TypeFingerprint, ValueDigest};
    ///
    /// let store = Store::memory();
    /// let (digest, kind) = (ValueDigest::new(Digest::of(b"kept")), TypeFingerprint(1));
    /// let pin = store.pin(&digest, kind);
    /// store.put_value(digest, kind, b"kept")?;
    /// store.gc(&GcOptions::default())?; // no record reaches it
    /// assert!(store.has_value(&digest, kind)?);
    /// drop(pin);
    /// store.gc(&GcOptions::default())?;
    /// assert!(!store.has_value(&digest, kind)?);
    /// # Ok::<(), fleche_store::Error>(())
    /// ```
    pub fn pin(&self, digest: &ValueDigest, fingerprint: TypeFingerprint) -> Pin {
        self.backend.pins().pin((*digest, fingerprint))
    }

    /// Stores the content of a file, streamed. Its digest is the plain BLAKE3 of the bytes.
    pub fn put_blob(&self, file: &Path) -> Result<(ValueDigest, u64)> {
        self.backend.put_blob(file)
    }

    /// Stores bytes as a blob.
    pub fn put_blob_bytes(&self, bytes: &[u8]) -> Result<ValueDigest> {
        let digest = ValueDigest::new(Digest::of(bytes));
        self.put_value(digest, TypeFingerprint::BLOB, bytes)?;
        Ok(digest)
    }

    /// The bytes of a blob.
    pub fn blob(&self, digest: &ValueDigest) -> Result<Option<Bytes>> {
        self.backend.value(digest, TypeFingerprint::BLOB)
    }

    /// Writes a blob to a new file, by reflink where the file system can, checked while it is copied.
    /// `false`: not stored. An existing `to` is an error.
    pub fn copy_blob(&self, digest: &ValueDigest, to: &Path) -> Result<bool> {
        self.backend.copy_blob(digest, to)
    }

    /// Stores a record and returns its logical time. If the newest record of its key says the same, that one's.
    pub fn put_record(&self, record: &Record) -> Result<u64> {
        self.backend.put_all(&[Put::Record(record)])
    }

    /// Stores a record together with its result: one write where two would be needed, and never the record alone.
    pub fn put_result(&self, record: &Record, value: &[u8]) -> Result<u64> {
        self.backend.put_all(&[Put::Result(record, value)])
    }

    /// The records of a key, newest first: one per distinct trace, at most eight.
    pub fn records(&self, key: &CallKey) -> Result<Vec<Arc<Record>>> {
        self.backend.records(key)
    }

    /// The newest record of a call under any key.
    pub fn newest(&self, call: &CallId) -> Result<Option<Arc<Record>>> {
        self.backend.newest(call)
    }

    /// The kept records of a call under any key, newest first.
    pub fn history(&self, call: &CallId) -> Result<Vec<Arc<Record>>> {
        self.backend.history(call)
    }

    /// The calls with a kept record whose trace names this dependency, in digest order.
    pub fn dependents(&self, dependency: &DependencyId) -> Result<Vec<CallId>> {
        self.backend.dependents(dependency)
    }

    /// The calls of a function (by its full name) that have a kept record, in digest order.
    pub fn calls_of(&self, function: &str) -> Result<Vec<CallId>> {
        self.backend.calls_of(function)
    }

    /// Visits every kept record, in no particular order.
    pub fn for_each_record(&self, f: &mut dyn FnMut(Arc<Record>) -> ControlFlow<()>) -> Result<()> {
        self.backend.for_each_record(f)
    }

    /// Everything whose digest begins with these hex digits, sorted.
    pub fn resolve(&self, hex_prefix: &str) -> Result<Vec<Named>> {
        let prefix = Prefix::parse(hex_prefix)
            .ok_or_else(|| Error::InvalidPrefix { prefix: hex_prefix.to_owned() })?;
        self.backend.resolve(prefix)
    }

    /// Stores a small immutable fact. A second put under the same kind and key changes nothing.
    pub fn put_note(&self, kind: u16, key: &Digest, bytes: &[u8]) -> Result<()> {
        self.put_all(&[Put::Note { kind, key: *key, bytes }])
    }

    /// A fact stored by [`Store::put_note`].
    pub fn note(&self, kind: u16, key: &Digest) -> Result<Option<Vec<u8>>> {
        self.backend.note(kind, key)
    }

    /// How often records were overruled in this store: by forced runs, of which [`Store::overrule`] tells, and by whatever
    /// takes records away. 0 in memory.
    pub fn overruled(&self) -> Result<u64> {
        self.backend.overruled()
    }

    /// Tells, after a record was put that others must not be preferred to, that what was derived from them (an
    /// [aside](Store::put_aside)) is not to be used any more. Gives the count of [`Store::overruled`] with this one.
    pub fn overrule(&self) -> Result<u64> {
        self.backend.overrule()
    }

    /// Keeps what was derived from the records, beside them, in place of what was kept under that name. `overruled` is
    /// what [`Store::overruled`] said before any of those records was read. Nothing is kept in memory.
    ///
    /// It is never the truth: of several names the youngest eight are kept, none is synced, and gc lets go of them first.
    ///
    /// ```
    /// use fleche_store::{Digest, Options, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let dir = dir.path().join("store");
    /// let store = Store::open(&dir, Options::default())?;
    /// let name = Digest::of(b"names in order");
    /// store.put_aside(&name, store.overruled()?, b"anna, bert")?;
    /// assert_eq!(store.aside(&name)?.as_deref(), Some(&b"anna, bert"[..]));
    /// store.overrule()?;
    /// assert_eq!(store.aside(&name)?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn put_aside(&self, name: &Digest, overruled: u64, content: &[u8]) -> Result<()> {
        self.backend.put_aside(name, overruled, content)
    }

    /// What is kept under that name, if no record was overruled since. Checked whole.
    pub fn aside(&self, name: &Digest) -> Result<Option<Bytes>> {
        self.backend.aside(name)
    }

    /// Forgets every record of a call; returns how many it were.
    pub fn evict_call(&self, call: &CallId) -> Result<u64> {
        self.backend.evict_call(call)
    }

    /// Forgets a value, unless it is pinned; returns how many copies it were.
    pub fn evict_value(&self, digest: &ValueDigest, fingerprint: TypeFingerprint) -> Result<u64> {
        self.backend.evict_value(digest, fingerprint)
    }

    /// How much there is.
    pub fn stats(&self) -> Result<Stats> {
        self.backend.stats()
    }

    /// Returns once everything put so far is on the disk.
    pub fn sync(&self) -> Result<()> {
        self.backend.sync()
    }

    /// Drops what is over the budget, least recently used first, and what no kept record reaches. Readers and writers
    /// go on meanwhile.
    pub fn gc(&self, options: &GcOptions) -> Result<GcReport> {
        self.backend.gc(options)
    }

    /// Checks every byte. With `repair` drops exactly what is damaged.
    pub fn verify(&self, repair: bool) -> Result<VerifyReport> {
        self.backend.verify(repair)
    }

    /// Waits until the upkeep that this handle began in the background is done. Nobody has to; tests do.
    #[doc(hidden)]
    pub fn settle(&self) {
        self.backend.settle();
    }

    /// Makes one table of all, and returns how many entries it has. Upkeep does it bit by bit; benchmarks measure it.
    #[doc(hidden)]
    pub fn merge_all(&self) -> Result<u64> {
        self.backend.merge_all()
    }

    /// Opens a store whose segments roll at `roll` bytes and whose tails get a table at `table` frames.
    #[doc(hidden)]
    pub fn open_tuned(dir: &Path, options: Options, roll: u64, table: u64) -> Result<Self> {
        Ok(Self { backend: Disk::tuned(dir, options, Tuning { roll, table })? })
    }

    /// The directory of a store on disk.
    pub fn dir(&self) -> Option<&Path> {
        self.backend.dir()
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Store").field(&self.dir().unwrap_or(Path::new("(memory)"))).finish()
    }
}
