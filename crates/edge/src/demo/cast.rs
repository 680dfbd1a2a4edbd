//! Who plays: the processes of a demo and the tree that they form.

/// What one process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Publishes.
    Publisher,
    /// Relays in tier 1 or 2.
    Relay(u8),
    /// Watches behind the second tier from the first picture to the last.
    Present,
    /// Watches at the publisher itself, for comparison.
    Direct,
    /// Watches until the publisher removes it, and goes on trying.
    Removed,
    /// Comes while the stream runs.
    Late,
    /// Has an address, but no ticket for viewers.
    Outsider,
}

impl Part {
    /// Whether it asks to be admitted to the group.
    pub(super) fn watches(self) -> bool {
        matches!(self, Self::Present | Self::Direct | Self::Removed | Self::Late)
    }

    /// Whether it is a member from the first picture to the last.
    pub(super) fn stays(self) -> bool {
        matches!(self, Self::Present | Self::Direct)
    }

    /// One word for reports.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Publisher => "publisher",
            Self::Relay(_) => "relay",
            Self::Present => "present",
            Self::Direct => "direct",
            Self::Removed => "removed",
            Self::Late => "late",
            Self::Outsider => "outsider",
        }
    }
}

/// One process of the demo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Actor {
    /// Name of its identity.
    pub(super) name: String,
    /// What it does.
    pub(super) part: Part,
    /// Place of its parent in the cast.
    pub(super) parent: Option<usize>,
}

/// Everybody, parents before children.
pub(super) fn cast(relays: u16, viewers: u16) -> Vec<Actor> {
    let (tier_1, tier_2) = (usize::from(relays / 2).max(1), usize::from(relays - relays / 2).max(1));
    let first_of_tier_2 = 1 + tier_1;
    let behind = |index: usize| Some(first_of_tier_2 + index % tier_2);
    let actor = |name: String, part, parent| Actor { name, part, parent };
    let mut all = vec![actor("publisher".into(), Part::Publisher, None)];
    all.extend((0..tier_1).map(|index| actor(format!("relay-1-{}", index + 1), Part::Relay(1), Some(0))));
    all.extend(
        (0..tier_2).map(|index| actor(format!("relay-2-{}", index + 1), Part::Relay(2), Some(1 + index % tier_1))),
    );
    let viewers = usize::from(viewers);
    all.extend((0..viewers).map(|index| actor(format!("viewer-{}", index + 1), Part::Present, behind(index))));
    all.push(actor("direct".into(), Part::Direct, Some(0)));
    all.push(actor("removed".into(), Part::Removed, behind(viewers)));
    all.push(actor("outsider".into(), Part::Outsider, behind(0)));
    all.push(actor("late".into(), Part::Late, behind(viewers + 1)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parents(all: &[Actor], part: fn(Part) -> bool) -> Vec<&str> {
        let parent = |actor: &Actor| actor.parent.map(|at| all[at].name.as_str());
        all.iter().filter(|actor| part(actor.part)).filter_map(parent).collect()
    }

    #[test]
    fn two_relays_are_two_tiers() {
        let all = cast(2, 3);
        assert_eq!(parents(&all, |part| part == Part::Relay(1)), ["publisher"]);
        assert_eq!(parents(&all, |part| part == Part::Relay(2)), ["relay-1-1"]);
        assert_eq!(parents(&all, |part| part == Part::Present), ["relay-2-1"; 3]);
        assert_eq!(parents(&all, |part| part == Part::Direct), ["publisher"]);
        assert_eq!(all.len(), 1 + 2 + 3 + 4);
    }

    #[test]
    fn five_relays_share_the_viewers_and_all_parents_come_first() {
        let all = cast(5, 4);
        assert_eq!(parents(&all, |part| part == Part::Relay(1)).len(), 2);
        assert_eq!(parents(&all, |part| part == Part::Relay(2)), ["relay-1-1", "relay-1-2", "relay-1-1"]);
        assert_eq!(parents(&all, |part| part == Part::Present), ["relay-2-1", "relay-2-2", "relay-2-3", "relay-2-1"]);
        assert!(all.iter().enumerate().all(|(at, actor)| actor.parent.is_none_or(|parent| parent < at)));
    }
}
