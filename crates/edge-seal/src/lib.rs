//! Inner seal, stream senders with owned counters and the frame payload format.
