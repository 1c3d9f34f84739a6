//! `${identifier}` in the texts of a manifest. Only that is ours: `$f`, `${f%.csv}` and `${1}` pass through to the shell,
//! and `$${` is a literal `${`.

/// A part of a text with variables in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'t> {
    /// Stands for itself.
    Text(&'t str),
    /// `${name}`.
    Variable(&'t str),
}

/// A variable that nothing declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undeclared {
    /// Its name.
    pub name: String,
}

impl Undeclared {
    /// As it is written.
    pub fn spelling(&self) -> String {
        format!("${{{}}}", self.name)
    }

    /// What is wrong.
    pub fn message(&self) -> String {
        format!("`{}` is not declared", self.spelling())
    }
}

/// Whether `${name}` is ours.
pub fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Splits a text at its variables.
pub fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut start, mut at) = (0, 0);
    while let Some(found) = text[at..].find("${").map(|found| at + found) {
        if text[start..found].ends_with('$') {
            // `$${`: leave out the first `$`.
            pieces.push(Piece::Text(&text[start..found - 1]));
            start = found;
            at = found + 2;
            continue;
        }
        let name = text[found + 2..].split_once('}').map(|(name, _)| name);
        match name.filter(|name| is_identifier(name) || *name == "inputs.file") {
            Some(name) => {
                pieces.push(Piece::Text(&text[start..found]));
                pieces.push(Piece::Variable(name));
                at = found + name.len() + 3;
                start = at;
            }
            None => at = found + 2,
        }
    }
    pieces.push(Piece::Text(&text[start..]));
    pieces.retain(|piece| *piece != Piece::Text(""));
    pieces
}

/// The text with its variables replaced by their values as they are, for paths, lists and names.
pub fn expand_text<'v>(text: &str, value: impl Fn(&str) -> Option<&'v str>) -> Result<String, Undeclared> {
    let mut out = String::with_capacity(text.len());
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Variable(name) => {
                out.push_str(value(name).ok_or_else(|| Undeclared { name: name.to_owned() })?);
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::Piece::{Text, Variable};
    use super::*;

    #[test]
    fn only_whole_identifiers_are_ours() {
        assert_eq!(pieces("a ${b} c"), [Text("a "), Variable("b"), Text(" c")]);
        assert_eq!(pieces("${f%.csv} $f ${1} ${} ${"), [Text("${f%.csv} $f ${1} ${} ${")]);
        assert_eq!(pieces("${x:-${y}}"), [Text("${x:-"), Variable("y"), Text("}")]);
        assert_eq!(pieces("${inputs.file}"), [Variable("inputs.file")]);
    }

    #[test]
    fn a_second_dollar_escapes() {
        assert_eq!(pieces("a$${b}${c}"), [Text("a"), Text("${b}"), Variable("c")]);
        assert_eq!(expand_text("$${HOME}", |_| None).unwrap(), "${HOME}");
        assert_eq!(expand_text("$$ ${x}", |_| Some("1")).unwrap(), "$$ 1");
    }

    #[test]
    fn what_is_not_declared_is_named() {
        assert_eq!(expand_text("${nope}", |_| None).unwrap_err().spelling(), "${nope}");
    }
}
