//! Files whose paths are put together, and packages that come from elsewhere than their manifests say.

use crate::moves;

#[test]
fn files() {
    moves(
        "include concat",
        r#"
//- src/lib.rs
macro_rules! sql { ($n:literal) => { include_str!(concat!("../sql/", $n, ".sql")) } }
macro_rules! named { ($n:ident) => { include_str!(concat!("../sql/", stringify!($n), ".sql")) } }
#[fleche] fn f() -> usize { sql!("users").len() + named!(groups).len() + include_str!(concat!("../sql/", "three", ".sql")).len() + include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/", "four.sql")).len() }
//- sql/users.sql
one
//- sql/groups.sql
two
//- sql/three.sql
drei
//- sql/four.sql
vier
"#,
        &[("one", "uno"), ("two", "due"), ("drei", "tre"), ("vier", "quattro")],
    );
    moves(
        "manifest dir in literal",
        r#"
//- src/lib.rs
static D: Dir = include_dir!("$CARGO_MANIFEST_DIR/assets");
#[derive(Embed)] #[folder = "$CARGO_MANIFEST_DIR/web"] struct W;
#[fleche] fn f() -> usize { D.len() + W::get() }
//- assets/a.txt
one
//- web/a.txt
two
"#,
        &[("one", "uno"), ("two", "due")],
    );
    moves(
        "template inheritance",
        r#"
//- src/lib.rs
#[derive(Template)] #[template(path = "page.html")] struct Page;
#[fleche] fn f() -> String { Page.render() }
//- templates/page.html
{% extends "base.html" %} x
//- templates/base.html
base {% include 'sub/foot.html' %}
//- templates/sub/foot.html
foot
"#,
        &[("base {", "basis {"), ("foot\n", "fuss\n")],
    );
}

#[test]
fn packages() {
    moves(
        "dependencies of targets",
        r#"
//- src/lib.rs
#[fleche] fn f() -> u32 { platform::go() }
//- Cargo.toml
[package]
name = "demo"
version = "0.1.0"
edition = "2024"
[target.'cfg(unix)'.dependencies]
platform = { path = "one", package = "one" }
[target.'cfg(windows)'.dependencies]
platform = { path = "two", package = "two" }
//- one/Cargo.toml
[package]
name = "one"
version = "0.1.0"
edition = "2024"
//- one/src/lib.rs
pub fn go() -> u32 { 1 }
//- two/Cargo.toml
[package]
name = "two"
version = "0.1.0"
edition = "2024"
//- two/src/lib.rs
pub fn go() -> u32 { 2 }
"#,
        &[("{ 1 }", "{ 11 }"), ("{ 2 }", "{ 22 }")],
    );
    moves(
        "lock of the program, not of the dependency",
        r#"
//- src/lib.rs
#[fleche] fn f() -> u32 { near::go() }
//- Cargo.toml
[package]
name = "demo"
version = "0.1.0"
edition = "2024"
[workspace]
[dependencies]
near = { path = "near" }
//- Cargo.lock
version = 4
[[package]]
name = "demo"
version = "0.1.0"
dependencies = ["near"]
[[package]]
name = "near"
version = "0.1.0"
dependencies = ["rand"]
[[package]]
name = "rand"
version = "0.8.4"
//- near/Cargo.toml
[package]
name = "near"
version = "0.1.0"
edition = "2024"
[workspace]
[dependencies]
rand = "0.8"
//- near/src/lib.rs
pub fn go() -> u32 { rand::random() }
//- near/Cargo.lock
version = 4
[[package]]
name = "near"
version = "0.1.0"
dependencies = ["rand"]
[[package]]
name = "rand"
version = "0.8.1"
"#,
        &[("0.8.4", "0.8.5")],
    );
    moves(
        "patch of what a dependency outside depends on",
        r#"
//- src/lib.rs
#[fleche] fn f() -> u32 { near::go() + itself::go() + deep::go() }
//- Cargo.toml
[package]
name = "demo"
version = "0.1.0"
edition = "2024"
[workspace]
[dependencies]
near = { path = "near" }
itself = "1"
deep = "1"
[patch.crates-io]
patched = { path = "patched" }
//- .cargo/config.toml
[patch.crates-io]
itself = { path = "itself" }
//- Cargo.lock
version = 4
[[package]]
name = "demo"
version = "0.1.0"
dependencies = ["near", "itself", "deep"]
[[package]]
name = "near"
version = "0.1.0"
dependencies = ["patched"]
[[package]]
name = "patched"
version = "1.0.0"
[[package]]
name = "itself"
version = "1.0.0"
[[package]]
name = "deep"
version = "1.0.0"
source = "registry+https://x"
dependencies = ["patched", "second"]
//- near/Cargo.toml
[package]
name = "near"
version = "0.1.0"
edition = "2024"
[workspace]
[dependencies]
patched = "1"
//- near/src/lib.rs
pub fn go() -> u32 { patched::go() }
//- patched/Cargo.toml
[package]
name = "patched"
version = "1.0.0"
edition = "2024"
//- patched/src/lib.rs
pub fn go() -> u32 { 1 }
//- itself/Cargo.toml
[package]
name = "itself"
version = "1.0.0"
edition = "2024"
//- itself/src/lib.rs
pub fn go() -> u32 { 2 }
"#,
        &[("{ 1 }", "{ 11 }"), ("{ 2 }", "{ 22 }")],
    );
    moves(
        "patch below a crate from elsewhere",
        r#"
//- src/lib.rs
#[fleche] fn f() -> u32 { deep::go() }
//- Cargo.toml
[package]
name = "demo"
version = "0.1.0"
edition = "2024"
[workspace]
[dependencies]
deep = "1"
[patch.crates-io]
patched = { path = "patched" }
//- Cargo.lock
version = 4
[[package]]
name = "demo"
version = "0.1.0"
dependencies = ["deep"]
[[package]]
name = "patched"
version = "1.0.0"
[[package]]
name = "deep"
version = "1.0.0"
source = "registry+https://x"
dependencies = ["patched"]
//- patched/Cargo.toml
[package]
name = "patched"
version = "1.0.0"
edition = "2024"
//- patched/src/lib.rs
pub fn go() -> u32 { 1 }
"#,
        &[("{ 1 }", "{ 11 }")],
    );
    moves(
        "output of a dependency's build script",
        r#"
//- src/lib.rs
#[fleche] fn f() -> u32 { near::made() }
//- Cargo.toml
[package]
name = "demo"
version = "0.1.0"
edition = "2024"
[dependencies]
near = { path = "near" }
//- near/Cargo.toml
[package]
name = "near"
version = "0.1.0"
edition = "2024"
//- near/src/lib.rs
include!(concat!(env!("OUT_DIR"), "/made.rs"));
fn helper() -> u32 { 4 }
//- near/build.rs
fn main() { write("pub fn made() -> u32 { 3 }") }
//- near/list.txt
seven
"#,
        &[("{ 3 }", "{ 33 }"), ("{ 4 }", "{ 44 }"), ("seven", "eight")],
    );
}
