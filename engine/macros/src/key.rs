//! The code digest as a constant, and what cargo must know so that the constant is never stale.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fleche_code::CodeDigest;
use fleche_code::compiler::Invocation;
use fleche_code::session::{Function, Session};
use fleche_code::shared::Shared;
use proc_macro2::{Ident, Literal, TokenStream};
use quote::quote;

use crate::options::Level;

/// A function's code digest in tokens.
pub(crate) struct Code {
    /// An expression of type `Option<[u8; 32]>`.
    pub(crate) value: TokenStream,
    /// Whether the executable counts.
    pub(crate) binary: bool,
    /// What the digest covers, but for parts that stand in `beside`, of this function or of one before it.
    pub(crate) covers: String,
    /// Items that make cargo build again when something changes that was read for it, and parts of lists.
    pub(crate) beside: TokenStream,
}

/// What is known of the crate that is being compiled. A compiler process compiles one, but tools may do more.
static SESSION: Mutex<Option<(Option<PathBuf>, Session)>> = Mutex::new(None);

/// The digest of a function at a level.
pub(crate) fn code(
    level: Level,
    private: &TokenStream,
    name: &Ident,
    generic: bool,
    function: &TokenStream,
) -> Code {
    if in_editor() {
        // Nothing of it runs, and reading a crate at each keystroke would be slow.
        let value = quote!(::core::option::Option::Some([0; 32]));
        return Code { value, binary: false, covers: String::new(), beside: TokenStream::new() };
    }
    let tokens = function.to_string();
    let (file, line) = place(name);
    let text = name.to_string();
    let function = Function { file: file.as_deref(), line, name: &text, tokens: &tokens, generic };
    let (reached, covers, twins, parts, files) = with_session(|session| {
        let twins = session.twins(function);
        let mut reached = match level {
            Level::Nothing => session.nothing(),
            Level::Body | Level::Binary => session.body(function),
            Level::Reachable => session.reachable(function),
            Level::Module => session.module(function),
            Level::Crate => session.whole(function),
        };
        if level == Level::Binary {
            "binary".clone_into(&mut reached.report.level);
        }
        let (covers, parts) = reached.encode();
        (reached, covers, twins, session.fresh_parts(parts), session.fresh_files())
    });
    let beside = [track(&files, &reached.environment), shared(private, &parts)].into_iter().collect();
    let digest = reached.digest.of_twin(twins);
    let value = if digest == CodeDigest([0; 32]) {
        quote!(::core::option::Option::None)
    } else {
        value(private, digest, &reached.options)
    };
    Code { value, binary: level == Level::Binary, covers, beside }
}

fn value(private: &TokenStream, CodeDigest(bytes): CodeDigest, options: &[String]) -> TokenStream {
    let options = options.iter().filter_map(|option| option.parse::<TokenStream>().ok());
    // One literal, not one for each byte: the compiler looks at all of it again whenever it changes.
    let bytes = Literal::byte_string(&bytes);
    quote! {
        ::core::option::Option::Some(#private::counted(*#bytes, &[#(::core::cfg!(#options)),*]))
    }
}

/// Whether a function certainly stands in an impl or trait, which its tokens do not tell.
pub(crate) fn is_member(name: &Ident) -> bool {
    if in_editor() {
        return false;
    }
    let (file, line) = place(name);
    let text = name.to_string();
    let function = Function { file: file.as_deref(), line, name: &text, tokens: "", generic: false };
    with_session(|session| session.is_member(function))
}

/// Runs `f` on what is known of the crate, which is found out at the first function.
fn with_session<T>(f: impl FnOnce(&mut Session) -> T) -> T {
    let directory = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let mut known = SESSION.lock().unwrap_or_else(PoisonError::into_inner);
    match &mut *known {
        Some((of, session)) if *of == directory => f(session),
        other => {
            let out_dir = std::env::var_os("OUT_DIR").map(PathBuf::from);
            let session =
                Session::new(directory.as_deref(), out_dir.as_deref(), Invocation::of_this_process());
            let (_, session) = other.insert((directory, session));
            f(session)
        }
    }
}

/// The file and line of a name; none for tokens that no compiler made.
fn place(name: &Ident) -> (Option<PathBuf>, u32) {
    if !proc_macro::is_available() {
        return (None, 0);
    }
    let span = name.span().unwrap();
    let file = span.local_file().and_then(|path| std::path::absolute(path).ok());
    (file, u32::try_from(span.line()).unwrap_or(0))
}

/// Makes the compiler read files and variables, so that its list of what the crate depends on names them.
fn track(files: &[PathBuf], environment: &[String]) -> TokenStream {
    let files = files.iter().filter_map(|path| std::path::absolute(path).ok());
    let files: Vec<String> = files.filter_map(|path| path.to_str().map(str::to_owned)).collect();
    quote! {
        #(const _: &[u8] = ::core::include_bytes!(#files);)*
        #(const _: ::core::option::Option<&str> = ::core::option_env!(#environment);)*
    }
}

/// Registers parts of lists, so that the lists of all functions of the crate can refer to them.
fn shared(private: &TokenStream, parts: &[Shared]) -> TokenStream {
    let entries = parts.iter().map(|Shared { id, text }| {
        let text: &str = text;
        quote! {
            const _: () = {
                #private::inventory::submit! { #private::SharedList { id: #id, text: #text } }
            };
        }
    });
    quote!(#(#entries)*)
}

/// Whether a rust-analyzer, not a compiler, expands the macro.
fn in_editor() -> bool {
    let program = std::env::current_exe().ok();
    let name = program.as_deref().and_then(Path::file_stem);
    name.is_some_and(|name| name.to_string_lossy().starts_with("rust-analyzer"))
}
