//! What macro calls among items bring: items in their arguments, and modules that they declare, as `modules!(a, b)` does
//! where a macro writes `mod $name;`.
//!
//! What such a call declares is seen once all files of a crate are known, so that no file becomes a module twice.

use std::ops::Range;

use crate::items::{self, Item, ItemKind};
use crate::modules::{self, Declaration};
use crate::names::Name;
use crate::sources::tidy;
use crate::world::{Entry, FileId, ModuleId, World};

/// A macro call among items, and where the modules that it may declare have their files.
#[derive(Debug)]
pub(crate) struct Declaring {
    file: FileId,
    name: Name,
    arguments: Range<usize>,
    module: ModuleId,
    owns: bool,
    inside: Vec<String>,
}

impl Declaring {
    pub(crate) fn new(file: FileId, item: &Item, module: ModuleId, owns: bool, inside: &[String]) -> Self {
        let arguments = item.body.clone().unwrap_or(0..0);
        Self { file, name: item.name, arguments, module, owns, inside: inside.to_vec() }
    }
}

impl World {
    /// Items anywhere among a macro's arguments.
    pub(crate) fn items_inside(&self, file: FileId, range: Range<usize>) -> Vec<Item> {
        let lexed = &self.files[file].lexed;
        let mut found = Vec::new();
        let mut pending = vec![range];
        while let Some(range) = pending.pop() {
            let items = items::parse(lexed, range.clone());
            let mut at = range.start;
            for item in items.into_iter().chain([Item {
                kind: ItemKind::Attribute,
                name: Name::NONE,
                range: range.end..range.end,
                attributes: 0..0,
                head: 0..0,
                body: None,
            }]) {
                // What lies between items may hold more of them (`if #[cfg(unix)] { … }`).
                while at < item.range.start {
                    let next = lexed.tokens.after(at);
                    if lexed.is(at, "{") && next > at + 1 {
                        pending.push(at + 1..next - 1);
                    }
                    at = next;
                }
                at = item.range.end;
                if item.range.start < item.range.end {
                    found.push(item);
                }
            }
        }
        found
    }

    /// Loads the modules that the macro calls of the crate declare that was loaded last.
    pub(crate) fn load_declared(&mut self) {
        let mut waiting = std::mem::take(&mut self.declaring);
        while let Some(call) = waiting.pop() {
            for name in self.may_declare(&call) {
                self.declare(&call, name);
            }
            // Those of the files that were loaded now.
            waiting.append(&mut self.declaring);
        }
    }

    /// The names that a call may give to modules: of its arguments, or those that stand in the macro itself.
    fn may_declare(&self, call: &Declaring) -> Vec<Name> {
        let mut names = Vec::new();
        let (mut takes_names, mut known) = (false, false);
        for &definition in self.macros.get(&call.name).into_iter().flatten() {
            known = true;
            let node = &self.nodes[definition];
            let lexed = &self.files[node.file].lexed;
            for at in node.range.clone() {
                if lexed.name(at) != Name::MOD {
                    continue;
                }
                takes_names |= lexed.is(at + 1, "$");
                if lexed.is(at + 2, ";") {
                    names.push(lexed.name(at + 1));
                }
            }
        }
        let lexed = &self.files[call.file].lexed;
        let arguments = || call.arguments.clone().map(|at| lexed.name(at));
        // A macro from elsewhere takes a list of names, or it is not one of these.
        let plain = |at: usize| !lexed.name(at).is_none() || lexed.is(at, ",") || lexed.is(at, ";");
        if takes_names || !known && call.arguments.clone().all(plain) {
            names.extend(arguments());
        }
        names.retain(|name| !name.is_none() && !name.is_keyword());
        names.sort_unstable();
        names.dedup();
        names
    }

    fn declare(&mut self, call: &Declaring, name: Name) {
        let scope = self.modules[call.module].scope.get(&name).into_iter().flatten();
        if scope.into_iter().any(|entry| matches!(entry, Entry::Module(_))) {
            return;
        }
        let text = self.names.text(name);
        let text = text.strip_prefix("r#").unwrap_or(text).to_owned();
        let declaration =
            Declaration { inside: call.inside.clone(), name: text.clone(), paths: Vec::new(), token: 0 };
        let here = self.files[call.file].path.clone();
        let owns = call.owns || modules::owns_directory(&here);
        let files = modules::candidates(&here, owns, &declaration).into_iter();
        let files = files.map(|(path, owns)| (tidy(&path), owns));
        let files: Vec<_> =
            files.filter(|(path, _)| path.is_file() && !self.by_path.contains_key(path)).collect();
        if files.is_empty() {
            return;
        }
        let module = self.add_module(call.module, name, &text);
        for (path, owns) in files {
            self.load_file(&path, module, owns);
        }
    }
}
