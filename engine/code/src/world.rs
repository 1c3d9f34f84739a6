//! All crates that code may reach, as modules and nodes. A node is what a digest counts as one: a function, a type, a
//! method, the head of an impl.
//!
//! Crates are loaded when something names them. Which node a name means is `scope.rs`'s to say.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::declared::Declaring;
use crate::items::{Import, ItemKind, Lexed};
use crate::names::{Name, Names};
use crate::package::Package;
use crate::sources::{Sources, tidy};

/// An index into [`World::nodes`].
pub type NodeId = usize;
/// An index into [`World::modules`].
pub type ModuleId = usize;
/// An index into [`World::crates`].
pub type CrateId = usize;
/// An index into [`World::files`].
pub type FileId = usize;

/// A source file.
#[derive(Debug)]
pub struct File {
    /// Where it lies.
    pub path: PathBuf,
    /// Its tokens.
    pub lexed: Lexed,
    /// The module that its first item is in.
    pub module: ModuleId,
    /// Whether it is part of more than one module.
    pub shared: bool,
}

/// A crate, or one that may be loaded.
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that is known of it")]
#[derive(Debug)]
pub struct Crate {
    /// Its name.
    pub name: Name,
    /// Its root file.
    pub root_file: PathBuf,
    /// Its root module, once it is loaded.
    pub root: Option<ModuleId>,
    /// The package that it belongs to.
    pub package: Arc<Package>,
    /// What its code can name of other crates: by one name several, where that depends on the target or on what is patched.
    pub dependencies: BTreeMap<Name, Vec<Linked>>,
    /// Whether it is a macro that runs in the compiler.
    pub is_macro: bool,
    /// Whether paths in it start at its root (edition 2015).
    pub old_paths: bool,
    /// Whether objects may be written without `dyn` (before edition 2021).
    pub bare_objects: bool,
    /// Whether it is part of a macro crate: texts in it may become code.
    pub writes_code: bool,
}

/// A crate that another one links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Linked {
    /// One whose sources are followed.
    Local(CrateId),
    /// One from elsewhere, by the name of its package.
    Foreign(String),
}

/// A module.
#[derive(Debug)]
pub struct Module {
    /// Its crate.
    pub krate: CrateId,
    /// The module around it.
    pub parent: Option<ModuleId>,
    /// Its path from the crate's root.
    pub path: String,
    /// How many modules of its name stand before it in the one around it.
    pub ordinal: u32,
    /// What its own items and imports are called.
    pub scope: HashMap<Name, Vec<Entry>>,
    /// Its imports; the names in `scope` point here.
    pub imports: Vec<Import>,
    /// Attributes on it that may matter.
    pub attributes: Vec<(FileId, Range<usize>)>,
    /// Every node in it, members included.
    pub nodes: Vec<NodeId>,
}

/// What a name in a module is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// An item.
    Node(NodeId),
    /// A module.
    Module(ModuleId),
    /// An import, by its index.
    Import(usize),
}

/// What a digest counts as one.
#[derive(Debug)]
pub struct Node {
    /// What kind of item.
    pub kind: ItemKind,
    /// Its name, or none.
    pub name: Name,
    /// The module that it is in.
    pub module: ModuleId,
    /// The file that it is in.
    pub file: FileId,
    /// Its tokens.
    pub range: Range<usize>,
    /// Tokens in its range that other nodes have.
    pub holes: Vec<Range<usize>>,
    /// Tokens in its range that refer to nothing by themselves.
    pub noted: Vec<Range<usize>>,
    /// Its attributes.
    pub attributes: Range<usize>,
    /// Its head: signature, impl header.
    pub head: Range<usize>,
    /// The impl or trait that it is a member of.
    pub container: Option<NodeId>,
    /// Its members, if it is an impl or trait.
    pub members: Vec<NodeId>,
    /// Whether it is a function with `#[fleche]`.
    pub cached: bool,
    /// For a cached function, the node that stands for a call of it.
    pub face: Option<NodeId>,
    /// Whether it is such a node.
    pub is_face: bool,
    /// How many equal names stand before it in its module.
    pub ordinal: u32,
    /// Whether what it holds can change while the program runs.
    pub mutable: bool,
    /// For an impl inside a function, that function.
    pub carrier: Option<NodeId>,
    /// For an item in the arguments of a macro call, that call: the macro may make something else of it.
    pub call: Option<NodeId>,
}

