//! Runs one command: its own process group, both streams read as they come into files and the last lines kept for people.
//! Memory stays bounded whatever the command writes; an interruption ends the whole group.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, fcntl_setfl};
use rustix::process::{Pid, PidfdFlags, Signal, getpid, kill_process_group, pidfd_open, umask};

use crate::interrupt::Interrupt;

/// How long a command may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(3);
/// How many of the last lines are kept for showing.
const LINES: usize = 30;
/// How much of one line is kept for showing.
const LINE: usize = 2000;

/// What to run.
#[derive(Debug)]
pub struct Job<'a> {
    /// Program and arguments.
    pub words: Vec<OsString>,
    /// Where.
    pub directory: PathBuf,
    /// The whole environment.
    pub environment: BTreeMap<OsString, OsString>,
    /// Where the streams' files are written.
    pub capture: &'a Capture,
    /// Each ends it early: what the person wants, and what makes this command pointless.
    pub enders: [&'a Interrupt; 2],
}

/// The files that hold what a command writes.
#[derive(Debug)]
pub struct Capture {
    /// What it wrote to its standard output.
    pub stdout: PathBuf,
    /// What it wrote to its standard error.
    pub stderr: PathBuf,
    /// In which order: see [`interleave`].
    pub order: PathBuf,
}

impl Capture {
    /// Three files in `directory`.
    pub fn in_directory(directory: &Path) -> Capture {
        let file = |name| directory.join(name);
        Capture { stdout: file("stdout"), stderr: file("stderr"), order: file("order") }
    }
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// Its status.
    pub status: ExitStatus,
    /// Whether it was made to end.
    pub interrupted: bool,
    /// How long it took.
    pub duration: Duration,
    /// The last lines it wrote, of both streams.
    pub tail: Vec<String>,
}

impl Ended {
    /// `exit 1`, `killed by signal 9`.
    pub fn describe(status: ExitStatus) -> String {
        match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit {code}"),
            (None, Some(signal)) => format!("killed by signal {signal}"),
            (None, None) => "ended".to_owned(),
        }
    }
}

/// Runs a command to its end; `line` is told each line as it comes.
pub fn run(job: &Job<'_>, line: &dyn Fn(&str)) -> io::Result<Ended> {
    let start = Instant::now();
    let mut streams = Streams::create(job.capture)?;
    let mut child = spawn(job)?;
    let result = watch(&mut child, &mut streams, job.enders, line);
    if result.is_err() {
        end_group(&child, Signal::KILL);
        let _ = child.wait();
    }
    let (status, interrupted) = result?;
    streams.close(line)?;
    let tail = streams.tail.into_iter().collect();
    Ok(Ended { status, interrupted, duration: start.elapsed(), tail })
}

fn spawn(job: &Job<'_>) -> io::Result<Child> {
    let mut command = Command::new(&job.words[0]);
    command
        .args(&job.words[1..])
        .current_dir(&job.directory)
        .env_clear()
        .envs(&job.environment)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let parent = getpid();
    // SAFETY: between fork and exec only async-signal-safe calls are allowed. umask(2), prctl(2) and getppid(2) are such,
    // they take no lock and allocate nothing. Setting the mask in this process instead would change the mode of files that
    // other threads write.
    unsafe {
        command.pre_exec(move || {
            umask(Mode::WGRP | Mode::WOTH);
            end_with(parent)
        });
    }
    command.spawn()
}

/// Has the calling process, which is new, killed when the one that starts it dies, however that happens. The system does so when
/// the *thread* is gone that started it: that one waits for the command to end. What the command starts itself is not reached.
#[cfg(target_os = "linux")]
fn end_with(parent: Pid) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if rustix::process::getppid() == Some(parent) {
        return Ok(());
    }
    // It died before it could be followed.
    Err(rustix::io::Errno::SRCH.into())
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "on Linux it can fail")]
fn end_with(_: Pid) -> io::Result<()> {
    Ok(())
}

