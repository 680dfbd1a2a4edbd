//! What the mesh core decides, in words for people.

use edge_alm::mesh::{Misdeed, SwitchWhy, Why};

pub(super) fn switch(why: SwitchWhy) -> &'static str {
    match why {
        SwitchWhy::First => "the first parent",
        SwitchWhy::Lost => "the link to the parent before broke",
        SwitchWhy::Silent => "the parent before fell silent",
        SwitchWhy::Slow => "the parent before was too slow",
        SwitchWhy::Wayless => "the parent before lost its way to the publisher",
        SwitchWhy::Misdeed => "the parent before did harm",
        SwitchWhy::Better => "a nearer parent",
    }
}

pub(super) fn layers(why: Why) -> &'static str {
    match why {
        Why::Wanted => "as asked for",
        Why::Pinned => "pinned",
        Why::LinkFull => "the link carries no more",
        Why::Climbing => "climbing",
        Why::Recovering => "recovering",
    }
}

pub(super) fn misdeed(misdeed: Misdeed) -> &'static str {
    match misdeed {
        Misdeed::Forgery => "it sent as the publisher's what is not",
        Misdeed::Equivocation => "it sent different chunks as the same one",
        Misdeed::Replay => "it sent the same chunks again and again",
        Misdeed::Starvation => "it held base chunks back",
        Misdeed::Delay => "it sent base chunks late",
    }
}
