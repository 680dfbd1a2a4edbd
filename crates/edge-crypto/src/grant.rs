//! Key grants: an epoch key wrapped to one recipient's static hybrid keys.
