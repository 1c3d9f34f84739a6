//! The command line of fleche as a library.