fn watch(
    child: &mut Child,
    streams: &mut Streams,
    enders: [&Interrupt; 2],
    line: &dyn Fn(&str),
) -> io::Result<(ExitStatus, bool)> {
    let pid = Pid::from_child(child);
    let exit = pidfd_open(pid, PidfdFlags::empty())?;
    let mut pipes: [Option<OwnedFd>; 2] =
        [child.stdout.take().map(OwnedFd::from), child.stderr.take().map(OwnedFd::from)];
    for pipe in pipes.iter().flatten() {
        fcntl_setfl(pipe, OFlags::NONBLOCK)?;
    }
    let mut asked: Option<Instant> = None;
    loop {
        let mut descriptors = vec![PollFd::new(&exit, PollFlags::IN)];
        if asked.is_none() {
            descriptors.extend(enders.map(|ender| PollFd::from_borrowed_fd(ender.readable(), PollFlags::IN)));
        }
        for pipe in pipes.iter().flatten() {
            descriptors.push(PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN));
        }
        // After it was asked to end, look again soon enough to insist.
        let limit = asked.map(|_| Timespec { tv_sec: 0, tv_nsec: 100_000_000 });
        match poll(&mut descriptors, limit.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ended = !descriptors[0].revents().is_empty();
        drop(descriptors);
        for (stream, pipe) in pipes.iter_mut().enumerate() {
            // Once it has ended all that it wrote is in the pipe: take everything, but do not wait for children
            // that it left behind and that still hold the other end.
            while let Some(open) = pipe.as_ref() {
                match streams.take(stream, open, line)? {
                    Taken::Some if ended => {}
                    Taken::Some | Taken::Nothing => break,
                    Taken::Closed => *pipe = None,
                }
            }
        }
        if ended {
            let status = child.wait()?;
            if asked.is_some() {
                let _ = kill_process_group(pid, Signal::KILL);
            }
            return Ok((status, asked.is_some()));
        }
        match asked {
            None if enders.iter().any(|ender| ender.is_set()) => {
                end_group(child, Signal::TERM);
                asked = Some(Instant::now());
            }
            Some(since) if since.elapsed() > GRACE => end_group(child, Signal::KILL),
            _ => {}
        }
    }
}

/// The group has the child's number; it exists at least until the child was waited for.
fn end_group(child: &Child, signal: Signal) {
    let _ = kill_process_group(Pid::from_child(child), signal);
}

enum Taken {
    Some,
    Nothing,
    Closed,
}

struct Streams {
    files: [File; 2],
    order: io::BufWriter<File>,
    /// The run of bytes of one stream that is still growing.
    pending: Option<(usize, u32)>,
    /// Unfinished lines of both streams.
    partial: [Vec<u8>; 2],
    tail: VecDeque<String>,
    buffer: Vec<u8>,
}

impl Streams {
    fn create(capture: &Capture) -> io::Result<Streams> {
        Ok(Streams {
            files: [File::create(&capture.stdout)?, File::create(&capture.stderr)?],
            order: io::BufWriter::new(File::create(&capture.order)?),
            pending: None,
            partial: [Vec::new(), Vec::new()],
            tail: VecDeque::new(),
            buffer: vec![0; 64 * 1024],
        })
    }

    fn take(&mut self, stream: usize, pipe: &OwnedFd, line: &dyn Fn(&str)) -> io::Result<Taken> {
        let read = match rustix::io::read(pipe, &mut self.buffer[..]) {
            Ok(0) => return Ok(Taken::Closed),
            Ok(read) => read,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Ok(Taken::Nothing),
            Err(error) => return Err(error.into()),
        };
        self.files[stream].write_all(&self.buffer[..read])?;
        let length = u32::try_from(read).unwrap_or(0);
        match &mut self.pending {
            Some((last, sum)) if *last == stream && *sum < LONGEST_RUN - length => *sum += length,
            pending => {
                if let Some(run) = pending.replace((stream, length)) {
                    write_run(&mut self.order, run)?;
                }
            }
        }
        let mut rest = &self.buffer[..read];
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n' || *byte == b'\r') {
            append(&mut self.partial[stream], &rest[..end]);
            let text = std::mem::take(&mut self.partial[stream]);
            keep_line(&mut self.tail, &text, rest[end] == b'\n', line);
            rest = &rest[end + 1..];
        }
        append(&mut self.partial[stream], rest);
        Ok(Taken::Some)
    }

    fn close(&mut self, line: &dyn Fn(&str)) -> io::Result<()> {
        for partial in std::mem::take(&mut self.partial) {
            if !partial.is_empty() {
                keep_line(&mut self.tail, &partial, true, line);
            }
        }
        if let Some(run) = self.pending.take() {
            write_run(&mut self.order, run)?;
        }
        self.order.flush()
    }
}

