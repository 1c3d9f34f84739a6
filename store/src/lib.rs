//! Digests, archived values and call records in files that many processes share.
