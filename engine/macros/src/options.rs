//! The options in `#[fleche(…)]`: what there is, and errors that say what would be right.

use proc_macro2::{Span, TokenStream};
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Error, Ident, Lit, LitBool, LitStr, Path, Result, Token, bracketed};

/// Which code is part of a call's key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Level {
    /// None.
    Nothing,
    /// The function's own tokens.
    Body,
    /// Everything that it can reach.
    #[default]
    Reachable,
    /// Its source file.
    Module,
    /// Everything that its package is built from.
    Crate,
    /// The running executable.
    Binary,
}

/// What was asked for in the attribute.
pub(crate) struct Options {
    /// `version = …` as text; empty if not given.
    pub(crate) version: String,
    /// Names of parameters that do not count.
    pub(crate) ignore: Vec<Ident>,
    /// `hash_code = …`.
    pub(crate) level: Level,
    /// The name of the helper enum.
    pub(crate) helpers: Option<Ident>,
    /// Where the crate `fleche` is.
    pub(crate) fleche: Path,
}

const KNOWN: &str = "`version`, `ignore`, `hash_code`, `helpers`, `crate`";
const LEVELS: &str = "`false`, `\"body\"`, `\"reachable\"`, `\"module\"`, `\"crate\"` or `\"binary\"`";

impl Default for Options {
    fn default() -> Self {
        Self {
            version: String::new(),
            ignore: Vec::new(),
            level: Level::default(),
            helpers: None,
            fleche: syn::parse_quote!(::fleche),
        }
    }
}

impl Options {
    /// Parses what stands between the attribute's parentheses.
    pub(crate) fn parse(tokens: TokenStream) -> Result<Self> {
        let list = Punctuated::<Setting, Token![,]>::parse_terminated.parse2(tokens)?;
        let mut options = Self::default();
        let mut seen: Vec<String> = Vec::new();
        let mut errors: Option<Error> = None;
        let mut fail = |error: Error| match &mut errors {
            Some(errors) => errors.combine(error),
            none => *none = Some(error),
        };
        for setting in list {
            let name = setting.name.to_string();
            if seen.contains(&name) {
                fail(Error::new(setting.name.span(), format!("`{name}` is given twice")));
            }
            seen.push(name);
            if let Err(error) = options.set(setting) {
                fail(error);
            }
        }
        errors.map_or(Ok(options), Err)
    }

    fn set(&mut self, setting: Setting) -> Result<()> {
        let Setting { name, value } = setting;
        match (name.to_string().as_str(), value) {
            ("version", Value::Literal(literal)) => self.version = version(&literal)?,
            ("version", other) => {
                return Err(Error::new(
                    other.span(name.span()),
                    "`version` is a number or string: `version = 2`",
                ));
            }
            ("ignore", Value::List(names)) => self.ignore = names,
            ("ignore", other) => {
                return Err(Error::new(
                    other.span(name.span()),
                    "`ignore` is a list of parameters: `ignore = [verbose]`",
                ));
            }
            ("hash_code", value) => self.level = level(&value, name.span())?,
            ("helpers", Value::Path(path)) => {
                let ident = path.get_ident().cloned();
                self.helpers =
                    Some(ident.ok_or_else(|| {
                        Error::new(path.span(), "`helpers` is one name: `helpers = counting`")
                    })?);
            }
            ("helpers", other) => {
                return Err(Error::new(
                    other.span(name.span()),
                    "`helpers` is the name of the enum with the helper functions: `helpers = counting`",
                ));
            }
            ("crate", Value::Path(path)) => self.fleche = path,
            ("crate", other) => {
                return Err(Error::new(
                    other.span(name.span()),
                    "`crate` is a path: `crate = ::my_crate::fleche`",
                ));
            }
            (other, _) => {
                return Err(Error::new(name.span(), unknown(other)));
            }
        }
        Ok(())
    }
}

fn unknown(name: &str) -> String {
    let hint = match name {
        "hash" | "code" => Some("hash_code"),
        "ignored" | "skip" | "exclude" => Some("ignore"),
        "helper" | "rename" => Some("helpers"),
        "v" | "ver" | "revision" => Some("version"),
        "krate" | "path" => Some("crate"),
        _ => ["version", "ignore", "hash_code", "helpers", "crate"]
            .into_iter()
            .find(|known| distance(known, name) <= 2),
    };
    match hint {
        Some(hint) => format!("unknown option `{name}`; did you mean `{hint}`?"),
        None => format!("unknown option `{name}`; there are {KNOWN}"),
    }
}

