//! What code a function reaches, and its digest.
//!
//! Sources go in, digests come out; nothing is compiled and cargo is not asked. The macro `#[fleche]` uses it while the
//! compiler runs, tools use it to show what a digest covers. It must never say that code is unchanged when it is not:
//! where it cannot tell, it counts more.

pub mod assets;
pub mod closure;
pub mod compiler;
pub mod impls;
pub mod items;
pub mod lexer;
pub mod load;
pub mod lock;
pub mod modules;
pub mod names;
pub mod package;
pub mod references;
pub mod report;
mod scan;
pub mod scope;
pub mod session;
pub mod sources;
pub mod whole;
pub mod world;

use lexer::Tokens;

/// A digest of code: BLAKE3 of its tokens and of what else it depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CodeDigest(pub [u8; 32]);

impl CodeDigest {
    /// The digest of a function's own tokens: the level `"body"`.
    pub fn of_body(tokens: &str) -> Self {
        let tokens = Tokens::lex(tokens);
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"fleche body 1");
        tokens.feed(0..tokens.len(), &mut hasher);
        Self(*hasher.finalize().as_bytes())
    }

    /// The digest of a function's own tokens with that of all the code it may reach.
    #[must_use]
    pub fn within(self, whole: blake3::Hash) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0);
        hasher.update(whole.as_bytes());
        Self(*hasher.finalize().as_bytes())
    }
}
