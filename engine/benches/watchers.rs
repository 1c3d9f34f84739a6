//! `cargo bench -p fleche --bench watchers`: from a write to the callback that is told of it, and what watching costs, beside
//! `notify` and `watchexec`.

mod outside;

fn main() {
    outside::run("watchers");
}
