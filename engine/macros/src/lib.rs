//! The attributes `#[fleche]` and `#[value]`.
