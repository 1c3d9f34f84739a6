//! Arguments as bytes: kept with a record so that a stale call can be brought up to date later, in a process
//! that never made it, and restored for that.
//!
//! A restored argument is never trusted: the call made with it is digested anew, and only if its identity is the
//! one looked for does its result count.

use std::borrow::Borrow;
use std::convert::Infallible;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Kept bytes of arguments, in order.
#[derive(Debug)]
pub struct Arguments<'a> {
    rest: std::slice::Iter<'a, Vec<u8>>,
}

impl<'a> Arguments<'a> {
    pub(crate) fn new(kept: &'a [Vec<u8>]) -> Self {
        Self { rest: kept.iter() }
    }
}

fn next<T: DeserializeOwned>(arguments: &mut Arguments<'_>) -> Option<T> {
    rmp_serde::from_slice(arguments.rest.next()?).ok()
}

/// An argument as bytes: self-describing, so that every serde type comes back and people can be shown it.
pub(crate) fn keep<T: Serialize + ?Sized>(value: &T) -> Option<Vec<u8>> {
    rmp_serde::to_vec_named(value).ok()
}

/// An argument's bytes as text for people: JSON, shortened.
pub(crate) fn show(kept: &[u8]) -> String {
    const LONGEST: usize = 60;
    let Ok(value) = rmp_serde::from_slice::<serde_json::Value>(kept) else { return "…".into() };
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}

/// How an argument of a type is restored: the next of the kept ones.
pub type Way<T> = fn(&mut Arguments<'_>) -> Option<T>;

/// Finds out, while the generated code is compiled, whether and how a parameter's type can be restored.
///
/// A method of the type itself is preferred to a trait's, and a trait's to one whose receiver has more references, unless
/// its bounds do not hold; so `value` and `referent` are the ablest that the type has (known as autoref specialisation). It is
/// asked once for each parameter of each function: each trait in scope costs the user's build. A type that nothing fits
/// makes its calls impossible to restore, not impossible to cache.
#[derive(Debug)]
pub struct Probe<T: ?Sized>(PhantomData<fn() -> Box<T>>);

impl<T: ?Sized> Probe<T> {
    /// A probe of `T`.
    #[expect(clippy::new_without_default, reason = "made by generated code only")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T: DeserializeOwned> Probe<T> {
    /// For parameters by value whose type deserialises.
    pub fn value(&self) -> Option<Way<T>> {
        Some(next)
    }

    /// For `&T` where `T` deserialises.
    pub fn referent(&self) -> Option<Way<T>> {
        Some(next)
    }
}

/// For all other parameters by value.
pub trait RestoreNoValue<T> {
    /// There is no way.
    fn value(&self) -> Option<Way<T>> {
        None
    }
}

impl<T> RestoreNoValue<T> for Probe<T> {}

/// For `&str`, `&[T]`, `&Path`.
pub trait RestoreOwned<T: ToOwned + ?Sized> {
    /// The argument comes back owned.
    fn referent(&self) -> Option<Way<T::Owned>>;
}

impl<T: ToOwned<Owned: DeserializeOwned> + ?Sized> RestoreOwned<T> for Probe<T> {
    fn referent(&self) -> Option<Way<T::Owned>> {
        Some(next)
    }
}

/// For all other `&T`.
pub trait RestoreNoReferent<T: ?Sized> {
    /// There is no way.
    fn referent(&self) -> Option<Way<Unrestorable<T>>> {
        None
    }
}

impl<T: ?Sized> RestoreNoReferent<T> for &Probe<T> {}

/// Stands for an argument that cannot be restored; there is no value of it.
#[derive(Debug)]
pub struct Unrestorable<T: ?Sized>(Infallible, PhantomData<fn() -> Box<T>>);

impl<T: ?Sized> Borrow<T> for Unrestorable<T> {
    fn borrow(&self) -> &T {
        match self.0 {}
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    struct Opaque;

    #[test]
    #[expect(
        clippy::needless_borrow,
        reason = "as in generated code: the number of references chooses the trait"
    )]
    fn each_type_is_restored_by_the_ablest_way() {
        let kept =
            [keep("a/b").unwrap(), keep(&vec![1_u8, 2]).unwrap(), keep(&7_i64).unwrap(), keep("x").unwrap()];
        let mut arguments = Arguments::new(&kept);
        let path = (&Probe::<Path>::new()).referent().unwrap()(&mut arguments).unwrap();
        assert_eq!(Borrow::<Path>::borrow(&path), Path::new("a/b"));
        let list = (&Probe::<[u8]>::new()).referent().unwrap()(&mut arguments).unwrap();
        assert_eq!(Borrow::<[u8]>::borrow(&list), [1, 2]);
        // Not what it would be cloned to.
        let number: i64 = (&Probe::<i64>::new()).referent().unwrap()(&mut arguments).unwrap();
        assert_eq!(number, 7);
        assert_eq!(Probe::<String>::new().value().unwrap()(&mut arguments).as_deref(), Some("x"));
        assert!(Probe::<Opaque>::new().value().is_none());
        assert!((&Probe::<Opaque>::new()).referent().is_none());
    }

    #[test]
    fn arguments_are_shown_as_json_and_cut_short() {
        assert_eq!(show(&keep("a\"b").unwrap()), r#""a\"b""#);
        assert_eq!(show(&keep(&(1, "x")).unwrap()), r#"[1,"x"]"#);
        assert!(show(&keep(&"x".repeat(500)).unwrap()).ends_with('…'));
    }
}
