//! The code behind recorded calls: a record names the start of its code digest, and beside it the store keeps, once, what
//! that digest covers. So a later program can say which item changed.
//!
//! Only runs whose results are kept write any of this; a hit must never come here.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::LazyLock;

use fleche_code::report::{Change, Report as Code};
use fleche_store::{Digest, Record, Store};
use parking_lot::Mutex;

use crate::cache::Cache;
use crate::registry::{self, Definition};

/// Lists of covered items, by what [`key`] makes of the digest that they belong to.
const CODE_NOTE: u16 = 2;

/// The line of a record's metadata that names its code.
const CODE: &str = "code";

/// The line that has the function's `version`, where it has one.
const VERSION: &str = "version";

/// Adds to a record's metadata which code made it, and puts the list of that code into the store unless it is there.
pub(crate) fn record(cache: &Cache, definition: &'static Definition, meta: &mut Vec<(String, String)>) {
    /// The caches, by number, that know a definition already, by its address.
    static KNOWN: LazyLock<Mutex<HashSet<(usize, usize)>>> = LazyLock::new(Mutex::default);
    let Some(code) = definition.code else { return };
    let short = short(&code);
    let address = std::ptr::from_ref(definition).addr();
    if KNOWN.lock().insert((cache.number(), address)) {
        let key = key(&short);
        cache.ask(|store| match store.note(CODE_NOTE, &key)? {
            Some(_) => Ok(()),
            None => store.put_note(CODE_NOTE, &key, definition.listing().as_bytes()),
        });
    }
    meta.push((CODE.to_owned(), short));
    if !definition.version.is_empty() {
        meta.push((VERSION.to_owned(), definition.version.to_owned()));
    }
}

/// The first 64 bits are enough to tell the versions of one function apart.
fn short(code: &[u8; 32]) -> String {
    let mut text = String::with_capacity(16);
    for byte in &code[..8] {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn key(short: &str) -> Digest {
    Digest::of(format!("fleche code {short}").as_bytes())
}

/// The code that made a recorded call: the items and the rest that its digest covered.
///
/// `None` for a task, for `hash_code = false`, and where the list is gone (a cache that was cleaned up drops lists that
/// are old). What is different in today's code, [`code_changes`] says.
///
/// ```
/// use fleche::fleche;
///
/// #[fleche]
/// fn double(n: u64) -> u64 {
///     n * 2
/// }
///
/// # fn main() -> fleche::Result<()> {
/// let cache = fleche::Cache::memory();
/// let _scope = fleche::cache(&cache)?;
/// double(2);
/// let store = cache.store().expect("a cache in memory has one");
/// let record = store.newest(&double::digest(2)).expect("readable").expect("recorded");
/// let code = fleche::code_of(store, &record).expect("just recorded");
/// assert_eq!(code, double::code());
/// assert!(fleche::code_changes(store, &record).expect("known").is_empty());
/// # Ok(())
/// # }
/// ```
pub fn code_of(store: &Store, record: &Record) -> Option<Code> {
    let (_, short) = record.meta.iter().find(|(name, _)| name == CODE)?;
    let text = store.note(CODE_NOTE, &key(short)).ok()??;
    Some(Code::decode(std::str::from_utf8(&text).ok()?))
}

/// The `version` of the function that left the record; empty if it had none.
pub(crate) fn version_of(record: &Record) -> &str {
    record.meta.iter().find(|(name, _)| name == VERSION).map_or("", |(_, version)| version)
}

/// What is different between the code that made a recorded call and the code that this program has for it.
///
/// `None` where one of the two is not known: this program has no such function, or the list is gone.
pub fn code_changes(store: &Store, record: &Record) -> Option<Vec<Change>> {
    let now = registry::find(&record.identity)?;
    Some(code_of(store, record)?.moved(&now.covered()))
}
