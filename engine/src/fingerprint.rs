//! Type fingerprints: what a type's archived bytes mean, as 64 bits.
//!
//! Two definitions of a type get the same fingerprint only if bytes archived under one may be read under the
//! other. It must never depend on anything that a rebuild of unchanged sources alters.

use std::any::{TypeId, type_name};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::LazyLock;

use fleche_store::TypeFingerprint;
use parking_lot::RwLock;

/// A type that can describe its own layout for the fingerprint of its archived form.
///
/// `#[value]` implements it for structs and enums; it is there for the primitives, strings, `Vec`, `Option`,
/// `Box`, `Arc`, arrays, tuples and the standard maps and sets of such types. It is deliberately missing for
/// `Result`: the engine tells a failed call from a value by it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be archived as a result of a cached call",
    label = "not a `#[value]`",
    note = "put `#[value]` on the definition of `{Self}`; a `Result` nested in a value needs an enum of its own"
)]
pub trait Fingerprint {
    /// Adds this type's structure to the description.
    fn describe(to: &mut Describe);
}

/// The fingerprint of `T`'s archived form in this build: its structure, byte order and pointer width.
pub(crate) fn of<T: Fingerprint + rkyv::Archive + 'static>() -> TypeFingerprint {
    static KNOWN: LazyLock<RwLock<foldhash::HashMap<TypeId, TypeFingerprint>>> =
        LazyLock::new(RwLock::default);
    let id = TypeId::of::<T>();
    if let Some(known) = KNOWN.read().get(&id) {
        return *known;
    }
    let fingerprint = compute::<T>();
    KNOWN.write().insert(id, fingerprint);
    fingerprint
}

fn compute<T: Fingerprint + rkyv::Archive>() -> TypeFingerprint {
    let mut describe = Describe::default();
    describe.word("rkyv 0.8");
    describe.word(if cfg!(target_endian = "little") { "little" } else { "big" });
    describe.number(size_of::<T::Archived>());
    describe.number(align_of::<T::Archived>());
    T::describe(&mut describe);
    let bytes = describe.hasher.finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&bytes.as_bytes()[..8]);
    TypeFingerprint(u64::from_le_bytes(first))
}

/// Collects a type's structure; what `#[value]` generates talks to it.
#[derive(Default)]
pub struct Describe {
    hasher: blake3::Hasher,
    open: Vec<&'static str>,
}

impl Describe {
    /// Opens the type `name` (its full name) as a `"struct"` or `"enum"`. False if it is being described
    /// already, further out: then only a reference to it is noted and the caller returns at once.
    pub fn begin(&mut self, name: &'static str, kind: &'static str) -> bool {
        if let Some(depth) = self.open.iter().rposition(|open| *open == name) {
            self.word("recursive");
            self.number(self.open.len() - depth);
            return false;
        }
        self.word(kind);
        // The name without its path: moving a type to another module keeps its archives.
        self.word(last_segment(name));
        self.open.push(name);
        true
    }

    /// Names the field that is described next.
    pub fn field(&mut self, name: &str) {
        self.word("field");
        self.word(name);
    }

    /// Names the variant whose fields are described next.
    pub fn variant(&mut self, name: &str) {
        self.word("variant");
        self.word(name);
    }

    /// Notes an attribute that alters the archived or the serialised form.
    pub fn attribute(&mut self, tokens: &str) {
        self.word("attribute");
        self.word(tokens);
    }

    /// Closes the type opened last.
    pub fn end(&mut self) {
        self.open.pop();
        self.word("end");
    }

    fn word(&mut self, word: &str) {
        self.number(word.len());
        self.hasher.update(word.as_bytes());
    }

    fn number(&mut self, number: usize) {
        self.hasher.update(&(number as u64).to_le_bytes());
    }

    fn generic(&mut self, name: &str, parameters: usize) {
        self.word(name);
        self.number(parameters);
    }
}

/// `a::b::C<d::E>` to `C<d::E>`.
fn last_segment(name: &str) -> &str {
    let head = name.find('<').unwrap_or(name.len());
    let start = name[..head].rfind("::").map_or(0, |at| at + 2);
    &name[start..]
}

macro_rules! plain {
    ($($type:ty),* $(,)?) => {$(
        impl Fingerprint for $type {
            fn describe(to: &mut Describe) {
                to.word(type_name::<$type>());
            }
        }
    )*};
}

