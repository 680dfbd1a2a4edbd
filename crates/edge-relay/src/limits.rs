//! Every bound of a relay, in one place.

use edge_wire::chunk;

/// Bounds of a whole relay.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Most streams, pinned ones included.
    pub streams_max: usize,
    /// Most subscribers of one stream.
    pub subscribers_per_stream_max: usize,
    /// Longest whole chunk that is forwarded, in bytes.
    pub chunk_len_max: usize,
    /// Most bytes a second that one subscriber is sent on average; one second's worth may go at once.
    pub subscriber_bytes_per_second_max: u64,
    /// Bounds of one child's queue.
    pub queue: QueueLimits,
    /// Bounds of what a stream keeps for newcomers.
    pub cache: CacheLimits,
}

/// Bounds of one child's queue.
#[derive(Debug, Clone)]
pub struct QueueLimits {
    /// Most bytes that wait, sound not counted.
    pub bytes_max: usize,
    /// Most chunks that wait, sound not counted.
    pub messages_max: usize,
    /// Oldest base chunk that may still be sent; when it is older, everything up to the next key frame is dropped.
    pub age_ms_max: u64,
    /// Age of a waiting enhancement chunk from which on the child counts as too slow and its top layer is dropped.
    pub enhancement_age_ms_max: u64,
    /// After one layer was dropped for age, how long the child has to catch up before the next one is.
    pub step_ms: u64,
    /// After spatial or quality layers were dropped, how long they stay away although a frame to resume at comes by.
    pub resume_hold_ms: u64,
    /// Oldest sound that may still be sent.
    pub audio_age_ms_max: u64,
    /// Most sound chunks that wait.
    pub audio_messages_max: usize,
    /// Most bytes of sound that wait.
    pub audio_bytes_max: usize,
}

/// Bounds of what one stream keeps for newcomers.
#[derive(Debug, Clone)]
pub struct CacheLimits {
    /// Most bytes of picture since the last key frame.
    pub bytes_max: usize,
    /// Most picture chunks since the last key frame.
    pub messages_max: usize,
    /// How far back sound is kept.
    pub audio_ms: u64,
    /// Most sound chunks.
    pub audio_messages_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            streams_max: 1024,
            subscribers_per_stream_max: 1024,
            chunk_len_max: chunk::MAX_LEN,
            subscriber_bytes_per_second_max: 64 << 20,
            queue: QueueLimits::default(),
            cache: CacheLimits::default(),
        }
    }
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self {
            bytes_max: 4 << 20,
            messages_max: 1024,
            age_ms_max: 1000,
            enhancement_age_ms_max: 250,
            step_ms: 100,
            resume_hold_ms: 2000,
            audio_age_ms_max: 500,
            audio_messages_max: 256,
            audio_bytes_max: 256 << 10,
        }
    }
}

impl Default for CacheLimits {
    fn default() -> Self {
        Self { bytes_max: 2 << 20, messages_max: 768, audio_ms: 200, audio_messages_max: 32 }
    }
}
