//! Measures the store against its peers and prints tables of ratios.
//!
//! `FLECHE_BENCH=quick` (seconds), unset (some minutes) or `full` (1M entries a size, 10M entries, 4 GiB). With arguments
//! only a part: `puts [peer…]`, `many COUNT`, `upkeep`, `processes`, `reading`, `writing`, `profile`.

mod large;
mod many;
mod peers;
mod processes;
mod small;
mod table;

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Scale {
    /// Entries of 100 bytes, 1 KiB, 16 KiB.
    pub entries: [u64; 3],
    /// Entries for lookups and opening.
    pub many: [u64; 2],
    /// Records that are merged and compacted.
    pub upkeep: u64,
    /// Bytes of the large value that is written.
    pub large: u64,
    /// Bytes of the array of floats that is read.
    pub floats: u64,
}

fn scale() -> Scale {
    match std::env::var("FLECHE_BENCH").as_deref() {
        Ok("quick") => Scale {
            entries: [20_000, 5_000, 500],
            many: [20_000, 100_000],
            upkeep: 20_000,
            large: 64 << 20,
            floats: 64 << 20,
        },
        Ok("full") => Scale {
            entries: [1_000_000, 200_000, 20_000],
            many: [1_000_000, 10_000_000],
            upkeep: 500_000,
            large: 4 << 30,
            floats: 1 << 30,
        },
        _ => Scale {
            entries: [200_000, 40_000, 4_000],
            many: [100_000, 1_000_000],
            upkeep: 100_000,
            large: 512 << 20,
            floats: 256 << 20,
        },
    }
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let scale = scale();
    match arguments.first().map(String::as_str) {
        Some("child") if arguments[1] == "put" => processes::child(arguments[2].as_ref()),
        Some("child") => large::child(&arguments[1..]),
        Some("profile") => small::profile(),
        Some("many") => many::lookups(arguments[1].parse().unwrap()),
        Some("puts") => small::puts_and_gets(scale, &arguments[1..]),
        Some("upkeep") => many::upkeep(scale.upkeep),
        Some("processes") => processes::processes(),
        Some("reading") => large::reading(scale),
        Some("writing") => large::writing(scale),
        _ => {
            small::puts_and_gets(scale, &[]);
            scale.many.into_iter().for_each(many::lookups);
            processes::processes();
            many::upkeep(scale.upkeep);
            large::reading(scale);
            large::writing(scale);
        }
    }
}
