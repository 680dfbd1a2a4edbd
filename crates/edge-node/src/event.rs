//! What a node reports while it runs: one JSON object a line with `--json`, one readable line otherwise.

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// One report. Field names are the public JSON interface; see `docs/events.md`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The node listens; tickets to it can be handed on.
    Ready {
        /// `publish`, `relay` or `watch`.
        role: String,
        /// Identity name.
        key_id: String,
        /// Identity fingerprint, hexadecimal.
        fingerprint: String,
        /// Address listened on, when the node takes children.
        listen: Option<String>,
        /// Ticket for viewers; only the publisher has one.
        ticket: Option<String>,
        /// Ticket without a join secret, for relays and `--via`.
        relay_ticket: Option<String>,
    },
    /// The node follows this parent from now on, or its way to the publisher is another one.
    Connected {
        /// Parent's identity name.
        parent: String,
        /// Parent's fingerprint.
        fingerprint: String,
        /// Links between the publisher and this node.
        depth: usize,
        /// What led to it.
        why: String,
    },
    /// A parent was found to do harm, and is avoided.
    Accused {
        /// Its fingerprint.
        parent: String,
        /// What it did.
        misdeed: String,
    },
    /// The parent is gone; the node tries to come back.
    Disconnected {
        /// What happened.
        reason: String,
    },
    /// A child subscribed here.
    Child {
        /// Child's identity name.
        key_id: String,
        /// Whether it came or went.
        present: bool,
    },
    /// The group moved to another epoch.
    Epoch {
        /// The new epoch.
        epoch: u64,
        /// Members now.
        members: usize,
        /// Identity names that came.
        added: Vec<String>,
        /// Identity names that left.
        removed: Vec<String>,
        /// Thirty digits that every member sees alike.
        safety_code: String,
        /// Bytes of the commit that led here.
        commit_bytes: usize,
        /// Wall clock when the change was accepted, in microseconds since 1970.
        at_unix_us: u64,
    },
    /// This viewer was admitted: the Welcome opened.
    Admitted {
        /// First epoch it can open.
        epoch: u64,
        /// Wall clock, microseconds since 1970.
        at_unix_us: u64,
    },
    /// This viewer was removed from the group.
    Evicted {
        /// Last epoch it could open.
        epoch: u64,
    },
    /// The first picture came out of the decoder.
    FirstFrame {
        /// Milliseconds since this viewer was admitted.
        since_admitted_ms: f64,
        /// Milliseconds since this viewer was started.
        since_start_ms: f64,
    },
    /// Counters, about once a second and once at the end.
    Stats(Stats),
    /// Something went wrong that does not end the node.
    Warning {
        /// What, and what to do.
        message: String,
    },
    /// The node is done.
    Done {
        /// Why.
        reason: String,
    },
}

/// Counters of one role; all are totals since the start unless a unit says otherwise.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stats {
    /// Of a publisher.
    Publish(PublishStats),
    /// Of a relay.
    Relay(RelayStats),
    /// Of a viewer.
    Watch(WatchStats),
    /// Of an outsider that was fed ciphertext.
    Outsider(OutsiderStats),
}

/// How a node is connected upward, and why so.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct UplinkStats {
    /// Fingerprint of the parent that is followed.
    pub parent: Option<String>,
    /// Fingerprint of the parent that stands by with the base layer.
    pub standby: Option<String>,
    /// Links between the publisher and this node.
    pub depth: usize,
    /// Round-trip time to the parent, milliseconds.
    pub rtt_ms: f64,
    /// How long media takes from the publisher to this node, milliseconds, as peers say and links show; 0 = not known.
    #[serde(default)]
    pub delay_ms: u32,
    /// Highest (spatial, temporal) layer asked for.
    pub layers: (u8, u8),
    /// Why these layers.
    pub why: String,
    /// Silence after which the parent counts as dead, milliseconds; learned from its rhythm.
    pub silence_ms: u64,
    /// Changes of the parent by choice.
    pub switches: u64,
    /// Changes of the parent because it died, fell silent or did harm.
    pub heals: u64,
    /// Chunks that came a second time.
    pub duplicates: u64,
    /// Chunks that were not from the publisher.
    pub forgeries: u64,
}

/// Counters of a publisher.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PublishStats {
    /// Frames captured, encoded and sealed.
    pub frames_published: u64,
    /// Audio packets sealed.
    pub audio_published: u64,
    /// Frames that the encoder could not keep up with.
    pub frames_skipped: u64,
    /// Chunks sealed.
    pub chunks_sealed: u64,
    /// Bytes of inner ciphertext.
    pub bytes_sealed: u64,
    /// Mean encode time of a frame in milliseconds.
    pub encode_ms: f64,
    /// Present epoch.
    pub epoch: u64,
    /// Members of the group, this publisher included.
    pub members: usize,
    /// Children fed now.
    pub children: usize,
    /// Processor seconds of this process.
    pub cpu_s: f64,
}

