//! How much of a crate its functions reach: `cargo run -p fleche-code --example share -- DIRECTORY…`, a row for each
//! package. Free functions and methods are taken as if they were cached, at most 300 of each crate, evenly spread.

use std::path::Path;
use std::time::Instant;

use fleche_code::closure::Analysis;
use fleche_code::compiler::Invocation;
use fleche_code::items::ItemKind;
use fleche_code::world::{NodeId, World};

const MOST: usize = 300;

fn main() {
    println!(
        "| crate | lines | functions | load ms | closure ms, median | share: lower quartile | median | upper quartile |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for directory in std::env::args().skip(1) {
        match row(Path::new(&directory)) {
            Some(row) => println!("{row}"),
            None => eprintln!("{directory}: no library that can be read"),
        }
    }
}

fn row(directory: &Path) -> Option<String> {
    let start = Instant::now();
    let invocation = Invocation::parse(["src/lib.rs".to_owned()], directory);
    let world = World::load(directory, None, &invocation)?;
    let load = start.elapsed();
    let lines: usize =
        world.files.iter().map(|file| file.lexed.tokens.all().last().map_or(0, |t| t.line as usize)).sum();
    let total: usize = (0..world.nodes.len()).map(|node| world.size(node)).sum();
    let functions: Vec<NodeId> =
        (0..world.nodes.len()).filter(|node| world.nodes[*node].kind == ItemKind::Function).collect();
    let step = functions.len().div_ceil(MOST).max(1);
    let mut analysis = Analysis::new(world);
    let (mut shares, mut times) = (Vec::new(), Vec::new());
    for &function in functions.iter().step_by(step) {
        let start = Instant::now();
        let closure = analysis.closure(function);
        times.push(start.elapsed().as_micros());
        let reached: usize = closure.nodes().into_iter().map(|node| analysis.world.size(node)).sum();
        shares.push(reached * 1000 / total.max(1));
    }
    shares.sort_unstable();
    times.sort_unstable();
    let at = |part: usize| shares.get(shares.len() * part / 4).map_or(0, |share| share / 10);
    let name = directory.file_name()?.to_string_lossy().into_owned();
    let median = times.get(times.len() / 2).copied().unwrap_or(0);
    Some(format!(
        "| {name} | {lines} | {} | {} | {}.{} | {} % | {} % | {} % |",
        shares.len(),
        load.as_millis(),
        median / 1000,
        median % 1000 / 100,
        at(1),
        at(2),
        at(3),
    ))
}
