//! What viewers saw: pictures shown and lost, gaps, and how long it took to come back.

use edge_wire::layer::Layer;

use crate::media::{INTERVAL_US, Sheet};

/// How late a picture may be and still count as seen, in µs.
pub const DEADLINE_US: u64 = 1_000_000;
/// How late a base picture may be and still be in time for a live conversation, in µs.
pub const IN_TIME_US: u64 = 200_000;
/// Time without any loss after which the picture counts as whole, in µs.
pub const WHOLE_US: u64 = 2_000_000;
/// How long after an upset its consequences are looked for, in µs.
pub const UPSET_US: u64 = 5_000_000;

/// When each picture was opened by one viewer, in µs after its capture.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    after_us: Vec<u32>,
    first: Option<u64>,
    stays: Vec<Stay>,
}

/// Numbers of the pictures during one stay of a viewer: from the first one that it opened to the last one that was
/// captured while it was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stay {
    from: u64,
    to: u64,
}

const NEVER: u32 = u32::MAX;

impl Seen {
    /// Notes that a picture was opened. Whether it was for the first time.
    pub fn note(&mut self, number: u64, after_us: u64) -> bool {
        let at = number as usize;
        if self.after_us.len() <= at {
            self.after_us.resize(at + 1, NEVER);
        }
        let new = self.after_us[at] == NEVER;
        if new {
            self.after_us[at] = u32::try_from(after_us).unwrap_or(NEVER - 1);
            self.first = Some(self.first.map_or(number, |first| first.min(number)));
        }
        new
    }

    /// Ends a stay at the picture before `next`.
    pub fn leave(&mut self, next: u64) {
        if let Some(from) = self.first.take().filter(|from| *from < next) {
            self.stays.push(Stay { from, to: next });
        }
    }

    fn after_us(&self, number: u64) -> Option<u64> {
        self.after_us.get(number as usize).filter(|after| **after != NEVER).map(|after| u64::from(*after))
    }
}

/// How long a stay takes to begin, in pictures: until the first group of pictures that came from its start is shown,
/// what is missing was not there to be had.
pub const BEGIN_PICTURES: u64 = 60;

/// What one viewer could show.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    /// Pictures of its stays.
    pub pictures: u64,
    /// Pictures not shown: missing, later than [`DEADLINE_US`], or predicted from such a one.
    pub lost: u64,
    /// Base pictures of its stays.
    pub base: u64,
    /// Base pictures not opened within [`IN_TIME_US`].
    pub base_late: u64,
    /// Base pictures not shown.
    pub base_lost: u64,
    /// How long after capture each shown picture was opened, in µs.
    pub after_us: Vec<u32>,
    /// When something newer than everything before was opened: number and time in µs.
    pub progress: Vec<(u64, u64)>,
    /// Numbers of lost pictures, ascending.
    pub lost_numbers: Vec<u64>,
    /// When its stays began and ended, in µs.
    pub stays_us: Vec<(u64, u64)>,
}

/// Works out what a viewer could show. Its last stay must have ended.
pub fn shown(seen: &Seen, sheets: &[Sheet]) -> Shown {
    let mut out = Shown::default();
    for stay in &seen.stays {
        let decodable = walk(*stay, seen, sheets, &mut out);
        progress(*stay, &decodable, seen, sheets, &mut out);
        let at_us = |number: u64| sheets.get(number as usize).map_or(number * INTERVAL_US, |sheet| sheet.at_us);
        out.stays_us.push((at_us(stay.from), at_us(stay.to)));
    }
    out
}

