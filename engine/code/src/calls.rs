//! When a macro call in the place of items counts.
//!
//! Such a call may define anything, so it counts always, unless it calls a `macro_rules!` of ours: that can only write
//! names which stand in its arguments or in the macro's body. Then it counts when something reached uses a name that it
//! may define, or is a type or trait that it may implement something for. A name in the arguments of a macro that takes
//! types and expressions only (`impl_all!(u8, u16)`) becomes no definition.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use crate::items::ItemKind;
use crate::lexer::Kind;
use crate::names::Name;
use crate::scan::{INERT, PLAIN, listed};
use crate::world::{NodeId, World};

/// Macros of the standard library that define nothing.
const HARMLESS: &str = "cfg concat env option_env include_str include_bytes stringify macro_rules";

/// Attributes that are no macros, or only add impls to the type that they stand on.
const KNOWN: &str = "cfg cfg_attr derive repr macro_export macro_use target_feature serde default path rustc_const_stable \
    no_mangle link_name rkyv value fleche";

/// What macros take that is no name of a new item.
const CLOSED: &str = "ty expr expr_2021 literal lifetime vis pat pat_param block";

/// The calls that count by name.
#[derive(Debug, Default)]
pub struct Calls {
    by_definition: HashMap<Name, Vec<NodeId>>,
    by_subject: HashMap<Name, Vec<NodeId>>,
    /// The names of statics that a call may define.
    statics: HashMap<NodeId, Vec<Name>>,
}

impl Calls {
    /// Looks at a call; false if it counts always.
    pub fn add(&mut self, world: &World, node: NodeId) -> bool {
        let Some(may) = what_it_may_write(world, node) else { return false };
        if may.statics {
            let capital = |name: &Name| !world.names.text(*name).contains(|c: char| c.is_lowercase());
            self.statics.insert(node, may.defines.iter().copied().filter(capital).collect());
        }
        for name in may.defines {
            self.by_definition.entry(name).or_default().push(node);
        }
        if may.implements {
            for name in may.names {
                self.by_subject.entry(name).or_default().push(node);
            }
        }
        true
    }

    /// Looks at an item with a body: a macro that is called in it may write impls, which act outside of it. `writers`: for each
    /// name, whether it is such a macro.
    pub fn add_body(&mut self, world: &World, node: NodeId, writers: &[bool]) {
        let info = &world.nodes[node];
        let lexed = &world.files[info.file].lexed;
        let (mut at, end) = (info.head.start, info.range.end);
        while at < end {
            let name = lexed.names[at];
            at += 1;
            if !writers[name.0 as usize] || !lexed.is(at, "!") {
                continue;
            }
            let mut names: BTreeSet<Name> =
                lexed.names[at..lexed.tokens.after(at + 1).min(end)].iter().copied().collect();
            let (mut pending, mut seen) = (vec![name], BTreeSet::new());
            while let Some(name) = pending.pop() {
                for &definition in world.macros.get(&name).into_iter().flatten().filter(|_| seen.insert(name))
                {
                    let found = &world.nodes[definition];
                    let inside = &world.files[found.file].lexed.names[found.head.end..found.range.end];
                    names.extend(inside);
                    pending.extend(inside.iter().filter(|name| world.macros.contains_key(name)));
                }
            }
            for name in names.into_iter().filter(|name| !name.is_keyword()) {
                self.by_subject.entry(name).or_default().push(node);
            }
        }
    }

    /// The statics that a call may define.
    pub fn statics(&self, node: NodeId) -> &[Name] {
        self.statics.get(&node).map_or(&[], |names| names)
    }

    /// The calls that may define a name.
    pub fn defining(&self, name: Name) -> &[NodeId] {
        self.by_definition.get(&name).map_or(&[], |calls| calls)
    }

    /// The calls that may implement something for a type or trait of a name.
    pub fn implementing(&self, name: Name) -> &[NodeId] {
        self.by_subject.get(&name).map_or(&[], |calls| calls)
    }
}

#[derive(Default)]
struct May {
    defines: BTreeSet<Name>,
    names: BTreeSet<Name>,
    implements: bool,
    statics: bool,
}

/// For each name, whether a macro of ours that is called so may write impls.
pub fn writers(world: &World) -> Vec<bool> {
    let mut found = vec![false; world.names.len()];
    loop {
        let mut more = false;
        for (name, definitions) in &world.macros {
            let writes = !found[name.0 as usize]
                && definitions.iter().any(|definition| {
                    let node = &world.nodes[*definition];
                    let names = &world.files[node.file].lexed.names[node.head.end..node.range.end];
                    names.iter().any(|name| *name == Name::IMPL || found[name.0 as usize])
                });
            more |= writes;
            found[name.0 as usize] |= writes;
        }
        if !more {
            return found;
        }
    }
}

