//! QUIC transport with post-quantum key exchange and hybrid identity handshake.
