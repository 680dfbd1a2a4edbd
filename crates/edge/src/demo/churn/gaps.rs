//! What a kill did to the picture.

use super::Kill;
use crate::demo::trace::Shown;

/// Time after a kill in which a gap counts as its doing.
const AFTERMATH_US: u64 = 4_000_000;
/// Pictures in a row with all layers that count as restored.
const RESTORED: usize = 5;

/// One viewer's picture around one kill.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Aftermath {
    /// Longest time between two pictures that ended after the kill.
    pub(super) gap_ms: f64,
    /// From the kill to the first of several pictures in a row with the highest layer; `None` when that never came.
    pub(super) restored_ms: Option<f64>,
}

/// Follows `trace` after `kill`; `None` when it ends before the kill.
pub(super) fn aftermath(trace: &[Shown], kill: &Kill) -> Option<Aftermath> {
    let until_us = kill.at_unix_us + AFTERMATH_US;
    let gaps = trace.windows(2).filter_map(|pair| match pair {
        [before, after] if after.decoded_us > kill.at_unix_us && before.decoded_us < until_us => {
            Some(after.decoded_us.saturating_sub(before.decoded_us))
        }
        _ => None,
    });
    let gap_ms = gaps.max()? as f64 / 1000.0;
    let top = trace.iter().map(|shown| shown.spatial).max()?;
    let after: Vec<&Shown> = trace.iter().filter(|shown| shown.decoded_us > kill.at_unix_us).collect();
    let restored = after.windows(RESTORED).find(|run| run.iter().all(|shown| shown.spatial == top));
    let restored_ms =
        restored.and_then(|run| run.first()).map(|shown| (shown.decoded_us - kill.at_unix_us) as f64 / 1000.0);
    Some(Aftermath { gap_ms, restored_ms })
}

/// Pictures that came out more than once.
pub(super) fn repeated(trace: &[Shown]) -> usize {
    let mut frames: Vec<u64> = trace.iter().map(|shown| shown.frame).collect();
    frames.sort_unstable();
    frames.windows(2).filter(|pair| pair.first() == pair.last()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(frame: u64, decoded_ms: u64, spatial: u8) -> Shown {
        Shown { frame, captured_us: 0, decoded_us: decoded_ms * 1000, spatial, temporal: 0 }
    }

    fn kill(at_ms: u64) -> Kill {
        Kill { relay: "r".into(), at_unix_us: at_ms * 1000, bereaved: vec![] }
    }

    #[test]
    fn the_gap_spans_the_kill_and_all_layers_must_hold() {
        let mut trace: Vec<Shown> = (0..10).map(|n| shown(n, n * 33, 2)).collect();
        trace.push(shown(10, 500, 0));
        trace.extend((11..20).map(|n| shown(n, 500 + (n - 10) * 33, 2)));
        let seen = aftermath(&trace, &kill(300)).unwrap();
        assert_eq!(seen, Aftermath { gap_ms: 203.0, restored_ms: Some(233.0) });
        assert_eq!(aftermath(&trace, &kill(2_000)), None);
        assert_eq!(repeated(&trace), 0);
        trace.push(shown(19, 900, 2));
        assert_eq!(repeated(&trace), 1);
    }
}
