//! Names as numbers: every identifier of every file is compared many times, and text is slow to compare without optimisation.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

/// An identifier, without `r#`; [`Name::NONE`] stands for a token that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(pub u32);

macro_rules! known {
    ($($name:ident = $text:literal),* $(,)?) => {
        /// The identifiers that the analysis knows, in the order of their numbers.
        const KNOWN: &[&str] = &["", $($text),*];
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum Number { _NONE, $($name),* }
        impl Name {
            $(#[doc = concat!("`", $text, "`")] pub const $name: Self = Self(Number::$name as u32);)*
        }
    };
}

known! {
    // Keywords first: a name up to `LAST_KEYWORD` is never a reference by itself.
    AS = "as", ASYNC = "async", AWAIT = "await", BREAK = "break", CONST = "const", CONTINUE = "continue",
    DYN = "dyn", ELSE = "else", ENUM = "enum", EXTERN = "extern", FALSE = "false", FN = "fn", FOR = "for",
    IF = "if", IMPL = "impl", IN = "in", LET = "let", LOOP = "loop", MATCH = "match", MOD = "mod",
    MOVE = "move", MUT = "mut", PUB = "pub", REF = "ref", RETURN = "return", STATIC = "static",
    STRUCT = "struct", TRAIT = "trait", TRUE = "true", TYPE = "type", UNSAFE = "unsafe", USE = "use",
    WHERE = "where", WHILE = "while", UNDERSCORE = "_", LAST_KEYWORD = " ",
    CRATE = "crate", SELF = "self", SUPER = "super", SELF_TYPE = "Self",
    MACRO_RULES = "macro_rules", MACRO = "macro", UNION = "union", AUTO = "auto", DEFAULT = "default",
    CFG = "cfg", CFG_ATTR = "cfg_attr", TEST = "test", FLECHE = "fleche", UNCACHED = "uncached",
    INCLUDE = "include", ENV = "env", OPTION_ENV = "option_env", MACRO_USE = "macro_use", PATH = "path",
    ALL = "all", DERIVE = "derive", STD = "std", CORE = "core", ALLOC = "alloc", SAFE = "safe",
    THREAD_LOCAL = "thread_local", LAZY_STATIC = "lazy_static", CONCAT = "concat", BENCH = "bench",
    INCLUDE_STR = "include_str", INCLUDE_BYTES = "include_bytes",
}

impl Name {
    /// No identifier.
    pub const NONE: Self = Self(0);

    /// Whether it is a keyword that never names anything (`crate`, `self`, `super` and `Self` do).
    pub fn is_keyword(self) -> bool {
        self.0 <= Self::LAST_KEYWORD.0
    }
}

/// All identifiers that were met.
#[derive(Debug)]
pub struct Names {
    texts: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, Name, BuildHasherDefault<Quick>>,
}

/// A hasher for short texts that is quick without optimisation, as which macros are compiled. Nobody attacks it.
#[derive(Debug, Default)]
struct Quick(u64);

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while at < bytes.len() {
            self.0 = (self.0.rotate_left(5) ^ u64::from(bytes[at])).wrapping_mul(0x517c_c1b7_2722_0a95);
            at += 1;
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Default for Names {
    fn default() -> Self {
        let mut names = Self { texts: Vec::new(), numbers: HashMap::default() };
        for text in KNOWN {
            names.number(text);
        }
        names
    }
}

impl Names {
    /// How many there are.
    #[expect(clippy::len_without_is_empty, reason = "there are always some")]
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// The number of an identifier.
    pub fn number(&mut self, text: &str) -> Name {
        if let Some(name) = self.numbers.get(text) {
            return *name;
        }
        let name = Name(u32::try_from(self.texts.len()).unwrap_or(0));
        let text: Arc<str> = text.into();
        self.texts.push(text.clone());
        self.numbers.insert(text, name);
        name
    }

    /// The number of an identifier that some file has.
    pub fn find(&self, text: &str) -> Option<Name> {
        self.numbers.get(text).copied()
    }

    /// An identifier's text.
    pub fn text(&self, name: Name) -> &str {
        self.texts.get(name.0 as usize).map_or("", |text| text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_have_their_numbers() {
        let mut names = Names::default();
        assert_eq!(names.number("fn"), Name::FN);
        assert_eq!(names.number("thread_local"), Name::THREAD_LOCAL);
        assert_eq!(names.text(Name::CRATE), "crate");
        assert!(Name::UNDERSCORE.is_keyword() && !Name::SELF_TYPE.is_keyword());
        let new = names.number("something");
        assert_eq!((names.number("something"), names.text(new)), (new, "something"));
    }
}
