//! Named inputs: values that the program itself sets, such as an editor's buffer.
//!
//! Every graph is told when one is set, so calls that depend on nothing else need no look at the world at all.
//! A revision that was begun before a set must never mix what it saw then with the new value: it is broken where
//! it meets it.

use std::sync::{Arc, LazyLock};

use fleche_store::Digest;
use foldhash::{HashMap, HashMapExt};
use parking_lot::RwLock;
use serde::Serialize;

use crate::error::Result;
use crate::frame::{Dep, Taint};
use crate::input::{self, InputId};
use crate::{cache, cancel, graph, thread, value};

/// The digest of each named input, and the number of the change that set it.
static SET: LazyLock<RwLock<HashMap<InputId, (Digest, u64)>>> = LazyLock::new(|| RwLock::new(HashMap::new()));

/// A value that the program sets and cached functions read.
///
/// Its name stands for it in traces, so that a later process that sets the same name to an equal value hits.
/// Clones are the same input.
///
/// ```
/// use fleche::{Input, fleche};
///
/// # fn main() -> fleche::Result<()> {
/// # let _scope = fleche::cache("memory")?;
/// thread_local! {
///     static BUFFER: Input<String> = Input::new("doc example buffer", String::from("one two")).unwrap();
/// }
///
/// #[fleche]
/// fn words() -> u64 {
///     BUFFER.with(|buffer| buffer.get().split_whitespace().count() as u64)
/// }
///
/// assert_eq!(words(), 2);
/// BUFFER.with(|buffer| buffer.set("one two three".into()))?;
/// assert_eq!(words(), 3);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Input<T> {
    id: InputId,
    /// The value with its digest, changed together.
    value: Arc<RwLock<(Arc<T>, Digest)>>,
}

impl<T> Clone for Input<T> {
    fn clone(&self) -> Self {
        Self { id: self.id, value: self.value.clone() }
    }
}

impl<T: Serialize> Input<T> {
    /// An input under a name that the program gives to no other.
    ///
    /// # Errors
    ///
    /// If the value cannot be digested.
    pub fn new(name: impl Into<String>, value: T) -> Result<Self> {
        let id = input::named(name.into());
        let digest = value::digest(&value)?.digest();
        let input = Self { id, value: Arc::new(RwLock::new((Arc::new(value), digest))) };
        publish(id, digest);
        Ok(input)
    }

    /// Sets the value. Everything above it is marked at once and verified when next asked for; a value with an
    /// equal digest changes nothing. True if it changed.
    ///
    /// Calls that are running see one value or the other throughout: one that has used the old value and meets
    /// the new one starts over.
    ///
    /// # Errors
    ///
    /// If the value cannot be digested; it is not set then.
    pub fn set(&self, value: T) -> Result<bool> {
        let digest = value::digest(&value)?.digest();
        let mut current = self.value.write();
        if current.1 == digest {
            return Ok(false);
        }
        *current = (Arc::new(value), digest);
        // Under the lock, so that a reader of the new value finds it published.
        publish(self.id, digest);
        Ok(true)
    }

    /// The value; the running call depends on it.
    ///
    /// # Panics
    ///
    /// On a thread other than the main one that has no cache in scope; see [`crate::cache()`].
    pub fn get(&self) -> Arc<T> {
        let place = thread::place("`Input::get`");
        let (value, digest) = self.value.read().clone();
        if thread::running() {
            let whole = published_at(self.id) <= place.revision.base() || place.revision.has(self.id);
            if whole && graph::settle(&place, self.id, digest) {
                thread::record(Dep::Input(self.id), digest);
            } else {
                place.revision.spoil();
                thread::taint(Taint::Changed);
            }
        }
        value
    }
}

/// Tells everybody of a new digest.
///
/// A revision that begins meanwhile may have used what a graph knew before it was told, so the change gets a number
/// above all revisions of that time: to them the input cannot be observed.
fn publish(id: InputId, digest: Digest) {
    let before = self::digest(id);
    announce(id, digest);
    cache::for_each(|cache| cache.with_graph(|graph| graph.set(id, digest)));
    conclude(id, digest);
    if cancel::is_possible() && before != Some(digest) {
        cancel::tell(&[id], |_, _| before);
    }
}

fn announce(id: InputId, digest: Digest) {
    SET.write().insert(id, (digest, u64::MAX));
}

fn conclude(id: InputId, digest: Digest) {
    SET.write().insert(id, (digest, graph::count_change()));
}

/// The digest of a named input as it is now.
pub(crate) fn digest(id: InputId) -> Option<Digest> {
    SET.read().get(&id).map(|(digest, _)| *digest)
}

fn published_at(id: InputId) -> u64 {
    SET.read().get(&id).map_or(u64::MAX, |(_, change)| *change)
}

/// The digest of a named input, if it has been what it is since `base`.
pub(crate) fn digest_since(id: InputId, base: u64) -> Option<Digest> {
    let (digest, change) = *SET.read().get(&id)?;
    (change <= base).then_some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revision::Revision;

    #[test]
    fn a_revision_begun_while_an_input_is_set_does_not_observe_it() {
        let id = input::named("named.rs unit".into());
        let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
        let before = Revision::new();
        publish(id, old);
        let between = Revision::new();
        announce(id, new);
        let meanwhile = Revision::new();
        assert_eq!(digest_since(id, meanwhile.base()), None);
        conclude(id, new);
        assert_eq!(digest_since(id, before.base()), None);
        assert_eq!(digest_since(id, between.base()), None);
        assert_eq!(digest_since(id, meanwhile.base()), None, "it may have used what a graph knew before");
        assert_eq!(digest_since(id, Revision::new().base()), Some(new));
    }
}
