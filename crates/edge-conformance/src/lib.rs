//! Known-answer vectors, checked against the public interfaces of the protocol crates.
//!
//! Model: a folder holds JSON files; each names a family and lists cases. A family is checked (every case is computed
//! and compared), unsupported (known, but nothing here computes it) or unknown. [`check_dirs`] turns folders into a
//! [`Report`]; another implementation's vectors are checked the same way as ours.
//!
//! Laws: a case passes only when every value in it was computed and compared; a file that cannot be read as vectors is
//! a failure, and so is a folder without any; nothing that a file holds panics or makes this crate allocate more than
//! [`FILE_LEN_MAX`] permits.

mod case;
mod families;
mod load;
mod report;

pub use load::{DEPTH_MAX, FILE_LEN_MAX, FILES_MAX, check_dirs};
pub use report::{FAILURES_KEPT_MAX, Failure, Family, Report, Support, Verdict};