/// Counts a stay; which of its pictures could be shown.
fn walk(stay: Stay, seen: &Seen, sheets: &[Sheet], out: &mut Shown) -> Vec<bool> {
    let mut decodable: Vec<bool> = Vec::with_capacity((stay.to - stay.from) as usize);
    let mut started = false;
    for number in stay.from..stay.to {
        let Some(sheet) = sheets.get(number as usize) else { break };
        let refers = (sheet.refers_back > 0).then(|| (number - stay.from).checked_sub(u64::from(sheet.refers_back)));
        let has_reference = refers.is_none_or(|at| at.is_some_and(|at| decodable[at as usize]));
        let after = seen.after_us(number);
        let ok = after.is_some_and(|after| after <= DEADLINE_US) && has_reference;
        decodable.push(ok);
        started |= ok;
        if started && number >= stay.from + BEGIN_PICTURES {
            count(number, sheet, after, ok, out);
        }
    }
    decodable
}

fn count(number: u64, sheet: &Sheet, after: Option<u64>, ok: bool, out: &mut Shown) {
    let base = sheet.layer == Layer::BASE;
    out.pictures += 1;
    out.base += u64::from(base);
    out.base_late += u64::from(base && after.is_none_or(|after| after > IN_TIME_US));
    match ok {
        true => out.after_us.extend(after.and_then(|after| u32::try_from(after).ok())),
        false => {
            out.lost += 1;
            out.base_lost += u64::from(base);
            out.lost_numbers.push(number);
        }
    }
}

fn progress(stay: Stay, decodable: &[bool], seen: &Seen, sheets: &[Sheet], out: &mut Shown) {
    let mut arrivals: Vec<(u64, u64)> = (stay.from..stay.to)
        .zip(decodable)
        .filter(|(_, ok)| **ok)
        .filter_map(|(number, _)| Some((sheets.get(number as usize)?.at_us + seen.after_us(number)?, number)))
        .collect();
    arrivals.sort_unstable();
    let mut newest = None;
    for (at_us, number) in arrivals {
        if newest.is_none_or(|newest| number > newest) {
            newest = Some(number);
            out.progress.push((number, at_us));
        }
    }
}

impl Shown {
    /// The longest time without anything newer that touches the time from an upset at `at_us` until `until_us`, both in
    /// µs, as is the result. None when the viewer had not begun or left meanwhile.
    pub fn gap_after_us(&self, at_us: u64, until_us: u64) -> Option<u64> {
        let (from_us, to_us) = self.stay_us(at_us, until_us)?;
        let stay = || self.progress.iter().map(|(_, at)| *at).filter(|at| (from_us..=to_us + DEADLINE_US).contains(at));
        let begun = stay().next().is_some_and(|first| first <= at_us);
        // Nothing came any more: the gap lasts at least to the end of the stay.
        let pairs = stay().zip(stay().skip(1).chain([to_us]));
        let longest = pairs.filter(|(from, to)| *to >= at_us && *from < until_us).map(|(from, to)| to.max(from) - from);
        longest.max().filter(|_| begun)
    }

    /// How long after an upset at `at_us` the picture was whole again: the last picture lost before [`WHOLE_US`]
    /// without any loss, or before `until_us`; all in µs. 0 if none was lost.
    pub fn whole_after_us(&self, at_us: u64, until_us: u64) -> u64 {
        let (first, until) = (at_us / INTERVAL_US, until_us / INTERVAL_US);
        let from = self.lost_numbers.partition_point(|number| *number < first);
        let mut whole = first;
        for number in self.lost_numbers.iter().skip(from).take_while(|number| **number < until) {
            if number - whole > WHOLE_US / INTERVAL_US {
                break;
            }
            whole = number + 1;
        }
        if whole == first { 0 } else { (whole * INTERVAL_US).saturating_sub(at_us) }
    }

    /// The stay that holds a whole time.
    fn stay_us(&self, at_us: u64, until_us: u64) -> Option<(u64, u64)> {
        self.stays_us.iter().find(|(from, to)| *from <= at_us && until_us <= *to).copied()
    }

    /// Times between pictures that moved the show on, in µs.
    pub fn intervals_us(&self) -> impl Iterator<Item = u64> + '_ {
        self.progress.windows(2).map(|pair| pair[1].1 - pair[0].1)
    }
}