/// Everything that is loaded.
#[derive(Debug)]
pub struct World {
    /// The identifiers.
    pub names: Names,
    /// The files.
    pub files: Vec<File>,
    /// The crates.
    pub crates: Vec<Crate>,
    /// The modules.
    pub modules: Vec<Module>,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// Members of impls and traits by name.
    pub members: HashMap<Name, Vec<NodeId>>,
    /// Items by name, in all loaded crates.
    pub by_name: HashMap<Name, Vec<NodeId>>,
    /// Imports under another name, by that.
    pub aliases: HashMap<Name, Vec<(ModuleId, usize)>>,
    /// Macros by name, in all loaded crates.
    pub macros: HashMap<Name, Vec<NodeId>>,
    /// Impls in the order in which they were loaded.
    pub impls: Vec<NodeId>,
    /// Imports with a `cfg`: name, module, file and tokens, attributes included.
    pub conditional: Vec<(Name, ModuleId, FileId, Range<usize>)>,
    /// The types that an inherent impl may be for.
    pub inherent_impls: HashMap<NodeId, Vec<NodeId>>,
    /// Crates in the order in which they were loaded.
    pub loaded: Vec<CrateId>,
    /// The files behind it all.
    pub sources: Sources,
    /// The crate that is being compiled.
    pub own: CrateId,
    /// Whether it is a test build.
    pub test: bool,
    pub(crate) out_dir: Option<PathBuf>,
    pub(crate) by_path: HashMap<PathBuf, FileId>,
    pub(crate) packages: HashMap<PathBuf, CrateId>,
    /// Packages on this disk that stand in for others, by name.
    pub(crate) patches: BTreeMap<String, PathBuf>,
    /// The types that may implement `Deref`, by name, once that was asked; nothing where no code names it.
    pub(crate) dereferencing: OnceCell<Option<HashSet<Name>>>,
    /// Macro calls that were not yet asked which modules they declare.
    pub(crate) declaring: Vec<Declaring>,
}

impl World {
    /// The node in a file whose name's token stands in a line, or the item around it. `None` if there is no such, or if
    /// the file is part of several modules.
    pub fn find(&mut self, path: &Path, line: u32, name: &str) -> Option<NodeId> {
        let node = self.function(path, line, name)?;
        let kind = self.nodes[node].kind;
        matches!(kind, ItemKind::Function | ItemKind::Constant | ItemKind::Static).then_some(node)
    }

    /// The innermost node around the name of a function.
    fn function(&mut self, path: &Path, line: u32, name: &str) -> Option<NodeId> {
        let path = tidy(path);
        let file = *self.by_path.get(&path).or_else(|| {
            let canonical = path.canonicalize().ok()?;
            let found =
                self.by_path.iter().find(|(known, _)| known.canonicalize().ok().as_ref() == Some(&canonical));
            found.map(|(_, file)| file)
        })?;
        if self.files[file].shared {
            return None;
        }
        let name = self.names.find_raw(name)?;
        let lexed = &self.files[file].lexed;
        let start = lexed.tokens.all().partition_point(|token| token.line < line);
        let in_line = (start..lexed.names.len()).take_while(|at| lexed.tokens.line(*at) == line);
        let at = in_line
            .filter(|at| *at > 0)
            .find(|&at| lexed.names[at] == name && lexed.name(at - 1) == Name::FN)?;
        let around = |node: &NodeId| {
            let node = &self.nodes[*node];
            node.file == file && node.range.contains(&at) && !node.is_face
        };
        (0..self.nodes.len()).filter(around).min_by_key(|node| self.nodes[*node].range.len())
    }

    /// Where a node is: its crate, module and name, as people write it.
    pub fn label(&self, node: NodeId) -> String {
        let Node { kind, name, module, container, .. } = self.nodes[node];
        let Module { krate, path, .. } = &self.modules[module];
        let krate = self.names.text(self.crates[*krate].name);
        let mut label = krate.to_owned();
        if !path.is_empty() {
            label.push_str("::");
            label.push_str(path);
        }
        let name = self.names.text(name);
        let last = match (kind, container) {
            (_, Some(container)) => format!("<{}>::{name}", self.head_text(container)),
            (ItemKind::Impl, None) => format!("<{}>", self.head_text(node)),
            (ItemKind::Call | ItemKind::Macro, None) => format!("{name}!"),
            (ItemKind::ExternBlock, None) => "extern".to_owned(),
            _ => name.to_owned(),
        };
        label.push_str("::");
        label.push_str(&last);
        label
    }

    /// What tells a module from others of its path: nothing, unless one around it shares its name with another before it.
    pub fn apart(&self, module: ModuleId) -> String {
        let mut text = String::new();
        let mut current = Some(module);
        while let Some(at) = current {
            let Module { ordinal, parent, ref path, .. } = self.modules[at];
            if ordinal > 0 {
                let _ = write!(text, " {path} {ordinal}");
            }
            current = parent;
        }
        text
    }

    fn head_text(&self, node: NodeId) -> String {
        let Node { file, ref head, kind, name, .. } = self.nodes[node];
        if kind == ItemKind::Trait {
            return self.names.text(name).to_owned();
        }
        let tokens = &self.files[file].lexed.tokens;
        let mut text = String::new();
        for at in head.start..head.end.saturating_sub(1) {
            let part = tokens.text(at);
            let word = |c: char| c.is_alphanumeric() || c == '_' || c == '\'';
            if text.ends_with(word) && part.starts_with(word) || part == "for" || text.ends_with(" for") {
                text.push(' ');
            }
            text.push_str(part);
            if text.len() > 80 {
                text.push('…');
                break;
            }
        }
        text
    }

