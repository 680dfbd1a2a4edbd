//! What a stream keeps so that a newcomer has a picture at once.

use std::collections::VecDeque;

use edge_wire::id::Epoch;
use edge_wire::layer::Layer;

use crate::limits::CacheLimits;
use crate::queue::Chunk;

/// The sealed chunks that are needed to decode from the last key frame to now, and the last moments of sound.
///
/// Nothing builds on an enhancement frame of a temporal group that has ended, so those are forgotten. The cache never
/// spans two epochs: a newcomer has only the key of the newest.
#[derive(Default)]
pub(crate) struct Cache {
    video: VecDeque<Chunk>,
    /// Chunks at the front that are of the lowest temporal layer: nothing among them is looked at again.
    settled: usize,
    video_bytes: usize,
    audio: VecDeque<(u64, Chunk)>,
    content: Content,
    epoch: Option<Epoch>,
}

/// What the picture part holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Content {
    /// Nothing; a newcomer waits for a key frame.
    #[default]
    Nothing,
    /// Every layer.
    Layers,
    /// The base layer only; there was no room for more.
    Base,
}

impl Cache {
    pub(crate) fn record(&mut self, chunk: &Chunk, limits: &CacheLimits, now_ms: u64) {
        if !self.is_current(chunk.inner.header.epoch) {
            return;
        }
        match chunk.hint.audio {
            true => self.record_audio(chunk, limits, now_ms),
            false => self.record_video(chunk, limits),
        }
    }

    pub(crate) fn video(&self) -> impl Iterator<Item = &Chunk> {
        self.video.iter()
    }

    pub(crate) fn audio(&self, limits: &CacheLimits, now_ms: u64) -> impl Iterator<Item = &Chunk> {
        let oldest_ms = now_ms.saturating_sub(limits.audio_ms);
        self.audio.iter().filter(move |(at_ms, _)| *at_ms >= oldest_ms).map(|(_, chunk)| chunk)
    }

    pub(crate) fn content(&self) -> Content {
        self.content
    }

    /// Forgets everything older than `epoch` when it is new; false for a chunk of an epoch that has passed.
    fn is_current(&mut self, epoch: Epoch) -> bool {
        let newest = self.epoch.unwrap_or(epoch);
        if epoch > newest {
            self.clear_video();
            self.audio.clear();
        }
        self.epoch = Some(epoch.max(newest));
        epoch >= newest
    }

    fn record_audio(&mut self, chunk: &Chunk, limits: &CacheLimits, now_ms: u64) {
        self.audio.push_back((now_ms, chunk.clone()));
        let oldest_ms = now_ms.saturating_sub(limits.audio_ms);
        while self.audio.len() > limits.audio_messages_max || self.audio.front().is_some_and(|(at, _)| *at < oldest_ms)
        {
            self.audio.pop_front();
        }
    }

    fn record_video(&mut self, chunk: &Chunk, limits: &CacheLimits) {
        if chunk.starts_key_frame() {
            self.clear_video();
            self.content = Content::Layers;
        } else if chunk.hint.frame_start && chunk.layer().temporal == 0 {
            self.forget_enhancement();
        }
        match self.content {
            Content::Nothing => return,
            Content::Base if chunk.layer() != Layer::BASE => return,
            Content::Base | Content::Layers => {}
        }
        self.video_bytes += chunk.len();
        self.video.push_back(chunk.clone());
        if self.is_full(limits) {
            self.content = Content::Base;
            self.keep_base();
        }
        if self.is_full(limits) {
            self.clear_video();
        }
    }

    fn is_full(&self, limits: &CacheLimits) -> bool {
        self.video_bytes > limits.bytes_max || self.video.len() > limits.messages_max
    }

    fn forget_enhancement(&mut self) {
        while let Some(chunk) = self.video.get(self.settled) {
            if chunk.layer().temporal == 0 {
                self.settled += 1;
            } else if let Some(chunk) = self.video.remove(self.settled) {
                self.video_bytes -= chunk.len();
            }
        }
    }

    fn keep_base(&mut self) {
        self.video.retain(|chunk| chunk.layer() == Layer::BASE);
        self.settled = self.video.len();
        self.video_bytes = self.video.iter().map(Chunk::len).sum();
    }

    fn clear_video(&mut self) {
        self.video.clear();
        self.settled = 0;
        self.video_bytes = 0;
        self.content = Content::Nothing;
    }
}