plain!(
    bool,
    char,
    u8,
    u16,
    u32,
    u64,
    u128,
    i8,
    i16,
    i32,
    i64,
    i128,
    f32,
    f64,
    usize,
    isize,
    String,
    Box<str>,
    std::time::Duration,
    std::num::NonZeroU8,
    std::num::NonZeroU16,
    std::num::NonZeroU32,
    std::num::NonZeroU64,
    std::num::NonZeroU128,
    std::num::NonZeroUsize,
    std::num::NonZeroI8,
    std::num::NonZeroI16,
    std::num::NonZeroI32,
    std::num::NonZeroI64,
    std::num::NonZeroI128,
    std::num::NonZeroIsize,
    std::net::IpAddr,
    std::net::Ipv4Addr,
    std::net::Ipv6Addr,
    std::ops::RangeFull,
);

macro_rules! generic {
    ($($name:literal: $type:ty, $($parameter:ident),+;)*) => {$(
        impl<$($parameter: Fingerprint),+> Fingerprint for $type {
            fn describe(to: &mut Describe) {
                to.generic($name, [$(stringify!($parameter)),+].len());
                $($parameter::describe(to);)+
            }
        }
    )*};
}

generic! {
    "Vec": Vec<T>, T;
    "VecDeque": std::collections::VecDeque<T>, T;
    "Option": Option<T>, T;
    "Box": Box<T>, T;
    "Box[]": Box<[T]>, T;
    "Arc": std::sync::Arc<T>, T;
    "Rc": std::rc::Rc<T>, T;
    "Range": std::ops::Range<T>, T;
    "RangeInclusive": std::ops::RangeInclusive<T>, T;
    "BTreeMap": BTreeMap<K, V>, K, V;
    "BTreeSet": BTreeSet<T>, T;
}

impl<K: Fingerprint, V: Fingerprint, S> Fingerprint for HashMap<K, V, S> {
    fn describe(to: &mut Describe) {
        to.generic("HashMap", 2);
        K::describe(to);
        V::describe(to);
    }
}

impl<T: Fingerprint, S> Fingerprint for HashSet<T, S> {
    fn describe(to: &mut Describe) {
        to.generic("HashSet", 1);
        T::describe(to);
    }
}

impl<T> Fingerprint for std::marker::PhantomData<T> {
    fn describe(to: &mut Describe) {
        to.generic("PhantomData", 0);
    }
}

impl<T: Fingerprint, const N: usize> Fingerprint for [T; N] {
    fn describe(to: &mut Describe) {
        to.generic("array", N);
        T::describe(to);
    }
}

impl Fingerprint for () {
    fn describe(to: &mut Describe) {
        to.generic("tuple", 0);
    }
}

macro_rules! tuples {
    ($(($($parameter:ident),+))*) => {$(
        impl<$($parameter: Fingerprint),+> Fingerprint for ($($parameter,)+) {
            fn describe(to: &mut Describe) {
                to.generic("tuple", [$(stringify!($parameter)),+].len());
                $($parameter::describe(to);)+
            }
        }
    )*};
}

tuples! {
    (A) (A, B) (A, B, C) (A, B, C, D) (A, B, C, D, E) (A, B, C, D, E, F) (A, B, C, D, E, F, G)
    (A, B, C, D, E, F, G, H)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_with_other_structure_differ() {
        let all = [
            of::<u32>(),
            of::<i32>(),
            of::<(u32,)>(),
            of::<[u32; 1]>(),
            of::<[u32; 2]>(),
            of::<Vec<u32>>(),
            of::<Vec<i32>>(),
            of::<Option<Vec<u32>>>(),
            of::<Vec<Option<u32>>>(),
            of::<HashMap<u32, u32>>(),
            of::<BTreeMap<u32, u32>>(),
        ];
        for (at, one) in all.iter().enumerate() {
            assert_eq!(all.iter().position(|other| other == one), Some(at));
        }
        assert_eq!(of::<Vec<u32>>(), of::<Vec<u32>>());
    }

    #[test]
    fn a_path_is_stripped_but_not_that_of_parameters() {
        assert_eq!(last_segment("a::b::C"), "C");
        assert_eq!(last_segment("a::C<b::D>"), "C<b::D>");
        assert_eq!(last_segment("C"), "C");
    }
}
