//! RaptorQ (RFC 6330): content symbols, and protection of live messages.
