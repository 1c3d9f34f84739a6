//! `cargo bench -p fleche --bench peers`: measures the engine against engines of its kind (salsa with its persistence,
//! picante, qbice), in one run.

mod outside;

fn main() {
    outside::run("peers");
}