    /// The line of a node's first token behind its attributes.
    pub fn line(&self, node: NodeId) -> u32 {
        let Node { file, ref head, .. } = self.nodes[node];
        self.files[file].lexed.tokens.line(head.start)
    }

    /// Feeds a node's own tokens to a hash.
    pub fn feed(&self, node: NodeId, hasher: &mut blake3::Hasher) {
        let Node { file, ref range, ref holes, .. } = self.nodes[node];
        let tokens = &self.files[file].lexed.tokens;
        let mut at = range.start;
        for hole in holes {
            tokens.feed(at..hole.start.max(at), hasher);
            at = hole.end.max(at);
        }
        tokens.feed(at..range.end, hasher);
    }

    /// The number of a node's own tokens.
    pub fn size(&self, node: NodeId) -> usize {
        let Node { ref range, ref holes, .. } = self.nodes[node];
        range.len().saturating_sub(holes.iter().map(ExactSizeIterator::len).sum())
    }

    /// What macro crates depend on writes code with them.
    pub(crate) fn mark_writers(&mut self) {
        let mut pending: Vec<CrateId> =
            (0..self.crates.len()).filter(|krate| self.crates[*krate].is_macro).collect();
        while let Some(krate) = pending.pop() {
            for linked in self.crates[krate].dependencies.values().flatten().cloned().collect::<Vec<_>>() {
                if let Linked::Local(found) = linked
                    && !std::mem::replace(&mut self.crates[found].writes_code, true)
                {
                    pending.push(found);
                }
            }
        }
    }

    /// Every node whose tokens hold a name.
    pub fn naming(&self, name: Name) -> Vec<NodeId> {
        let mut found: HashSet<NodeId> = HashSet::new();
        let imports = self.modules.iter().flat_map(|module| &module.imports);
        let renamed = imports.filter(|import| import.path.last() == Some(&name) && import.name != name);
        let names: BTreeSet<Name> = renamed
            .map(|import| import.name)
            .filter(|name| !name.is_none() && !name.is_keyword())
            .chain([name])
            .collect();
        for (file, File { lexed, .. }) in self.files.iter().enumerate() {
            // Nearly always one, which is compared quickly without optimisation too.
            let mut places = Vec::new();
            for name in &names {
                let mut at = 0;
                while at < lexed.names.len() {
                    if lexed.names[at] == *name {
                        places.push(at);
                    }
                    at += 1;
                }
            }
            if places.is_empty() {
                continue;
            }
            for (id, node) in self.nodes.iter().enumerate() {
                let inside =
                    |at: &usize| node.range.contains(at) && !node.holes.iter().any(|hole| hole.contains(at));
                if node.file == file && !node.is_face && places.iter().any(inside) {
                    found.insert(id);
                }
            }
        }
        let mut found: Vec<NodeId> = found.into_iter().collect();
        found.sort_unstable();
        found
    }

    /// Whether a trait, or an impl of one, has a member of a name.
    pub fn in_traits(&self, name: Name) -> bool {
        self.members.get(&name).into_iter().flatten().any(|member| {
            let container = self.nodes[*member].container.unwrap_or(*member);
            !self.inherent_impls.contains_key(&container)
        })
    }

    /// Whether a type may implement `Deref`: an impl or a derive says so, or a macro may write one.
    pub fn dereferences(&self, node: NodeId) -> bool {
        let all = self.dereferencing.get_or_init(|| {
            let mut found = HashSet::new();
            let deref = self.names.find("Deref")?;
            for node in &self.nodes {
                let names = &self.files[node.file].lexed.names;
                match node.kind {
                    ItemKind::Impl if names[node.head.clone()].contains(&deref) => {
                        found.extend(names[node.head.clone()].iter().copied());
                    }
                    ItemKind::Type if names[node.attributes.clone()].contains(&deref) => {
                        found.insert(node.name);
                    }
                    ItemKind::Macro if names[node.range.clone()].contains(&deref) => {
                        found.extend(self.nodes.iter().map(|node| node.name));
                    }
                    _ => {}
                }
            }
            Some(found)
        });
        all.as_ref().is_some_and(|names| names.contains(&self.nodes[node].name))
    }

    /// Whether any file has an identifier.
    pub fn is_used(&self, name: Name) -> bool {
        self.files.iter().any(|file| file.lexed.names.contains(&name))
    }

    /// The build script's output directory, if the package that is compiled has one.
    pub fn out_dir(&self) -> Option<&Path> {
        self.out_dir.as_deref()
    }
}
