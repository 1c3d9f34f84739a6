//! Cached functions that are named at run time: what the command line makes of a task.
//!
//! They are calls like any other (same records, trace and store), but there is no definition that would bring a
//! stale one up to date while another call's trace is verified; whoever names them runs them.

use std::borrow::Cow;
use std::sync::Arc;

use fleche_store::{CallId, CallKey, CodeDigest, Digest, Record, ValueDigest};

use crate::call::{Call, Lookup, Mode, Subject};
use crate::frame::{Dep, Taint};
use crate::revision::Revision;
use crate::tree::selection::Selection;
use crate::value::Value;
use crate::{Result, fingerprint, graph, input, registry, scope, thread};

/// A function named at run time.
///
/// ```
/// use fleche::dynamic::{Function, How};
///
/// # fn main() -> fleche::Result<()> {
/// let _scope = fleche::cache("memory")?;
/// let code = fleche::CodeDigest::new(fleche::Digest::of(b"echo hello"));
/// let greet = Function::new("greet", "example", "fleche.toml", code);
/// assert_eq!(greet.lookup::<String>(), None);
/// let (text, how) = greet.call(|| Ok::<_, ()>("hello".to_string())).unwrap();
/// assert_eq!((text.as_str(), how), ("hello", How::Ran { recorded: true }));
/// let (_, how) = greet.call(|| Ok::<String, ()>(unreachable!("answered from the record"))).unwrap();
/// assert_eq!(how, How::Hit);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Function {
    name: String,
    package: String,
    module: String,
    code: CodeDigest,
    arguments: Vec<(String, Vec<u8>)>,
    meta: Vec<(String, String)>,
}

/// How a call was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// From a record.
    Hit,
    /// By running the body. It was not recorded if something it observed cannot be reproduced.
    Ran {
        /// Whether a later call may be answered from this run.
        recorded: bool,
    },
}

impl Function {
    /// A function; `code` stands for everything about it, apart from its arguments and inputs, that decides what
    /// it does.
    pub fn new(
        name: impl Into<String>,
        package: impl Into<String>,
        module: impl Into<String>,
        code: CodeDigest,
    ) -> Self {
        Self {
            name: name.into(),
            package: package.into(),
            module: module.into(),
            code,
            arguments: Vec::new(),
            meta: Vec::new(),
        }
    }

    /// Adds an argument: it becomes part of the call's identity.
    #[must_use]
    pub fn argument(mut self, name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        self.arguments.push((name.into(), bytes.into()));
        self
    }

    /// Adds a line of metadata to the record of a run; it is part of nothing.
    #[must_use]
    pub fn meta(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.meta.push((name.into(), value.into()));
        self
    }

    fn describe(&self) -> Call {
        let arguments: smallvec::SmallVec<[_; 4]> = self
            .arguments
            .iter()
            .map(|(name, bytes)| (Cow::Owned(name.clone()), ValueDigest::new(Digest::of(bytes))))
            .collect();
        let id =
            CallId::of(&self.name, &self.package, &self.module, arguments.iter().map(|(_, digest)| *digest));
        Call {
            function: Cow::Owned(self.name.clone()),
            package: Cow::Owned(self.package.clone()),
            module: Cow::Owned(self.module.clone()),
            arguments,
            id,
        }
    }

    /// The call's identity.
    pub fn id(&self) -> CallId {
        self.describe().id
    }

    /// The call's key for results of type `T`.
    pub fn key<T: Value>(&self) -> CallKey {
        registry::key(self.id(), "", Some(self.code), fingerprint::of::<T>())
    }

    fn subject<T: Value>(&self) -> Subject<'static> {
        let call = self.describe();
        let key = registry::key(call.id, "", Some(self.code), fingerprint::of::<T>());
        Subject { call, key, bytes: None }
    }

    /// The result of a record that holds now. Runs nothing and records nothing.
    pub fn lookup<T: Value>(&self) -> Option<T> {
        self.subject::<T>().look::<T>()?.to_owned()
    }

    /// Answers from a record that holds, or runs `body` and records its result.
    ///
    /// # Errors
    ///
    /// What `body` returns; nothing is recorded then.
    pub fn call<T: Value, E>(&self, body: impl FnOnce() -> Result<T, E>) -> Result<(T, How), E> {
        self.go(Mode::Ask, body)
    }

    /// Runs `body` whatever the records say, and records its result.
    ///
    /// # Errors
    ///
    /// What `body` returns; nothing is recorded then.
    pub fn rerun<T: Value, E>(&self, body: impl FnOnce() -> Result<T, E>) -> Result<(T, How), E> {
        self.go(Mode::Rerun, body)
    }

    fn go<T: Value, E>(&self, mode: Mode, body: impl FnOnce() -> Result<T, E>) -> Result<(T, How), E> {
        let subject = self.subject::<T>();
        let mut miss = match subject.lookup::<T>(mode, None) {
            Lookup::Hit(view) => match view.to_owned() {
                Some(value) => return Ok((value, How::Hit)),
                None => crate::call::Miss::plain(),
            },
            Lookup::Miss(miss) => miss,
        };
        for (_, bytes) in &self.arguments {
            miss.keep_bytes(bytes.clone());
        }
        miss.set_meta(self.meta.clone());
        let (outcome, recorded) = miss.run_told(body);
        outcome.map(|value| (value, How::Ran { recorded }))
    }

    /// The recorded runs of this call, under any code, newest first.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub fn history(&self) -> Result<Vec<Arc<Record>>> {
        match scope::current_cache().store() {
            Some(store) => Ok(store.history(&self.id())?),
            None => Ok(Vec::new()),
        }
    }
}

