//! AV1 in scalable layers: encoder, decoder, and the rule of what may be decoded.