/// The value below or at which `percent` of the values lie (nearest rank); 0 for none. Sorts the values.
pub fn percentile(values: &mut [u64], percent: f64) -> u64 {
    values.sort_unstable();
    let rank = (percent / 100.0 * values.len() as f64).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheets(count: u64) -> Vec<Sheet> {
        let sheet = |number: u64| {
            let (temporal, refers_back) = match number % 4 {
                0 => (0, if number == 0 { 0 } else { 4 }),
                2 => (1, 2),
                _ => (2, 1),
            };
            Sheet { at_us: number * INTERVAL_US, layer: Layer::new(0, temporal, 0), refers_back, wire_len: 1 }
        };
        (0..count).map(sheet).collect()
    }

    fn seen(count: u64, missing: &[u64]) -> Seen {
        let mut seen = Seen::default();
        (0..count).filter(|number| !missing.contains(number)).for_each(|number| {
            seen.note(number, 20_000);
        });
        seen.leave(count);
        seen
    }

    #[test]
    fn nothing_missing_is_nothing_lost() {
        let shown = shown(&seen(200, &[]), &sheets(200));
        assert_eq!((shown.pictures, shown.lost, shown.base, shown.base_late), (140, 0, 35, 0));
        assert!(shown.intervals_us().all(|interval| interval == INTERVAL_US));
        assert_eq!(shown.whole_after_us(1_000_000, 6_000_000), 0);
    }

    #[test]
    fn a_missing_base_picture_takes_all_that_follow_and_an_enhancement_only_itself() {
        assert_eq!(shown(&seen(200, &[65]), &sheets(200)).lost, 1);
        let shown = shown(&seen(200, &[100]), &sheets(200));
        assert_eq!((shown.lost, shown.base_lost, shown.base_late), (100, 25, 1));
    }

    #[test]
    fn a_gap_is_found_around_its_cause() {
        let missing: Vec<u64> = (61..75).collect();
        let mut sheets = sheets(400);
        sheets[76].refers_back = 0;
        let shown = shown(&seen(400, &missing), &sheets);
        let at_us = 61 * INTERVAL_US;
        let after = |at_us: u64| (at_us, at_us + UPSET_US);
        let gap_us = |(at_us, until_us)| shown.gap_after_us(at_us, until_us);
        assert_eq!(gap_us(after(at_us)), Some(16 * INTERVAL_US));
        assert_eq!(gap_us((at_us, at_us + INTERVAL_US)), Some(16 * INTERVAL_US));
        assert_eq!(gap_us(after(300 * INTERVAL_US)), None, "the viewer left before the upset was over");
        assert_eq!(shown.whole_after_us(at_us, at_us + UPSET_US), 15 * INTERVAL_US);
    }

    #[test]
    fn an_absence_is_no_gap() {
        let mut seen = Seen::default();
        for stay in [0..100_u64, 340..700] {
            stay.clone().for_each(|number| {
                seen.note(number, 20_000);
            });
            seen.leave(stay.end);
        }
        let mut sheets = sheets(700);
        sheets[340].refers_back = 0;
        let shown = shown(&seen, &sheets);
        assert_eq!(shown.gap_after_us(80 * INTERVAL_US, 230 * INTERVAL_US), None);
        assert_eq!(shown.gap_after_us(80 * INTERVAL_US, 99 * INTERVAL_US), Some(INTERVAL_US));
        assert_eq!(shown.gap_after_us(400 * INTERVAL_US, 550 * INTERVAL_US), Some(INTERVAL_US));
    }

    #[test]
    fn a_picture_that_never_comes_back_is_a_gap() {
        let missing: Vec<u64> = (100..400).collect();
        let shown = shown(&seen(400, &missing), &sheets(400));
        assert!(shown.gap_after_us(100 * INTERVAL_US, 250 * INTERVAL_US) >= Some(290 * INTERVAL_US));
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let mut values: Vec<u64> = (1..=100).rev().collect();
        assert_eq!((percentile(&mut values, 50.0), percentile(&mut values, 99.0)), (50, 99));
        assert_eq!(percentile(&mut [], 99.0), 0);
    }
}
