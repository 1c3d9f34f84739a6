//! Loading crates: manifests, module trees, items to nodes.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::assets::{self, Places};
use crate::compiler::Invocation;
use crate::declared::Declaring;
use crate::items::{self, Import, Item, ItemKind, Lexed};
use crate::marks::{is_cached, may_change};
use crate::modules::{self, Declaration};
use crate::names::{Name, Names};
use crate::package::{DependencyKind, Package};
use crate::sources::{Sources, tidy};
use crate::world::{Crate, CrateId, Entry, File, FileId, Linked, Module, ModuleId, Node, NodeId, World};

/// Macros around items that leave the items as they are.
const TRANSPARENT: [&str; 3] = ["cfg_if", "thread_local", "lazy_static"];

impl World {
    /// Loads the crate that is being compiled. `None` if its root or its manifest cannot be read.
    pub fn load(directory: &Path, out_dir: Option<&Path>, invocation: &Invocation) -> Option<Self> {
        let root = tidy(invocation.root.as_deref()?);
        let package = Arc::new(Package::read(directory)?);
        let mut world = Self {
            names: Names::default(),
            files: Vec::new(),
            crates: Vec::new(),
            modules: Vec::new(),
            nodes: Vec::new(),
            members: HashMap::new(),
            by_name: HashMap::new(),
            aliases: HashMap::new(),
            macros: HashMap::new(),
            impls: Vec::new(),
            conditional: Vec::new(),
            inherent_impls: HashMap::new(),
            loaded: Vec::new(),
            sources: Sources::default(),
            own: 0,
            test: invocation.test,
            out_dir: out_dir.map(Path::to_path_buf),
            by_path: HashMap::new(),
            packages: HashMap::new(),
            patches: package.patches(),
            dereferencing: OnceCell::new(),
            declaring: Vec::new(),
        };
        let is_library = package.library.as_deref().map(tidy).as_ref() == Some(&root);
        let library = package.library.clone().map(|path| world.add(&package, &path));
        world.own = match library {
            Some(library) if is_library => library,
            _ => world.add(&package, &root),
        };
        if let Some(library) = library
            && library != world.own
        {
            let name = world.names.number(&package.crate_name());
            world.link(world.own, name, Linked::Local(library));
        }
        world.load_linked(invocation);
        world.mark_writers();
        Some(world)
    }

    /// Loads the crate and all local ones that are linked with it, so that what a function reaches does not depend on
    /// which function was looked at before.
    fn load_linked(&mut self, invocation: &Invocation) {
        let mut pending = vec![self.own];
        while let Some(krate) = pending.pop() {
            if self.crates[krate].root.is_some() {
                continue;
            }
            self.load_crate(krate);
            let all = self.crates[krate].dependencies.clone().into_iter();
            for (name, linked) in all.flat_map(|(name, all)| all.into_iter().map(move |one| (name, one))) {
                let Linked::Local(found) = linked else { continue };
                let text = self.names.text(name);
                // Without knowledge of what is linked, all is.
                let linked = krate != self.own
                    || invocation.externs.is_empty()
                    || invocation.externs.iter().any(|(known, _)| known == text);
                if linked {
                    pending.push(found);
                }
            }
        }
    }

