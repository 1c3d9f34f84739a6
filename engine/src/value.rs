//! What a cached function may return, and how that becomes bytes and comes back.
//!
//! This module holds the engine's only `unsafe`: reading archived bytes without checking them again. It must
//! never hand out a reference into bytes whose structure was not checked for that very type.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use fleche_store::{Bytes, Stored, ValueDigest, canonical};
use rkyv::api::high::{HighDeserializer, HighSerializer, HighValidator};
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor;
use rkyv::ser::allocator::ArenaHandle;
use rkyv::util::AlignedVec;
use rkyv::{Archive, Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::fingerprint::{self, Fingerprint};

/// A result that can be archived (rkyv), digested (serde) and told from other types (fingerprint).
///
/// Nothing implements it by hand: it holds for every type with the three parts, which `#[value]` derives.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the result of a cached call",
    label = "not a value",
    note = "put `#[value]` on the definition of `{Self}`",
    note = "a `Result` nested in a value needs an enum of its own; of a returned `Result` the `Ok` is the value"
)]
pub trait Value:
    Fingerprint
    + serde::Serialize
    + Archive<
        Archived: for<'a> CheckBytes<HighValidator<'a, rancor::Error>>
                      + Deserialize<Self, HighDeserializer<rancor::Error>>,
    > + for<'a> Serialize<HighSerializer<AlignedVec, ArenaHandle<'a>, rancor::Error>>
    + Sized
    + 'static
{
}

impl<T> Value for T where
    T: Fingerprint
        + serde::Serialize
        + Archive<
            Archived: for<'a> CheckBytes<HighValidator<'a, rancor::Error>>
                          + Deserialize<T, HighDeserializer<rancor::Error>>,
        > + for<'a> Serialize<HighSerializer<AlignedVec, ArenaHandle<'a>, rancor::Error>>
        + Sized
        + 'static
{
}

/// What a cached function's return type means: the value to keep, and whether there is one.
///
/// A `Result` keeps its `Ok`; any other value is kept whole.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the result of a cached call",
    label = "not a value, nor a `Result` of one",
    note = "put `#[value]` on the definition of the returned type"
)]
pub trait Outcome: Sized {
    /// The part that is archived.
    type Value: Value;
    /// What `f::view(..)` returns.
    type View;

    /// The value to keep; `None` for a failure, which is not kept.
    fn value(&self) -> Option<&Self::Value>;
    /// The outcome of a call that was answered from the store.
    fn from_value(value: Self::Value) -> Self;
    /// The view of a call that was answered from the store or has just run.
    fn from_view(view: View<Self::Value>) -> Self::View;
    /// A failure, as a view.
    ///
    /// # Errors
    ///
    /// The outcome itself, if it is no failure.
    fn into_failure(self) -> Result<Self::View, Self::Value>;
}

impl<T: Value> Outcome for T {
    type Value = T;
    type View = View<T>;

    fn value(&self) -> Option<&T> {
        Some(self)
    }

    fn from_value(value: T) -> T {
        value
    }

    fn from_view(view: View<T>) -> View<T> {
        view
    }

    fn into_failure(self) -> Result<View<T>, T> {
        Err(self)
    }
}

impl<T: Value, E> Outcome for Result<T, E> {
    type Value = T;
    type View = Result<View<T>, E>;

    fn value(&self) -> Option<&T> {
        self.as_ref().ok()
    }

    fn from_value(value: T) -> Self {
        Ok(value)
    }

    fn from_view(view: View<T>) -> Self::View {
        Ok(view)
    }

    fn into_failure(self) -> Result<Self::View, T> {
        match self {
            Ok(value) => Err(value),
            Err(error) => Ok(Err(error)),
        }
    }
}

/// A value in its archived form, with the digest and fingerprint it is stored under.
pub(crate) struct Archived {
    pub(crate) stored: Stored,
    pub(crate) bytes: AlignedVec,
}

/// Archives a value and digests it.
pub(crate) fn archive<T: Value>(value: &T) -> Result<Archived> {
    let bytes = rkyv::to_bytes::<rancor::Error>(value)
        .map_err(|error| Error::Archive { what: std::any::type_name::<T>(), reason: error.to_string() })?;
    Ok(Archived { stored: Stored { digest: digest(value)?, fingerprint: fingerprint::of::<T>() }, bytes })
}

/// A value's canonical digest.
pub(crate) fn digest<T: serde::Serialize + ?Sized>(value: &T) -> Result<ValueDigest> {
    canonical::digest(value)
        .map_err(|error| Error::Archive { what: std::any::type_name::<T>(), reason: error.to_string() })
}

/// A result, read where it lies: derefs to the archived form, without copying.
///
/// Keeps its bytes alive, mapped or not, whatever other processes, garbage collection and compaction do.
pub struct View<T: Archive> {
    bytes: Bytes,
    of: PhantomData<fn() -> T>,
}

impl<T: Value> View<T> {
    /// A view of archived bytes; `None` if they are not the archive of a `T`.
    pub(crate) fn checked(bytes: Bytes) -> Option<Self> {
        rkyv::access::<T::Archived, rancor::Error>(&bytes).ok()?;
        Some(Self { bytes, of: PhantomData })
    }

    /// The value itself, built from its archived form. `None` only if the type's own deserialisation refuses.
    pub fn to_owned(&self) -> Option<T> {
        rkyv::deserialize::<T, rancor::Error>(&**self).ok()
    }

    /// The archived bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl<T: Archive> Clone for View<T> {
    fn clone(&self) -> Self {
        Self { bytes: self.bytes.clone(), of: PhantomData }
    }
}

impl<T: Value> Deref for View<T> {
    type Target = T::Archived;

    fn deref(&self) -> &T::Archived {
        // SAFETY: the only constructor, `checked`, ran `rkyv::access` for this very type over these bytes.
        // `Bytes` never changes after it was made: owned ones are not handed out mutably, mapped ones lie in
        // files that the store never writes again (its documentation says what a foreign write would break).
        unsafe { rkyv::access_unchecked::<T::Archived>(&self.bytes) }
    }
}

impl<T: Value<Archived: fmt::Debug>> fmt::Debug for View<T> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept<O: Outcome>(outcome: &O) -> bool {
        outcome.value().is_some()
    }

    #[test]
    fn a_result_keeps_its_ok_and_a_value_itself() {
        assert!(kept(&7_u32));
        assert!(kept(&Ok::<u32, String>(7)));
        assert!(!kept(&Err::<u32, String>("no".into())));
        assert!(kept(&Some(7_u32)));
    }
}
