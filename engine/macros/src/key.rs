//! The code digest as a constant, and what cargo must know so that the constant is never stale.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fleche_code::compiler::Invocation;
use fleche_code::sources::Sources;
use fleche_code::{CodeDigest, whole};
use proc_macro2::TokenStream;
use quote::quote;

use crate::options::Level;

/// A function's code digest in tokens.
pub(crate) struct Code {
    /// An expression of type `Option<[u8; 32]>`.
    pub(crate) value: TokenStream,
    /// Items that make cargo build again when a file changes that was read for it.
    pub(crate) tracked: TokenStream,
}

/// What is known about the crate that is being compiled. A compiler process compiles one.
struct Known {
    directory: Option<PathBuf>,
    whole: blake3::Hash,
}

static KNOWN: Mutex<Option<Known>> = Mutex::new(None);

/// The digest of a function, with what the level adds to it.
pub(crate) fn code(level: Level, function: &TokenStream) -> Code {
    if level == Level::Nothing {
        return Code { value: quote!(::core::option::Option::None), tracked: TokenStream::new() };
    }
    if in_editor() {
        // Nothing of it runs, and reading a crate at each keystroke would be slow.
        return constant(CodeDigest([0; 32]), TokenStream::new());
    }
    let body = CodeDigest::of_body(&function.to_string());
    match level {
        Level::Nothing | Level::Body => constant(body, TokenStream::new()),
        Level::Crate => {
            let (whole, files) = of_crate();
            constant(body.within(whole), track(&files))
        }
    }
}

fn constant(CodeDigest(bytes): CodeDigest, tracked: TokenStream) -> Code {
    Code { value: quote!(::core::option::Option::Some([#(#bytes),*])), tracked }
}

/// The digest of the crate, and the files read for it: all of them the first time, none afterwards, since once in a
/// crate is enough for cargo to watch them.
fn of_crate() -> (blake3::Hash, Vec<PathBuf>) {
    let directory = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = known.as_ref()
        && known.directory == directory
    {
        return (known.whole, Vec::new());
    }
    let out_dir = std::env::var_os("OUT_DIR").map(PathBuf::from);
    let mut sources = Sources::default();
    let invocation = Invocation::of_this_process();
    let whole = whole::digest(directory.as_deref(), out_dir.as_deref(), &invocation, &mut sources);
    *known = Some(Known { directory, whole });
    (whole, sources.read())
}

/// Makes the compiler read the files, so that its list of what the crate depends on names them.
fn track(files: &[PathBuf]) -> TokenStream {
    let files = files.iter().filter_map(|path| std::path::absolute(path).ok());
    let files: Vec<String> = files.filter_map(|path| path.to_str().map(str::to_owned)).collect();
    quote!(#(const _: &[u8] = ::core::include_bytes!(#files);)*)
}

/// Whether a rust-analyzer, not a compiler, expands the macro.
fn in_editor() -> bool {
    let program = std::env::current_exe().ok();
    let name = program.as_deref().and_then(Path::file_stem);
    name.is_some_and(|name| name.to_string_lossy().starts_with("rust-analyzer"))
}
