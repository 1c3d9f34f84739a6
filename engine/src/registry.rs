//! The registry: which cached functions this program has, found by the name under which calls are recorded.
//!
//! A name that two functions share (two versions of one package, say) belongs to neither.

use std::sync::OnceLock;

use fleche_code::report::Report as Code;
use fleche_store::{CallId, CallKey, CodeDigest, Digest, Identity, TypeFingerprint};
use foldhash::HashMap;
use smallvec::SmallVec;

use crate::restore::Arguments;

/// Calls a function with the arguments; none stand for the question whether it can.
pub(crate) type Recall = fn(Option<&mut Arguments<'_>>) -> Option<()>;

/// What `#[fleche]` says of a function, fixed when it is compiled.
#[derive(Debug)]
pub struct Definition {
    /// The function's identifier.
    pub name: &'static str,
    /// The package it belongs to.
    pub package: &'static str,
    /// The module it is defined in.
    pub module: &'static str,
    /// `version = ..` as it was written; empty if it was not.
    pub version: &'static str,
    /// The digest of its code; `None` for `hash_code = false`.
    pub code: Option<[u8; 32]>,
    /// Whether the running executable is part of the key too (`hash_code = "binary"`).
    pub binary: bool,
    /// What the digest covers, as text, without the parts that other functions have in common with it;
    /// [`Definition::covered`] reads both.
    pub covers: &'static str,
    /// The names of the parameters that count.
    pub parameters: &'static [&'static str],
    /// Where it is defined.
    pub file: &'static str,
    /// The line in that file.
    pub line: u32,
    /// The full name, as the compiler gives it; empty for a generic function, which has one for each use.
    pub full_name: fn() -> &'static str,
    /// The fingerprint of the result's type; `None` for a generic function.
    pub fingerprint: Option<fn() -> TypeFingerprint>,
    /// Restores the arguments, calls the function, drops the result. `None`, for the function or from it, where that cannot
    /// be done. Without arguments it only tells whether their types let them be restored.
    pub recall: Option<Recall>,
}

impl Definition {
    /// The key of one of the function's calls under this program's code.
    pub(crate) fn key(&self, call: CallId, result: TypeFingerprint) -> CallKey {
        let own = self.code.map(|code| CodeDigest::new(Digest::from_bytes(code)));
        key(call, self.version, if self.binary { executable().or(own) } else { own }, result)
    }

    /// Whether a call can be made again from what is kept of its arguments.
    pub(crate) fn can_be_made_again(&self) -> bool {
        self.recall.is_some_and(|recall| recall(None).is_some())
    }

    /// What the digest of the function's code covers.
    pub fn covered(&self) -> Code {
        Code::decode(&self.listing())
    }

    /// The same as text, without anything left out.
    pub(crate) fn listing(&self) -> String {
        let known =
            |id: &str| inventory::iter::<SharedList>().find(|list| list.id == id).map(|list| list.text);
        Code::expand(self.covers, known)
    }
}

/// A part of what digests cover that several functions have in common, which `#[fleche]` submits once.
pub struct SharedList {
    /// The start of its digest, by which [`Definition::covers`] refers to it.
    pub id: &'static str,
    /// Its lines.
    pub text: &'static str,
}

inventory::collect!(SharedList);

/// The digest of the running program, read once.
fn executable() -> Option<CodeDigest> {
    static EXECUTABLE: OnceLock<Option<CodeDigest>> = OnceLock::new();
    *EXECUTABLE.get_or_init(|| {
        let mut hasher = blake3::Hasher::new();
        hasher.update_mmap(std::env::current_exe().ok()?).ok()?;
        Some(CodeDigest::new(Digest::from_bytes(*hasher.finalize().as_bytes())))
    })
}

/// A call's key: its identity, and what decides whether an old result may stand for a new run.
pub(crate) fn key(call: CallId, version: &str, code: Option<CodeDigest>, result: TypeFingerprint) -> CallKey {
    // Hashed on every miss: all but the longest versions fit into two blocks. The head keeps keys apart from other
    // digests of the same bytes.
    let mut bytes = SmallVec::<[u8; 128]>::from_slice(b"call key");
    bytes.extend_from_slice(call.digest().as_bytes());
    bytes.push(u8::from(code.is_some()));
    if let Some(code) = code {
        bytes.extend_from_slice(code.digest().as_bytes());
    }
    bytes.extend_from_slice(&result.0.to_le_bytes());
    bytes.extend_from_slice(version.as_bytes());
    CallKey::new(Digest::of(&bytes))
}

/// An entry that `#[fleche]` submits.
pub struct Registered(pub &'static Definition);

inventory::collect!(Registered);

type Name = (&'static str, &'static str, &'static str);

/// The function that made a recorded call, if this program has exactly one of that name.
pub(crate) fn find(identity: &Identity) -> Option<&'static Definition> {
    named(&identity.function, &identity.package, &identity.module)
}

/// The function of that full name in that package and module, if this program has exactly one.
pub(crate) fn named(function: &str, package: &str, module: &str) -> Option<&'static Definition> {
    static BY_NAME: OnceLock<HashMap<Name, Option<&'static Definition>>> = OnceLock::new();
    let by_name = BY_NAME.get_or_init(|| {
        let mut map: HashMap<Name, Option<&'static Definition>> = HashMap::default();
        for Registered(definition) in inventory::iter::<Registered> {
            let name = ((definition.full_name)(), definition.package, definition.module);
            map.entry(name).and_modify(|both| *both = None).or_insert(Some(definition));
        }
        map
    });
    *by_name.get(&(function, package, module))?
}

/// Every cached function of this program that is not generic.
pub fn functions() -> impl Iterator<Item = &'static Definition> {
    inventory::iter::<Registered>().map(|Registered(definition)| *definition)
}