/// Counters of a relay.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RelayStats {
    /// Chunks taken from the parent.
    pub chunks_received: u64,
    /// Chunks sent to children.
    pub chunks_forwarded: u64,
    /// Bytes sent to children.
    pub bytes_forwarded: u64,
    /// Chunks not sent because a child could not take them.
    pub chunks_dropped: u64,
    /// Chunks refused as malformed, replayed or not authentic.
    pub chunks_refused: u64,
    /// Whether this process ever held a group key, as the crate of the keys counts it.
    pub opened_inner: bool,
    /// Children fed now.
    pub children: usize,
    /// The way up.
    #[serde(default)]
    pub uplink: Box<UplinkStats>,
    /// Processor seconds of this process.
    pub cpu_s: f64,
    /// Resident memory in KiB.
    pub rss_kib: u64,
}

/// Counters of a viewer.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct WatchStats {
    /// Pictures decoded.
    pub frames_decoded: u64,
    /// Base frames that never became a picture, between the first and the last decoded one.
    pub base_frames_lost: u64,
    /// Frame numbers of the first and the last picture.
    pub first_frame: Option<u64>,
    /// See `first_frame`.
    pub last_frame: Option<u64>,
    /// Chunks that came over the link.
    pub chunks_received: u64,
    /// Chunks that opened under the group key.
    pub chunks_opened: u64,
    /// Chunks whose clear labels contradict the sealed ones.
    pub chunks_relabelled: u64,
    /// Chunks that did not open.
    pub chunks_unopened: u64,
    /// Frames shown after this viewer was removed from the group.
    pub frames_opened_after_removal: u64,
    /// Chunks offered after the removal.
    pub chunks_offered_after_removal: u64,
    /// Layer frames by spatial layer that were fed to the decoder.
    pub layers_received: Vec<u64>,
    /// Descriptions of which pictures were shown in the last second; 1 for a stream that is not cut.
    #[serde(default = "one")]
    pub descriptions: u8,
    /// Highest (spatial, temporal) seen in the last second.
    pub top_layer: (u8, u8),
    /// Recovery requests sent.
    pub recoveries: u64,
    /// Audio packets played, of which concealed.
    pub audio_played: u64,
    /// See `audio_played`.
    pub audio_concealed: u64,
    /// Capture to decoded, milliseconds.
    pub latency_ms: Percentiles,
    /// Mean decode time of a picture in milliseconds.
    pub decode_ms: f64,
    /// Present epoch.
    pub epoch: u64,
    /// Epochs followed.
    pub epochs: u64,
    /// Frames lost within one second around a change of epoch.
    pub frames_lost_across_rekey: u64,
    /// The way up.
    #[serde(default)]
    pub uplink: Box<UplinkStats>,
    /// The ways up of the descriptions, for a stream that is cut; `uplink` brings its sound then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lanes: Vec<UplinkStats>,
    /// Children fed now, for a viewer that carries for others.
    #[serde(default)]
    pub children: usize,
    /// Processor seconds of this process.
    pub cpu_s: f64,
}

fn one() -> u8 {
    1
}

/// Counters of an outsider.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct OutsiderStats {
    /// Sealed chunks that came over its own link.
    pub chunks_offered: u64,
    /// Chunks whose inner layer it opened with any key it could make.
    pub chunks_opened: u64,
    /// Keys tried on each chunk.
    pub keys_tried: u64,
    /// How the publisher answered its request to be admitted.
    pub admission: String,
}

/// Percentiles of a latency in milliseconds; zeros without samples.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Percentiles {
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
}

impl Percentiles {
    /// Of `samples`, which are sorted in place.
    pub fn of(samples: &mut [f64]) -> Self {
        samples.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let last = samples.len().saturating_sub(1);
            // The index is within the slice: share is at most 1.
            samples.get((share * last as f64).round() as usize).copied().unwrap_or(0.0)
        };
        Self { p50: at(0.50), p95: at(0.95), p99: at(0.99) }
    }
}

/// Where a node sends its reports; a full or closed receiver loses reports, never media.
#[derive(Debug, Clone)]
pub struct Reporter(mpsc::Sender<Event>);

impl Reporter {
    /// Reports that may wait before new ones are lost.
    pub const BACKLOG: usize = 256;

    /// A reporter and the end that reads it.
    pub fn channel() -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(Self::BACKLOG);
        (Self(sender), receiver)
    }

    /// Sends `event` without waiting.
    pub fn send(&self, event: Event) {
        if self.0.try_send(event).is_err() {
            tracing::debug!("a report was lost: nobody reads them");
        }
    }

    /// Sends `event` and waits for room, for the last reports of a run.
    pub async fn send_last(&self, event: Event) {
        let _ = self.0.send(event).await;
    }

    /// Reports a condition that a person should know about.
    pub fn warn(&self, message: impl Into<String>) {
        self.send(Event::Warning { message: message.into() });
    }
}
