//! The line that changes in place while a stream is watched.

use edge_node::event::{Event, Stats, WatchStats};

/// Goes back to the line's start and wipes it.
const WIPE: &str = "\r\x1b[2K";

/// What the line was last told.
#[derive(Debug, Default)]
pub(crate) struct Status {
    safety_code: Option<String>,
    line: Option<String>,
}

impl Status {
    /// Takes an event in and tells whether the line itself shows it.
    pub(crate) fn takes(&mut self, event: &Event) -> bool {
        match event {
            Event::Epoch { safety_code, .. } => {
                self.safety_code = Some(safety_code.clone());
                false
            }
            Event::Stats(Stats::Watch(stats)) => {
                self.line = Some(self.render(stats));
                true
            }
            _ => false,
        }
    }

    /// What makes room for the report of `event`; the counters at the end stay readable.
    pub(crate) fn make_room(&self, event: &Event) -> &'static str {
        match (&self.line, event) {
            (None, _) => "",
            (Some(_), Event::Done { .. }) => "\n",
            (Some(_), _) => WIPE,
        }
    }

    /// What draws the line anew.
    pub(crate) fn draw(&self) -> String {
        self.line.as_ref().map(|line| format!("{WIPE}{line}")).unwrap_or_default()
    }

    fn render(&self, stats: &WatchStats) -> String {
        let (spatial, temporal) = stats.top_layer;
        let why = &stats.uplink.why;
        let code = self.safety_code.as_deref().unwrap_or("-");
        let cut = match stats.lanes.len() {
            0 => String::new(),
            all => format!(" · {} of {all} descriptions", stats.descriptions),
        };
        format!(
            "S{spatial}T{temporal} ({why}){cut} · depth {} · p50 {:.0} p95 {:.0} ms · {} pictures, {} lost · epoch {} · {code}",
            stats.uplink.depth,
            stats.latency_ms.p50,
            stats.latency_ms.p95,
            stats.frames_decoded,
            stats.base_frames_lost,
            stats.epoch
        )
    }
}