fn append(line: &mut Vec<u8>, bytes: &[u8]) {
    let room = LINE.saturating_sub(line.len());
    line.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

/// What ends in a carriage return is a progress display that overwrites itself: worth telling, not worth keeping.
fn keep_line(tail: &mut VecDeque<String>, text: &[u8], keep: bool, line: &dyn Fn(&str)) {
    let text = String::from_utf8_lossy(text);
    line(&text);
    if keep {
        if tail.len() == LINES {
            tail.pop_front();
        }
        tail.push_back(text.into_owned());
    }
}

/// A run is four bytes: the stream in the highest bit, the number of bytes in the others.
const LONGEST_RUN: u32 = 1 << 31;

fn write_run(to: &mut impl Write, (stream, length): (usize, u32)) -> io::Result<()> {
    let bit = if stream == 1 { LONGEST_RUN } else { 0 };
    to.write_all(&(bit | length).to_le_bytes())
}

/// Both streams in the order in which they were read.
pub fn interleave(
    mut stdout: impl Read,
    mut stderr: impl Read,
    mut order: impl Read,
    to: &mut dyn Write,
) -> io::Result<()> {
    let mut run = [0; 4];
    while order.read_exact(&mut run).is_ok() {
        let run = u32::from_le_bytes(run);
        let length = u64::from(run & !LONGEST_RUN);
        if run & LONGEST_RUN == 0 {
            io::copy(&mut stdout.by_ref().take(length), to)?;
        } else {
            io::copy(&mut stderr.by_ref().take(length), to)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::thread;

    use super::*;

    fn shell(directory: &Path, command: &str, interrupt: &Interrupt) -> (Ended, Capture) {
        let capture = Capture::in_directory(directory);
        let words = ["bash", "-euo", "pipefail", "-c", command].map(OsString::from).to_vec();
        let environment = BTreeMap::from([("PATH".into(), std::env::var_os("PATH").unwrap_or_default())]);
        let job = Job {
            words,
            directory: directory.to_owned(),
            environment,
            capture: &capture,
            enders: [interrupt; 2],
        };
        (run(&job, &|_| {}).expect("runs"), capture)
    }

    #[test]
    fn both_streams_are_kept_apart_and_in_order() {
        let dir = tempfile::tempdir().expect("a directory");
        let command = "echo a; sleep 0.1; echo b >&2; sleep 0.1; echo c; printf d; umask >&2; exit 3";
        let (ended, capture) = shell(dir.path(), command, &Interrupt::new().expect("a pipe"));
        assert_eq!(Ended::describe(ended.status), "exit 3");
        assert_eq!(fs::read_to_string(&capture.stdout).unwrap(), "a\nc\nd");
        assert_eq!(fs::read_to_string(&capture.stderr).unwrap(), "b\n0022\n");
        let mut together = Vec::new();
        let open = |path| File::open(path).expect("opens");
        interleave(open(&capture.stdout), open(&capture.stderr), open(&capture.order), &mut together)
            .unwrap();
        assert!(together.starts_with(b"a\nb\nc\n"), "{together:?}");
        assert_eq!(ended.tail[..3], ["a", "b", "c"]);
    }

    #[test]
    fn much_output_takes_little_memory_and_all_of_it_is_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let (ended, capture) = shell(dir.path(), "yes | head -c 3000000", &Interrupt::new().expect("a pipe"));
        assert_eq!(ended.tail.len(), LINES);
        assert_eq!(fs::metadata(&capture.stdout).unwrap().len(), 3_000_000);
        assert_eq!(fs::metadata(&capture.order).unwrap().len(), 4);
    }

    #[test]
    fn what_a_command_leaves_running_is_not_waited_for() {
        let dir = tempfile::tempdir().expect("a directory");
        let (ended, _) = shell(dir.path(), "sleep 20 & echo done", &Interrupt::new().expect("a pipe"));
        assert!(ended.duration < Duration::from_secs(10));
        assert_eq!(ended.tail, ["done"]);
    }

    #[test]
    fn an_interruption_ends_the_whole_group() {
        let dir = tempfile::tempdir().expect("a directory");
        let interrupt = Interrupt::new().expect("a pipe");
        let later = interrupt.clone();
        let handle = thread::spawn(move || {
            thread::sleep(Duration::from_millis(200));
            later.set();
        });
        let (ended, capture) = shell(dir.path(), "sleep 50 & echo $!; wait", &interrupt);
        handle.join().expect("ends");
        assert!(ended.interrupted && ended.duration < Duration::from_secs(10));
        let pid: u32 = fs::read_to_string(&capture.stdout).unwrap().trim().parse().unwrap();
        for _ in 0..100 {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if stat.is_empty() || stat.contains(") Z ") {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("the child of the child still runs");
    }
}