    /// Adds a crate without loading it.
    fn add(&mut self, package: &Arc<Package>, root: &Path) -> CrateId {
        let root = tidy(root);
        if let Some(known) = self.packages.get(&root) {
            return *known;
        }
        let id = self.crates.len();
        self.packages.insert(root.clone(), id);
        let name = self.names.number(&package.crate_name());
        let edition = package.edition();
        let is_macro = package.is_macro();
        self.crates.push(Crate {
            name,
            root_file: root,
            root: None,
            package: package.clone(),
            dependencies: BTreeMap::new(),
            is_macro,
            old_paths: edition == "2015",
            bare_objects: matches!(edition.as_str(), "2015" | "2018"),
            writes_code: is_macro,
        });
        self.sources.bytes(&package.directory.join("Cargo.toml"));
        for dependency in &package.dependencies {
            let others = self.crates[0].package.directory != package.directory;
            if dependency.kind == DependencyKind::Build
                || dependency.kind == DependencyKind::Development && others
            {
                continue;
            }
            let name = self.names.number(&dependency.name);
            // The engine is not its user's code, wherever it comes from.
            let patch = self.patches.get(&dependency.package).filter(|_| dependency.package != "fleche");
            let patched = patch.is_some();
            let local = dependency.path.as_deref().or(patch.map(PathBuf::as_path)).and_then(Package::read);
            match local {
                Some(found) if found.library.is_some() => {
                    // A renamed dependency keeps its new name; else the library may have a name of its own.
                    let own_name = found.crate_name();
                    let root = found.library.clone().unwrap_or_default();
                    let krate = self.add(&Arc::new(found), &root);
                    if !dependency.renamed {
                        let own_name = self.names.number(&own_name);
                        self.link(id, own_name, Linked::Local(krate));
                    }
                    self.link(id, name, Linked::Local(krate));
                    if patched {
                        // Or it is not, where no version fits.
                        self.link(id, name, Linked::Foreign(dependency.package.clone()));
                    }
                }
                _ => self.link(id, name, Linked::Foreign(dependency.package.clone())),
            }
        }
        id
    }

    fn link(&mut self, krate: CrateId, name: Name, linked: Linked) {
        let known = self.crates[krate].dependencies.entry(name).or_default();
        if !known.contains(&linked) {
            known.push(linked);
        }
    }

    /// Parses a crate's files, if that was not done before; tells its root module.
    pub fn load_crate(&mut self, krate: CrateId) -> ModuleId {
        if let Some(root) = self.crates[krate].root {
            return root;
        }
        let root = self.new_module(krate, None, String::new());
        self.crates[krate].root = Some(root);
        self.loaded.push(krate);
        let file = self.crates[krate].root_file.clone();
        self.load_file(&file, root, true);
        self.load_declared();
        root
    }

    fn new_module(&mut self, krate: CrateId, parent: Option<ModuleId>, path: String) -> ModuleId {
        self.modules.push(Module {
            krate,
            parent,
            path,
            ordinal: 0,
            scope: HashMap::new(),
            imports: Vec::new(),
            attributes: Vec::new(),
            nodes: Vec::new(),
        });
        self.modules.len() - 1
    }

    /// Adds a file's items to a module.
    pub(crate) fn load_file(&mut self, path: &Path, module: ModuleId, owns: bool) {
        let path = tidy(path);
        if let Some(&known) = self.by_path.get(&path) {
            let same = self.files[known].module == module;
            if same {
                return;
            }
            // The same text in another module is other code; a cycle of includes must end nevertheless.
            let within = self.modules[module].path.len();
            if within > 512 {
                return;
            }
        }
        let Some(tokens) = self.sources.tokens(&path) else { return };
        let lexed = Lexed::new(tokens, &mut self.names);
        let id = self.files.len();
        let shared = self.by_path.contains_key(&path);
        self.files.push(File { path: path.clone(), lexed, module, shared });
        self.by_path.insert(path, id);
        let range = 0..self.files[id].lexed.tokens.len();
        self.load_items(id, range, module, owns, &mut Vec::new());
    }

    /// Adds the items in a range of a file to a module. `inside`: the inline modules around, as directories.
    fn load_items(
        &mut self,
        file: FileId,
        range: Range<usize>,
        module: ModuleId,
        owns: bool,
        inside: &mut Vec<String>,
    ) {
        for item in items::parse(&self.files[file].lexed, range) {
            self.load_item(file, &item, module, owns, inside);
        }
    }

