//! Tracked reads of the environment: each variable becomes an input of the call that asked for it.
//!
//! A trace holds a keyed digest of the value and never the value itself. It hides what is hard to guess; it does not
//! hide a value that is one of a few.

use std::env::VarError;
use std::ffi::{OsStr, OsString};

use crate::frame::{Dep, Taint};
use crate::input::{self, Input};
use crate::{graph, thread};

/// The value of a variable of the environment, as [`std::env::var`] gives it. One that is not set is an input too.
///
/// ```
/// #[fleche::fleche]
/// fn language() -> String {
///     fleche::env::var("GREETING_LANGUAGE").unwrap_or_else(|_| "en".into())
/// }
/// # fn main() -> fleche::Result<()> {
/// # let _scope = fleche::cache("memory")?;
/// assert_eq!(language(), "en");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Those of [`std::env::var`]; the call sees them again until the variable changes.
///
/// # Panics
///
/// On a thread other than the main one that has no cache in scope; see [`crate::cache()`].
pub fn var(name: impl AsRef<OsStr>) -> Result<String, VarError> {
    match look("`fleche::env::var`", name.as_ref()) {
        Some(value) => value.into_string().map_err(VarError::NotUnicode),
        None => Err(VarError::NotPresent),
    }
}

/// Like [`var`], whatever bytes the value has, as [`std::env::var_os`].
///
/// # Panics
///
/// On a thread other than the main one that has no cache in scope; see [`crate::cache()`].
pub fn var_os(name: impl AsRef<OsStr>) -> Option<OsString> {
    look("`fleche::env::var_os`", name.as_ref())
}

fn look(what: &str, name: &OsStr) -> Option<OsString> {
    let place = thread::place(what);
    let value = place.cache.files().system().variable(name);
    if thread::running() {
        let input = Input::Variable(name.to_owned()).id();
        let digest = input::variable_digest(name, value.as_deref());
        if graph::settle(&place, input, digest) {
            thread::record(Dep::Input(input), digest);
        } else {
            thread::taint(Taint::Changed);
        }
    }
    value
}
