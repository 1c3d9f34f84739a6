//! The real binary on temporary projects: do, then look at what ran. One module a matter, one binary, since linking is slow.

mod project;

mod code;
mod commands;
mod concurrency;
mod environment;
mod failure;
mod manifest;
mod oracle;
mod recorded;
mod rerun;
mod restore;
mod run;
mod status;
mod store;
mod watch;
