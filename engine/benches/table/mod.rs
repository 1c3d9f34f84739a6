//! A table of times, and of ratios to the first row of each group.

#![allow(dead_code, reason = "each benchmark uses what it needs")]

use std::time::{Duration, Instant};

/// Runs `f` in rounds of `count` and gives the median time of one.
pub(crate) fn median(rounds: usize, count: u32, mut f: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..count {
                f();
            }
            start.elapsed() / count
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

/// Prints a group: each row's time and its ratio to the first, which is ours.
pub(crate) fn group(title: &str, rows: &[(&str, Duration)]) {
    println!("\n{title}");
    let ours = rows[0].1.as_secs_f64();
    for (name, time) in rows {
        let text = match time.as_nanos() {
            0..10_000 => format!("{} ns", time.as_nanos()),
            10_000..10_000_000 => format!("{:.1} µs", time.as_secs_f64() * 1e6),
            _ => format!("{:.1} ms", time.as_secs_f64() * 1e3),
        };
        println!("  {name:44} {text:>12} {:>9.2} ×", time.as_secs_f64() / ours);
    }
}
