//! What the analysis costs inside the compiler: `cargo run -p fleche-code --example cost -- DIRECTORY…`, a row for each
//! package. Its functions are taken as if 1, 10 and 200 of them were cached, evenly spread. Times are of the processor where
//! the system tells them, so that a busy machine measures the same.

use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use fleche_code::compiler::Invocation;
use fleche_code::items::ItemKind;
use fleche_code::names::Name;
use fleche_code::session::{Function, Session};
use fleche_code::world::World;

fn main() {
    println!("| crate | lines | load ms | with 1 function | 10 | 200 | text KiB |");
    println!("|---|---|---|---|---|---|---|");
    for directory in std::env::args().skip(1) {
        match row(Path::new(&directory)) {
            Some(row) => println!("{row}"),
            None => eprintln!("{directory}: no library that can be read"),
        }
    }
}

/// The time that this thread ran.
fn now() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let ran = text.and_then(|text| text.split(' ').next()?.parse().ok());
    ran.map_or_else(|| START.elapsed(), Duration::from_nanos)
}

fn row(directory: &Path) -> Option<String> {
    let invocation = Invocation::parse(["src/lib.rs".to_owned()], directory);
    let start = now();
    let world = World::load(directory, None, &invocation)?;
    let load = now().saturating_sub(start).as_millis();
    let lines: u32 =
        world.files.iter().map(|file| file.lexed.tokens.all().last().map_or(0, |token| token.line)).sum();
    let functions = world.nodes.iter().filter(|node| node.kind == ItemKind::Function).filter_map(|node| {
        let file = &world.files[node.file];
        let at = node.head.clone().find(|at| file.lexed.name(*at) == Name::FN)?;
        Some((file.path.clone(), file.lexed.tokens.line(at + 1), world.names.text(node.name).to_owned()))
    });
    let functions: Vec<_> = functions.collect();
    let mut times = Vec::new();
    let mut bytes = 0;
    for count in [1, 10, 200] {
        let start = now();
        let mut session = Session::new(Some(directory), None, invocation.clone());
        for (file, line, name) in functions.iter().step_by((functions.len() / count).max(1)).take(count) {
            let function = Function { file: Some(file), line: *line, name, tokens: "", generic: false };
            bytes += session.reachable(function).encode().0.len();
        }
        times.push(now().saturating_sub(start).as_millis().to_string());
    }
    let name = directory.file_name()?.to_string_lossy().into_owned();
    Some(format!("| {name} | {lines} | {load} | {} | {} |", times.join(" | "), bytes / 1024))
}