/// The number of characters to insert, delete or replace to get from one word to the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, l) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, r) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(l != *r);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

fn version(literal: &Lit) -> Result<String> {
    match literal {
        Lit::Int(number) => Ok(number.to_string()),
        Lit::Str(text) => Ok(text.value()),
        other => Err(Error::new(other.span(), "`version` is a number or string: `version = 2`")),
    }
}

fn level(value: &Value, name: Span) -> Result<Level> {
    match value {
        Value::Literal(Lit::Bool(LitBool { value: false, .. })) => Ok(Level::Nothing),
        Value::Literal(Lit::Bool(literal)) => {
            Err(Error::new(literal.span, format!("`hash_code = true` is the default; else it is {LEVELS}")))
        }
        Value::Literal(Lit::Str(text)) => match text.value().as_str() {
            "body" => Ok(Level::Body),
            "reachable" => Ok(Level::Reachable),
            "module" => Ok(Level::Module),
            "crate" => Ok(Level::Crate),
            "binary" => Ok(Level::Binary),
            other => {
                Err(Error::new(text.span(), format!("unknown level `{other}`; `hash_code` is {LEVELS}")))
            }
        },
        other => Err(Error::new(other.span(name), format!("`hash_code` is {LEVELS}"))),
    }
}

/// `name = value`
struct Setting {
    name: Ident,
    value: Value,
}

enum Value {
    Nothing,
    Literal(Lit),
    List(Vec<Ident>),
    Path(Path),
}

impl Value {
    fn span(&self, name: Span) -> Span {
        match self {
            Self::Literal(literal) => literal.span(),
            Self::List(names) => names.first().map_or(name, Ident::span),
            Self::Path(path) => path.span(),
            Self::Nothing => name,
        }
    }
}

impl Parse for Setting {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let name: Ident = if input.peek(Token![crate]) {
            let token: Token![crate] = input.parse()?;
            Ident::new("crate", token.span)
        } else {
            input.parse().map_err(|error| Error::new(error.span(), format!("expected an option: {KNOWN}")))?
        };
        if input.is_empty() || input.peek(Token![,]) {
            return Ok(Self { name, value: Value::Nothing });
        }
        input.parse::<Token![=]>()?;
        let value = if input.peek(syn::token::Bracket) {
            let list;
            bracketed!(list in input);
            let names = Punctuated::<Name, Token![,]>::parse_terminated(&list)?;
            Value::List(names.into_iter().map(|Name(name)| name).collect())
        } else if input.peek(Lit) {
            Value::Literal(input.parse()?)
        } else {
            Value::Path(input.call(Path::parse_mod_style)?)
        };
        Ok(Self { name, value })
    }
}

/// A parameter's name, as `name` or `"name"`.
struct Name(Ident);

impl Parse for Name {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.peek(LitStr) {
            let text: LitStr = input.parse()?;
            return text
                .parse()
                .map(Self)
                .map_err(|_| Error::new(text.span(), "expected the name of a parameter"));
        }
        input.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    fn error(tokens: TokenStream) -> String {
        match Options::parse(tokens) {
            Ok(_) => panic!("no error"),
            Err(error) => error.into_iter().map(|error| error.to_string()).collect::<Vec<_>>().join(" | "),
        }
    }

    #[test]
    fn all_options_are_read() {
        let options = Options::parse(quote!(
            version = "v2",
            ignore = [a, "b"],
            hash_code = "body",
            helpers = h,
            crate = crate::f
        ));
        let options = options.expect("options");
        assert_eq!((options.version.as_str(), options.level), ("v2", Level::Body));
        assert_eq!(options.ignore, ["a", "b"]);
        assert_eq!(options.helpers.expect("a name"), "h");
        assert_eq!(
            Options::parse(quote!(version = 3, hash_code = false,)).expect("options").level,
            Level::Nothing
        );
    }

    #[test]
    fn mistakes_are_explained() {
        assert_eq!(error(quote!(verson = 2)), "unknown option `verson`; did you mean `version`?");
        assert!(error(quote!(meta = 2)).contains("there are `version`"));
        assert!(error(quote!(hash_code = "file")).contains("unknown level `file`"));
        assert!(error(quote!(hash_code = true)).contains("is the default"));
        assert!(error(quote!(version)).contains("`version = 2`"));
        assert_eq!(error(quote!(version = 1, version = 2)), "`version` is given twice");
        assert_eq!(error(quote!(a = 1, hash_code = "b")).matches('|').count(), 1);
    }
}