    fn load_item(
        &mut self,
        file: FileId,
        item: &Item,
        module: ModuleId,
        owns: bool,
        inside: &mut Vec<String>,
    ) {
        let lexed = &self.files[file].lexed;
        if !self.test && items::only_for_tests(lexed, item.attributes.clone()) {
            return;
        }
        match item.kind {
            ItemKind::Attribute => self.modules[module].attributes.push((file, item.range.clone())),
            ItemKind::Use => {
                let start = item.head.start + 1;
                let found = items::imports(lexed, start..item.range.end.saturating_sub(1));
                let conditional = lexed.names[item.attributes.clone()].contains(&Name::CFG);
                for import in found {
                    if conditional {
                        self.conditional.push((import.name, module, file, item.range.clone()));
                    }
                    self.add_import(module, import);
                }
            }
            ItemKind::ExternCrate => {
                let extern_name = lexed.name(item.head.start + 2);
                let attributes = &lexed.names[item.attributes.clone()];
                let glob = attributes.contains(&Name::MACRO_USE);
                let import = Import { path: vec![extern_name], name: item.name, absolute: true };
                if attributes.contains(&Name::CFG) {
                    self.conditional.push((import.name, module, file, item.range.clone()));
                }
                if glob {
                    self.add_import(module, Import { name: Name::NONE, ..import.clone() });
                }
                let krate = self.modules[module].krate;
                if extern_name == Name::SELF {
                    self.link(krate, item.name, Linked::Local(krate));
                } else {
                    // At the root it holds in all modules.
                    if self.crates[krate].root == Some(module)
                        && let Some(linked) = self.crates[krate].dependencies.get(&extern_name).cloned()
                    {
                        self.crates[krate].dependencies.entry(item.name).or_insert(linked);
                    }
                    self.add_import(module, import);
                }
            }
            ItemKind::Module => self.load_module(file, item, module, owns, inside),
            ItemKind::Impl | ItemKind::Trait => {
                let node = self.add_node(file, item, module);
                self.add_members(node, item);
            }
            ItemKind::Call => self.load_call(file, item, module, owns, inside),
            ItemKind::ExternBlock => {
                let node = self.add_node(file, item, module);
                let body = item.body.clone().unwrap_or(0..0);
                let inner = items::parse(&self.files[file].lexed, body);
                for foreign in inner.iter().filter(|foreign| !foreign.name.is_none()) {
                    self.name_node(module, foreign.name, node);
                }
            }
            ItemKind::Macro => {
                let node = self.add_node(file, item, module);
                self.macros.entry(item.name).or_default().push(node);
                let krate = self.modules[module].krate;
                // An exported macro is found at the root.
                if let Some(root) = self.crates[krate].root
                    && root != module
                {
                    self.modules[root].scope.entry(item.name).or_default().push(Entry::Node(node));
                }
            }
            ItemKind::Function | ItemKind::Constant | ItemKind::Static => {
                let node = self.add_node(file, item, module);
                self.add_inner_impls(node);
            }
            ItemKind::Type | ItemKind::Alias => {
                self.add_node(file, item, module);
            }
        }
    }

    pub(crate) fn add_module(&mut self, parent: ModuleId, name: Name, text: &str) -> ModuleId {
        let path = match self.modules[parent].path.as_str() {
            "" => text.to_owned(),
            outer => format!("{outer}::{text}"),
        };
        let module = self.new_module(self.modules[parent].krate, Some(parent), path);
        let entries = self.modules[parent].scope.entry(name).or_default();
        let same = entries.iter().filter(|entry| matches!(entry, Entry::Module(_))).count();
        entries.push(Entry::Module(module));
        self.modules[module].ordinal = u32::try_from(same).unwrap_or(u32::MAX);
        module
    }

    fn add_import(&mut self, module: ModuleId, import: Import) {
        let index = self.modules[module].imports.len();
        if !import.name.is_none() && import.name != Name::UNDERSCORE {
            self.modules[module].scope.entry(import.name).or_default().push(Entry::Import(index));
            if import.path.last() != Some(&import.name) {
                self.aliases.entry(import.name).or_default().push((module, index));
            }
        }
        self.modules[module].imports.push(import);
    }

