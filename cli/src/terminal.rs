//! Standard error as a terminal on which the progress line is drawn.
//!
//! indicatif fills a line to its end with blanks. The `^C` that a terminal then echoes goes to the next line, and the progress
//! line is never found again to be cleared: so it is told that lines are a little shorter.

use std::io::{self, Write};

use indicatif::TermLike;
use rustix::termios::tcgetwinsize;

/// Columns left free at the end of a line.
const MARGIN: u16 = 4;

/// Standard error.
#[derive(Debug)]
pub struct Terminal;

fn write(text: &str) -> io::Result<()> {
    io::stderr().lock().write_all(text.as_bytes())
}

fn move_cursor(count: usize, direction: char) -> io::Result<()> {
    if count == 0 { Ok(()) } else { write(&format!("\x1b[{count}{direction}")) }
}

impl TermLike for Terminal {
    fn width(&self) -> u16 {
        let columns = tcgetwinsize(io::stderr()).map_or(80, |size| size.ws_col);
        columns.saturating_sub(MARGIN).max(MARGIN)
    }

    fn height(&self) -> u16 {
        tcgetwinsize(io::stderr()).map_or(25, |size| size.ws_row)
    }

    fn move_cursor_up(&self, count: usize) -> io::Result<()> {
        move_cursor(count, 'A')
    }

    fn move_cursor_down(&self, count: usize) -> io::Result<()> {
        move_cursor(count, 'B')
    }

    fn move_cursor_right(&self, count: usize) -> io::Result<()> {
        move_cursor(count, 'C')
    }

    fn move_cursor_left(&self, count: usize) -> io::Result<()> {
        move_cursor(count, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        write(text)?;
        write("\n")
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        write(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        write("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        io::stderr().flush()
    }
}
