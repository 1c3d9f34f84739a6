//! Names as numbers: every identifier of every file is compared many times, and text is slow to compare without optimisation.

/// An identifier, without `r#` unless it would be a keyword then; [`Name::NONE`] stands for a token that is none.
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

/// What a hash is multiplied by at each byte.
pub(crate) const STEP: u64 = 0x0100_0193;

/// A hash of an identifier that is quick without optimisation, as which macros are compiled. Nobody attacks it.
pub(crate) fn hash(text: &[u8]) -> u32 {
    let mut hash = 0_u64;
    for &byte in text {
        hash = (hash * STEP + u64::from(byte)) & 0xffff_ffff;
    }
    #[expect(clippy::cast_possible_truncation, reason = "it has so many bits")]
    let hash = hash as u32;
    hash
}

/// All identifiers that were met.
#[derive(Debug)]
pub struct Names {
    texts: Vec<Box<str>>,
    hashes: Vec<u32>,
    /// The numbers by their hashes, 0 where none is; each in the first free place from where its hash says. There is room for
    /// twice as many.
    slots: Box<[u32]>,
}

impl Default for Names {
    fn default() -> Self {
        // A first one, of no text, which is never looked up.
        let mut names =
            Self { texts: vec!["".into()], hashes: vec![0], slots: vec![0; 2048].into_boxed_slice() };
        for text in &KNOWN[1..] {
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
        self.number_hashed(text.as_bytes(), hash(text.as_bytes()))
    }

    /// The number of an identifier of which the hash is known.
    pub(crate) fn number_hashed(&mut self, text: &[u8], hash: u32) -> Name {
        let slot = self.slot(text, hash);
        if self.slots[slot] != 0 || text.is_empty() {
            return Name(self.slots[slot]);
        }
        let number = u32::try_from(self.texts.len()).unwrap_or(0);
        self.texts.push(String::from_utf8_lossy(text).into());
        self.hashes.push(hash);
        self.slots[slot] = number;
        if self.texts.len() * 2 > self.slots.len() {
            self.slots = vec![0; self.slots.len() * 4].into_boxed_slice();
            for number in 1..self.texts.len() {
                let slot = self.slot(self.texts[number].as_bytes(), self.hashes[number]);
                self.slots[slot] = u32::try_from(number).unwrap_or(0);
            }
        }
        Name(number)
    }

    /// Where the number of an identifier is, or would be.
    fn slot(&self, text: &[u8], hash: u32) -> usize {
        let last = self.slots.len() - 1;
        let mut slot = (hash ^ (hash >> 15)) as usize & last;
        loop {
            let number = self.slots[slot] as usize;
            if number == 0 || self.hashes[number] == hash && self.texts[number].as_bytes() == text {
                return slot;
            }
            slot = (slot + 1) & last;
        }
    }

    /// The number of an identifier that some file has.
    pub fn find(&self, text: &str) -> Option<Name> {
        let number = self.slots[self.slot(text.as_bytes(), hash(text.as_bytes()))];
        (number != 0 || text.is_empty()).then_some(Name(number))
    }

    /// The number of an identifier that some file has, written as `type` or `r#type`.
    pub fn find_raw(&self, text: &str) -> Option<Name> {
        let plain = text.strip_prefix("r#").unwrap_or(text);
        let found = self.find(plain)?;
        if found.is_keyword() && !found.is_none() { self.find(&format!("r#{plain}")) } else { Some(found) }
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
        assert_eq!((names.find(""), names.find("other")), (Some(Name::NONE), None));
    }

    #[test]
    fn many_names_keep_their_numbers() {
        let mut names = Names::default();
        let all: Vec<Name> = (0..5000).map(|n| names.number(&format!("name_{n}"))).collect();
        for (n, name) in all.into_iter().enumerate() {
            let text = format!("name_{n}");
            assert_eq!((names.find(&text), names.text(name)), (Some(name), text.as_str()));
        }
        // What the lexer says of a word is what is looked for.
        let tokens = crate::lexer::Tokens::lex("name_7 r#type é_1 'a 1 r#é");
        let words = (0..tokens.len()).filter_map(|at| tokens.word(at));
        let known: Vec<Name> = words.map(|(text, hash)| names.number_hashed(text, hash)).collect();
        let wanted = ["name_7", "type", "é_1", "é"].map(|text| names.find(text).expect("it is known"));
        assert_eq!(known, wanted);
    }
}
