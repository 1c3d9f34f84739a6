//! The command `fleche`.

fn main() {}