/// A result that an older record names, if it is still stored and of that type.
pub fn result_of<T: Value>(record: &Record) -> Option<T> {
    if record.result.fingerprint != fingerprint::of::<T>() {
        return None;
    }
    let cache = scope::current_cache();
    let bytes = cache.ask(|store| store.value(&record.result.digest, record.result.fingerprint))??;
    crate::value::View::<T>::checked(bytes)?.to_owned()
}

/// A path as an input of a task: the digest of a file's content and whether it may be executed, or the digest of all
/// that is in a directory. `None` if nothing is there. The running call depends on all of that, by one edge.
///
/// # Errors
///
/// If it cannot be looked at or read; that leaves the running call unrecorded.
pub fn entry(path: impl AsRef<std::path::Path>) -> std::io::Result<Option<(Digest, bool)>> {
    let path = input::whole(path.as_ref());
    let place = thread::place("`fleche::dynamic::entry`");
    let input = input::Input::Entry(path.clone()).id();
    let seen = graph::look(&place, input).zip(graph::look(&place, input::file(&path)));
    let Some((entry, content)) = seen else {
        let error = place.cache.files().digest(&path).err();
        let error = error.unwrap_or_else(|| crate::files::changed(&path));
        thread::taint(Taint::FailedRead(error.to_string()));
        return Err(error);
    };
    let executable = entry == input::executable(content);
    if !executable && entry != content && content != input::directory() {
        place.revision.spoil();
        thread::taint(Taint::Changed);
        return Err(crate::files::changed(&path));
    }
    thread::record(Dep::Input(input), entry);
    let digest = if executable { content } else { entry };
    Ok((digest != input::absent()).then_some((digest, executable)))
}

/// What files will hold once a plan has been carried out: for a dry run, which must not carry it out.
#[derive(Debug, Default)]
pub struct Assumptions {
    inputs: Vec<(input::Input, Digest)>,
}

impl Assumptions {
    /// Assumes that the file will have content of this digest; `None` if it will not be there.
    pub fn file(&mut self, path: impl Into<std::path::PathBuf>, digest: Option<Digest>) {
        let path = input::whole(&path.into());
        let digest = digest.unwrap_or_else(input::absent);
        self.inputs.push((input::Input::File(path.clone()), digest));
        self.inputs.push((input::Input::Entry(path), digest));
    }

    /// Assumes that the file will have content of this digest, and that it may be executed or not.
    pub fn entry(&mut self, path: impl Into<std::path::PathBuf>, digest: Digest, executable: bool) {
        let path = input::whole(&path.into());
        self.inputs.push((input::Input::File(path.clone()), digest));
        let entry = if executable { input::executable(digest) } else { digest };
        self.inputs.push((input::Input::Entry(path), entry));
    }

    /// Assumes that the directory will have content of this digest (as of [`crate::fs::digest`]).
    pub fn directory(&mut self, path: impl Into<std::path::PathBuf>, digest: Digest) {
        let path = input::whole(&path.into());
        self.inputs.push((input::Input::Entry(path.clone()), digest));
        self.inputs.push((input::Input::Tree(Arc::new(Selection::everything(path))), digest));
    }

    /// Runs `f` in a picture of the inputs in which the assumptions hold.
    pub fn under<T>(&self, f: impl FnOnce() -> T) -> T {
        let revision = Revision::hypothetical();
        for (input, digest) in &self.inputs {
            revision.assume(input.clone().id(), Some(*digest));
        }
        scope::under(Arc::new(revision), f)
    }
}

/// The digest of what an input's edge in a trace stands for, as text: a path relative to the project's root, or
/// a description. `None` for an edge to a call.
pub fn input_name(dependency: &fleche_store::Dependency) -> Option<String> {
    match dependency {
        fleche_store::Dependency::Input { kind, name } => Some(input::describe(*kind, name)),
        fleche_store::Dependency::Call(_) => None,
    }
}

/// Adds a line of metadata to the record that the running call will leave.
pub fn note(name: impl Into<String>, value: impl Into<String>) {
    let line = (name.into(), value.into());
    thread::with(|thread| {
        if let Some(frame) = thread.frames.last_mut() {
            frame.meta.push(line);
        }
    });
}

/// Whether a body of a cached call is running on this thread.
pub fn is_running() -> bool {
    thread::running()
}