    fn load_module(
        &mut self,
        file: FileId,
        item: &Item,
        parent: ModuleId,
        owns: bool,
        inside: &mut Vec<String>,
    ) {
        let name = self.names.text(item.name);
        let name = name.strip_prefix("r#").unwrap_or(name).to_owned();
        let module = self.add_module(parent, item.name, &name);
        if !item.attributes.is_empty() {
            self.modules[module].attributes.push((file, item.attributes.clone()));
        }
        let lexed = &self.files[file].lexed;
        let paths = modules::paths_before(&lexed.tokens, item.head.start);
        if let Some(body) = item.body.clone() {
            inside.push(match paths.into_iter().next() {
                // Such a path does not begin in the directory that a file has for its modules.
                Some(path)
                    if inside.is_empty() && !owns && !modules::owns_directory(&self.files[file].path) =>
                {
                    format!("../{path}")
                }
                path => path.unwrap_or(name),
            });
            self.load_items(file, body, module, owns, inside);
            inside.pop();
            return;
        }
        let declaration = Declaration { inside: inside.clone(), name, paths, token: item.head.start };
        let here = self.files[file].path.clone();
        for (path, owns) in modules::candidates(&here, owns || modules::owns_directory(&here), &declaration) {
            let path = tidy(&path);
            if path.is_file() {
                self.load_file(&path, module, owns);
            }
        }
    }

    /// A macro call where items stand: a node that always counts, and the items that can be seen in it.
    fn load_call(
        &mut self,
        file: FileId,
        item: &Item,
        module: ModuleId,
        owns: bool,
        inside: &mut Vec<String>,
    ) {
        let name = self.names.text(item.name).to_owned();
        let body = item.body.clone().unwrap_or(0..0);
        if item.name == Name::INCLUDE {
            self.add_node(file, item, module);
            let here = self.files[file].path.clone();
            let tokens = self.files[file].lexed.tokens.clone();
            let krate = self.modules[module].krate;
            let package = self.crates[krate].package.directory.clone();
            let out_dir = self.out_dir.clone();
            let own = self.crates[self.own].package.directory.clone();
            let places =
                Places { file: &here, package: &package, own: &own, out_dir: out_dir.as_deref(), all: false };
            for asset in assets::named(&tokens, item.range.clone(), places) {
                self.load_file(&asset.path, module, true);
            }
            return;
        }
        self.declaring.push(Declaring::new(file, item, module, owns, inside));
        let node = self.add_node(file, item, module);
        let mut seen = self.items_inside(file, body);
        seen.sort_by_key(|item| item.range.start);
        let transparent = TRANSPARENT.contains(&name.as_str());
        for inner in seen {
            // What becomes no node stays in the call's own tokens; what it refers to is noted with the module.
            let stays = matches!(inner.kind, ItemKind::Use | ItemKind::ExternCrate)
                || inner.kind == ItemKind::Module && inner.body.is_none();
            if transparent && stays {
                self.nodes[node].noted.push(inner.range.clone());
            } else if transparent {
                self.nodes[node].holes.push(inner.range.clone());
            }
            let before = self.nodes.len();
            self.load_item(file, &inner, module, owns, inside);
            for made in before..self.nodes.len() {
                self.nodes[made].mutable |= matches!(name.as_str(), "thread_local" | "lazy_static");
                if !transparent {
                    self.nodes[made].call.get_or_insert(node);
                }
            }
        }
    }

    fn add_node(&mut self, file: FileId, item: &Item, module: ModuleId) -> NodeId {
        let id = self.nodes.len();
        let lexed = &self.files[file].lexed;
        let cached = item.kind == ItemKind::Function && is_cached(lexed, &item.attributes);
        let mutable = item.kind == ItemKind::Static && may_change(lexed, &item.head);
        let ordinal = self.count_before(module, item.kind, item.name);
        self.nodes.push(Node {
            kind: item.kind,
            name: item.name,
            module,
            file,
            range: item.range.clone(),
            holes: Vec::new(),
            noted: Vec::new(),
            attributes: item.attributes.clone(),
            head: item.head.clone(),
            container: None,
            members: Vec::new(),
            cached,
            face: None,
            is_face: false,
            ordinal,
            mutable,
            carrier: None,
            call: None,
        });
        self.modules[module].nodes.push(id);
        if !item.name.is_none() && item.kind != ItemKind::Call {
            self.name_node(module, item.name, id);
        }
        if item.kind == ItemKind::Impl {
            self.impls.push(id);
        }
        if cached {
            self.add_face(id, item, module);
        }
        id
    }