/// `None` if it may write anything.
fn what_it_may_write(world: &World, node: NodeId) -> Option<May> {
    let call = &world.nodes[node];
    let mut may = May::default();
    let mut seen = BTreeSet::new();
    let mut pending = vec![call.name];
    // Macros that are called in the arguments are of ours too, or it may write anything.
    let open = world.macros.get(&call.name)?.iter().any(|definition| takes_names(world, *definition));
    read(world, call.file, call.head.end..call.range.end, open, &mut may, &mut pending)?;
    while let Some(name) = pending.pop() {
        if !seen.insert(name) {
            continue;
        }
        for &definition in world.macros.get(&name)? {
            let found = &world.nodes[definition];
            read(world, found.file, found.head.end..found.range.end, false, &mut may, &mut pending)?;
        }
    }
    Some(may)
}

/// Whether a macro takes anything that may become the name of an item.
fn takes_names(world: &World, definition: NodeId) -> bool {
    let found = &world.nodes[definition];
    let lexed = &world.files[found.file].lexed;
    found.range.clone().any(|at| {
        lexed.is(at, "$")
            && lexed.tokens.ident(at + 1).is_some()
            && lexed.is(at + 2, ":")
            && lexed.tokens.ident(at + 3).is_some_and(|kind| !listed(CLOSED, kind))
    })
}

/// Reads the arguments of a call, or the body of a macro. `open`: whatever stands there may become an item's name.
fn read(
    world: &World,
    file: usize,
    range: Range<usize>,
    open: bool,
    may: &mut May,
    pending: &mut Vec<Name>,
) -> Option<()> {
    let lexed = &world.files[file].lexed;
    let tokens = &lexed.tokens;
    // Up to where names may define something: all arguments, those of inner calls, and what `use` brings.
    let mut open_until = if open { range.end } else { 0 };
    for at in range.clone() {
        let name = lexed.name(at);
        if tokens.is(at, "#") {
            let start = if tokens.is(at + 1, "!") { at + 2 } else { at + 1 };
            if tokens.is(start, "[") && !tokens.is(start + 1, "$") {
                let attribute = world.names.text(lexed.name(start + 1));
                if attribute == "fleche" {
                    // It defines helpers, by the function's name or by one that stands in it.
                    open_until = open_until.max(tokens.after(start));
                }
                if !listed(INERT, attribute) && !listed(KNOWN, attribute) {
                    return None;
                }
            }
        }
        if name.is_none() {
            continue;
        }
        may.implements |= name == Name::IMPL;
        may.statics |= name == Name::STATIC;
        if name.is_keyword() {
            // Its variants may be imported.
            if name == Name::ENUM {
                open_until = range.end;
            }
            if name == Name::USE {
                let end = (at..range.end).find(|at| tokens.is(*at, ";")).unwrap_or(range.end);
                open_until = open_until.max(end);
            }
            continue;
        }
        may.names.insert(name);
        let before = lexed.name(at - 1);
        let defined = matches!(
            before,
            Name::FN
                | Name::STRUCT
                | Name::ENUM
                | Name::TRAIT
                | Name::TYPE
                | Name::MOD
                | Name::CONST
                | Name::STATIC
        ) || matches!(before, Name::MUT | Name::UNION | Name::REF);
        if defined || at < open_until {
            may.defines.insert(name);
        }
        if tokens.is(at + 1, "!") && !tokens.is(at + 2, "=") {
            let group = if lexed.name(at + 2).is_none() { at + 2 } else { at + 3 };
            if tokens.kind(group) != Some(Kind::Open) {
                continue;
            }
            open_until = open_until.max(tokens.after(group));
            let text = world.names.text(name);
            if tokens.is(at - 1, "$") {
                return None;
            } else if world.macros.contains_key(&name) {
                pending.push(name);
            } else if !listed(PLAIN, text) && !listed(HARMLESS, text) {
                return None;
            }
        }
    }
    Some(())
}

/// Whether a node is something that impls are for.
pub fn is_subject(kind: ItemKind) -> bool {
    matches!(kind, ItemKind::Type | ItemKind::Trait | ItemKind::Alias | ItemKind::Call)
}
