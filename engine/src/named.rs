//! Named inputs: values that the program itself sets, such as an editor's buffer.
//!
//! Every graph is told when one is set, so calls that depend on nothing else need no look at the world at all.
//! A revision that was begun before a set must never mix what it saw then with the new value: it is broken where
//! it meets it.

use std::sync::Arc;

use fleche_store::Digest;
use foldhash::HashMap;
use serde::Serialize;

use crate::error::Result;
use crate::frame::{Dep, Taint};
use crate::input::{self, InputId};
use crate::revision::Revision;
use crate::sync::{Mutex, RwLock, global};
use crate::{cache, cancel, graph, thread, value};

/// The digests of each named input, each with the number of the change that set it, the newest last.
type Set = HashMap<InputId, Vec<(Digest, u64)>>;

global! {
    static ref SET: RwLock<Set> = RwLock::default();
}

global! {
    /// The last changes before the pictures that are pinned, which see what was set up to then and nothing later. Held while
    /// an input is set, so that no pinned picture begins halfway through.
    static ref PINS: Mutex<Vec<u64>> = Mutex::default();
}

/// A pinned picture, until dropped.
#[derive(Debug)]
pub(crate) struct Pin {
    base: u64,
}

impl Pin {
    /// Begins a picture while nothing is being set.
    pub(crate) fn new(begin: impl FnOnce() -> Revision) -> (Self, Revision) {
        let mut pins = PINS.lock();
        let revision = begin();
        pins.push(revision.base());
        (Self { base: revision.base() }, revision)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut pins = PINS.lock();
        if let Some(at) = pins.iter().position(|base| *base == self.base) {
            pins.swap_remove(at);
        }
    }
}

/// Which of the versions, by the numbers of their changes in rising order, a pinned picture or a later one sees.
fn is_seen(changes: &[u64], at: usize, pins: &[u64]) -> bool {
    changes.get(at + 1).is_none_or(|next| pins.iter().any(|base| changes[at] <= *base && base < next))
}

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
    versions: Arc<RwLock<Vec<Version<T>>>>,
}

/// A value that an input has, or had when a picture was pinned. The newest comes last; there is always one.
#[derive(Debug)]
struct Version<T> {
    value: Arc<T>,
    digest: Digest,
    /// The number of the change that set it.
    change: u64,
}

impl<T> Clone for Input<T> {
    fn clone(&self) -> Self {
        Self { id: self.id, versions: self.versions.clone() }
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
        let change = publish(id, digest, &PINS.lock());
        let version = Version { value: Arc::new(value), digest, change };
        Ok(Self { id, versions: Arc::new(RwLock::new(vec![version])) })
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
        let pins = PINS.lock();
        let mut versions = self.versions.write();
        if versions.last().is_some_and(|newest| newest.digest == digest) {
            return Ok(false);
        }
        // Under the lock, so that a reader of the new value finds it published.
        let change = publish(self.id, digest, &pins);
        versions.push(Version { value: Arc::new(value), digest, change });
        let changes: Vec<u64> = versions.iter().map(|version| version.change).collect();
        let mut at = 0..;
        let old: Vec<_> =
            versions.extract_if(.., |_| !is_seen(&changes, at.next().unwrap_or(0), &pins)).collect();
        drop((versions, pins));
        // The host's values are dropped when nothing is locked.
        drop(old);
        Ok(true)
    }

    /// The value; the running call depends on it.
    ///
    /// # Panics
    ///
    /// On a thread other than the main one that has no cache in scope; see [`crate::cache()`].
    pub fn get(&self) -> Arc<T> {
        let place = thread::place("`Input::get`");
        let running = thread::running();
        let (value, digest, change) = {
            let versions = self.versions.read();
            let pinned = running && place.revision.is_pinned();
            let seen =
                versions.iter().rev().find(|version| !pinned || version.change <= place.revision.base());
            let Version { value, digest, change } =
                seen.unwrap_or(versions.last().expect("there is always one"));
            (value.clone(), *digest, *change)
        };
        if running {
            let whole = change <= place.revision.base() || place.revision.has(self.id);
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
/// above all revisions of that time: to them the input cannot be observed. Gives the number.
pub(crate) fn publish(id: InputId, digest: Digest, pins: &[u64]) -> u64 {
    let before = self::digest(id);
    announce(id, digest);
    cache::for_each(|cache| cache.with_graph(|graph| graph.set(id, digest)));
    let change = conclude(id, pins);
    if cancel::is_possible() && before != Some(digest) {
        cancel::tell(&[id], |_, _| before);
    }
    change
}

fn announce(id: InputId, digest: Digest) {
    SET.write().entry(id).or_default().push((digest, u64::MAX));
}

fn conclude(id: InputId, pins: &[u64]) -> u64 {
    let mut set = SET.write();
    let change = graph::count_change();
    let versions = set.entry(id).or_default();
    if let Some(newest) = versions.last_mut() {
        newest.1 = change;
    }
    let changes: Vec<u64> = versions.iter().map(|(_, change)| *change).collect();
    let mut at = 0..;
    versions.retain(|_| is_seen(&changes, at.next().unwrap_or(0), pins));
    change
}

/// The digest of a named input as it is now.
pub(crate) fn digest(id: InputId) -> Option<Digest> {
    SET.read().get(&id)?.last().map(|(digest, _)| *digest)
}

/// The number of the change that set a named input to what it is now, if that has this digest.
pub(crate) fn set_at(id: InputId, digest: Digest) -> Option<u64> {
    SET.read().get(&id)?.last().filter(|newest| newest.0 == digest).map(|newest| newest.1)
}

/// The digest of a named input in a picture. One that is not pinned cannot observe what was set since it was begun: it would
/// not fit what the picture has of the input through other calls.
pub(crate) fn digest_in(id: InputId, revision: &Revision) -> Option<Digest> {
    let set = SET.read();
    let versions = set.get(&id)?;
    let told = |(_, change): &&(Digest, u64)| *change <= revision.base();
    let seen =
        if revision.is_pinned() { versions.iter().rev().find(told) } else { versions.last().filter(told) };
    seen.map(|(digest, _)| *digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_begun_while_an_input_is_set_does_not_observe_it() {
        let id = input::named("named.rs unit".into());
        let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
        let before = Revision::new();
        publish(id, old, &[]);
        let between = Revision::new();
        announce(id, new);
        let meanwhile = Revision::new();
        assert_eq!(digest_in(id, &meanwhile), None);
        conclude(id, &[]);
        assert_eq!(digest_in(id, &before), None);
        assert_eq!(digest_in(id, &between), None);
        assert_eq!(digest_in(id, &meanwhile), None, "it may have used what a graph knew before");
        assert_eq!(digest_in(id, &Revision::new()), Some(new));
    }

    #[test]
    fn of_old_versions_those_are_kept_that_a_pinned_picture_sees() {
        let kept = |pins: &[u64]| (0..4).filter(|at| is_seen(&[2, 5, 6, 9], *at, pins)).collect::<Vec<_>>();
        assert_eq!(kept(&[]), [3]);
        assert_eq!(kept(&[1]), [3], "begun before there was any");
        assert_eq!(kept(&[4]), [0, 3]);
        assert_eq!(kept(&[5, 5]), [1, 3]);
        assert_eq!(kept(&[8, 2, 12]), [0, 2, 3]);
    }
}