    /// A cached function has two nodes: itself, and what a caller of it depends on.
    fn add_face(&mut self, id: NodeId, item: &Item, module: ModuleId) {
        let face = self.nodes.len();
        let Node { file, ordinal, .. } = self.nodes[id];
        let lexed = &self.files[file].lexed;
        let attributes = &lexed.names[item.attributes.clone()];
        let helpers = attributes.iter().position(|name| self.names.text(*name) == "helpers");
        let helpers = helpers.map(|at| lexed.name(item.attributes.start + at + 2));
        self.nodes.push(Node {
            kind: item.kind,
            name: item.name,
            module,
            file,
            range: item.attributes.start..item.head.end,
            holes: Vec::new(),
            noted: Vec::new(),
            attributes: item.attributes.clone(),
            head: item.head.clone(),
            container: None,
            members: Vec::new(),
            cached: false,
            face: None,
            is_face: true,
            ordinal,
            mutable: false,
            carrier: None,
            call: None,
        });
        self.nodes[id].face = Some(face);
        if let Some(helpers) = helpers.filter(|name| !name.is_none()) {
            self.name_node(module, helpers, id);
        }
    }

    fn count_before(&self, module: ModuleId, kind: ItemKind, name: Name) -> u32 {
        if name.is_none() {
            return 0;
        }
        let entries = self.modules[module].scope.get(&name).into_iter().flatten();
        let same =
            entries.filter(|entry| matches!(entry, Entry::Node(node) if self.nodes[*node].kind == kind));
        u32::try_from(same.count()).unwrap_or(u32::MAX)
    }

    fn name_node(&mut self, module: ModuleId, name: Name, node: NodeId) {
        self.modules[module].scope.entry(name).or_default().push(Entry::Node(node));
        self.by_name.entry(name).or_default().push(node);
    }

    /// Functions and constants of an impl or trait are nodes of their own.
    fn add_members(&mut self, container: NodeId, item: &Item) {
        let Some(body) = item.body.clone() else { return };
        let Node { file, module, .. } = self.nodes[container];
        for member in items::parse(&self.files[file].lexed, body) {
            let own = match member.kind {
                ItemKind::Function => item.kind == ItemKind::Impl || member.body.is_some(),
                ItemKind::Constant => true,
                _ => false,
            };
            let lexed = &self.files[file].lexed;
            if !self.test && items::only_for_tests(lexed, member.attributes.clone()) {
                self.nodes[container].holes.push(member.range.clone());
                continue;
            }
            if !own {
                // A method without a body is known by its name nevertheless.
                if member.kind == ItemKind::Function {
                    self.members.entry(member.name).or_default().push(container);
                }
                continue;
            }
            let id = self.nodes.len();
            self.nodes.push(Node {
                kind: member.kind,
                name: member.name,
                module,
                file,
                range: member.range.clone(),
                holes: Vec::new(),
                noted: Vec::new(),
                attributes: member.attributes.clone(),
                head: member.head.clone(),
                container: Some(container),
                members: Vec::new(),
                cached: false,
                face: None,
                is_face: false,
                ordinal: 0,
                mutable: false,
                carrier: None,
                call: None,
            });
            self.modules[module].nodes.push(id);
            self.nodes[container].members.push(id);
            self.nodes[container].holes.push(member.range.clone());
            self.members.entry(member.name).or_default().push(id);
            self.add_inner_impls(id);
        }
    }

    /// Impls inside a body act outside of it.
    fn add_inner_impls(&mut self, carrier: NodeId) {
        let Node { file, module, .. } = self.nodes[carrier];
        let range = self.nodes[carrier].head.end..self.nodes[carrier].range.end;
        let lexed = &self.files[file].lexed;
        let mut found = Vec::new();
        for at in range {
            if lexed.name(at) == Name::IMPL
                && at > 0
                && (matches!(lexed.tokens.text(at - 1), "{" | "}" | ";" | "]")
                    || lexed.name(at - 1) == Name::UNSAFE)
            {
                let end = self.nodes[carrier].range.end;
                found.extend(items::parse(lexed, at..end).into_iter().next());
            }
        }
        for item in found {
            if item.kind == ItemKind::Impl {
                let node = self.add_node(file, &item, module);
                self.nodes[node].carrier = Some(carrier);
            }
        }
    }
}
