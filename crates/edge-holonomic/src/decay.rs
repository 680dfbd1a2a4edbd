//! Consent decay: how much of a content may be kept, by the age of its consent.

use std::ops::Range;

/// Milliseconds of a day.
pub const DAY_MS: u64 = 86_400_000;
/// How long a schedule may be unreadable, and how far ahead of the own clock an admission may be, in ms.
pub const GRACE_MS: u64 = DAY_MS;
/// Items looked at in one go; a walk can be cancelled between two of them.
pub const PAGE: usize = 256;
/// Longest name of a consent class, in bytes.
pub const CLASS_NAME_LEN_MAX: usize = 64;

/// Why a consent class or a walk is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The class cannot be followed.
    #[error("consent class: {0}")]
    InvalidConsentClass(&'static str),
    /// More items than [`PAGE`] at once.
    #[error("{0} items are more than a page of {PAGE}")]
    OverdueBacklog(usize),
}

/// Days since admission at which each tier ends. They never decrease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bands {
    /// End of [`Tier::Full`].
    pub full: u32,
    /// End of [`Tier::T2DropRepair`].
    pub t2: u32,
    /// End of [`Tier::T3DropHighQuality`].
    pub t3: u32,
    /// For display; [`Tier::T4MinViableOnly`] ends with `envelope_only`.
    pub t4: u32,
    /// Beginning of [`Tier::EnvelopeOnly`].
    pub envelope_only: u32,
}

/// For how long somebody agreed that content is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    name: String,
    bands: Bands,
}

impl Class {
    /// A class by any name, of at most [`CLASS_NAME_LEN_MAX`] bytes. Bands out of order are refused.
    pub fn new(name: impl Into<String>, bands: Bands) -> Result<Self, Error> {
        let name = name.into();
        if name.is_empty() || name.len() > CLASS_NAME_LEN_MAX {
            return Err(Error::InvalidConsentClass("its name must have 1 to 64 bytes"));
        }
        let Bands { full, t2, t3, t4, envelope_only } = bands;
        if ![full, t2, t3, t4, envelope_only].is_sorted() {
            return Err(Error::InvalidConsentClass("its days must not decrease"));
        }
        Ok(Self { name, bands })
    }

    /// TEMPORARY: 14 days.
    pub fn temporary() -> Self {
        let bands = Bands { full: 4, t2: 8, t3: 11, t4: 14, envelope_only: 14 };
        Self { name: "TEMPORARY".to_owned(), bands }
    }

    /// STANDARD: 90 days.
    pub fn standard() -> Self {
        let bands = Bands { full: 26, t2: 51, t3: 70, t4: 90, envelope_only: 90 };
        Self { name: "STANDARD".to_owned(), bands }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The days.
    pub fn bands(&self) -> Bands {
        self.bands
    }

    fn tier_after(&self, days: u32) -> Tier {
        let Bands { full, t2, t3, envelope_only, .. } = self.bands;
        match days {
            days if days < full => Tier::Full,
            days if days < t2 => Tier::T2DropRepair,
            days if days < t3 => Tier::T3DropHighQuality,
            days if days < envelope_only => Tier::T4MinViableOnly,
            _ => Tier::EnvelopeOnly,
        }
    }
}

/// The consent to keep one content. Times are ms since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The content.
    pub content_id: String,
    /// For how long.
    pub class: Class,
    /// When the content was admitted.
    pub admitted_at_unix_ms: u64,
    /// When consent was withdrawn, if it was. Any value counts, also one in the future.
    pub revoked_at_unix_ms: Option<u64>,
}

impl Schedule {
    /// The tier at `now_unix_ms`. A content that is not admitted yet is full.
    pub fn tier(&self, now_unix_ms: u64) -> Tier {
        self.tier_since(self.admitted_at_unix_ms, now_unix_ms)
    }

    fn tier_since(&self, since_unix_ms: u64, now_unix_ms: u64) -> Tier {
        if self.revoked_at_unix_ms.is_some() {
            return Tier::HardDelete;
        }
        self.class.tier_after(days(since_unix_ms, now_unix_ms))
    }
}

/// How much of a content is kept, mildest first. Content only ever moves down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// All symbols.
    Full,
    /// No repair symbols.
    T2DropRepair,
    /// The first half of the source symbols.
    T3DropHighQuality,
    /// The fewest symbols that are worth keeping.
    T4MinViableOnly,
    /// The manifest alone.
    EnvelopeOnly,
    /// Nothing: consent was withdrawn.
    HardDelete,
}

impl Tier {
    /// The name that peers use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "Full",
            Self::T2DropRepair => "T2DropRepair",
            Self::T3DropHighQuality => "T3DropHighQuality",
            Self::T4MinViableOnly => "T4MinViableOnly",
            Self::EnvelopeOnly => "EnvelopeOnly",
            Self::HardDelete => "HardDelete",
        }
    }

    /// Whether the manifest stays.
    pub const fn keeps_manifest(self) -> bool {
        !matches!(self, Self::HardDelete)
    }

    /// Whether a holder of `held` symbols keeps symbol `id`. Its only symbol stays until the bytes go altogether: it is
    /// worth as much to the others as any.
    pub fn keeps(self, id: u32, shape: &Shape, held: usize) -> bool {
        let only = held == 1 && self < Self::EnvelopeOnly;
        only || self.symbols(shape).contains(&id)
    }

    /// Ids that the tier names. Fewer than `n_source` of them do not give the content back.
    pub fn symbols(self, shape: &Shape) -> Range<u32> {
        let Shape { n_source, k_repair, min_viable_symbols } = *shape;
        let viable = min_viable_symbols.min(n_source);
        0..match self {
            Self::Full => n_source.saturating_add(k_repair),
            Self::T2DropRepair => n_source,
            Self::T3DropHighQuality => viable.max(n_source / 2),
            Self::T4MinViableOnly => viable,
            Self::EnvelopeOnly | Self::HardDelete => 0,
        }
    }
}

/// How many symbols a content has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Source symbols.
    pub n_source: u32,
    /// Repair symbols.
    pub k_repair: u32,
    /// Fewest symbols worth keeping.
    pub min_viable_symbols: u32,
}

/// What the owner of the bytes knows about one content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View<'a> {
    /// The content.
    pub content_id: &'a str,
    /// Its present tier.
    pub current: Tier,
    /// When it was first seen here, in ms since 1970.
    pub first_seen_unix_ms: u64,
    /// Its schedule.
    pub schedule: Known<'a>,
}

impl View<'_> {
    /// Whether the schedule could not be read for more than [`GRACE_MS`]: to be reported, whatever its tier.
    pub fn is_orphaned(&self, now_unix_ms: u64) -> bool {
        match self.schedule {
            Known::Schedule(_) => false,
            Known::Unreadable { since_unix_ms } => now_unix_ms.saturating_sub(since_unix_ms) > GRACE_MS,
        }
    }
}

/// Whether a schedule could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known<'a> {
    /// It could.
    Schedule(&'a Schedule),
    /// It is missing or unreadable.
    Unreadable {
        /// Since when, in ms since 1970.
        since_unix_ms: u64,
    },
}

/// A content that has to move to a lower tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due<'a> {
    /// The content.
    pub content_id: &'a str,
    /// Its new tier, always below its present one.
    pub tier: Tier,
    /// Why.
    pub cause: Cause,
}

/// Why a content moves down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Consent was withdrawn. Other holders must hear of it.
    Revoked,
    /// Consent grew old.
    Aged,
    /// The admission lies too far ahead to be true; age counts from when the content was first seen.
    AdmittedAhead,
    /// The schedule could not be read for more than [`GRACE_MS`]; the content counts as temporary.
    Unreadable,
}

/// What has to move down at `now_unix_ms`, withdrawn consent first; otherwise in the page's order. What is missing from
/// the answer stays: a tier is never raised, neither by a new class nor by a clock that went back.
pub fn due<'a>(page: &'a [View<'a>], now_unix_ms: u64) -> Result<impl Iterator<Item = Due<'a>>, Error> {
    if page.len() > PAGE {
        return Err(Error::OverdueBacklog(page.len()));
    }
    let all = move || page.iter().filter_map(move |view| judge(view, now_unix_ms));
    let revoked = all().filter(|due| due.cause == Cause::Revoked);
    Ok(revoked.chain(all().filter(|due| due.cause != Cause::Revoked)))
}

fn judge<'a>(view: &View<'a>, now_unix_ms: u64) -> Option<Due<'a>> {
    let (tier, cause) = target(view, now_unix_ms)?;
    (tier > view.current).then_some(Due { content_id: view.content_id, tier, cause })
}

fn target(view: &View<'_>, now_unix_ms: u64) -> Option<(Tier, Cause)> {
    let schedule = match view.schedule {
        Known::Schedule(schedule) => schedule,
        Known::Unreadable { since_unix_ms } => {
            let tier = Class::temporary().tier_after(days(since_unix_ms, now_unix_ms));
            return view.is_orphaned(now_unix_ms).then_some((tier, Cause::Unreadable));
        }
    };
    if schedule.revoked_at_unix_ms.is_some() {
        return Some((Tier::HardDelete, Cause::Revoked));
    }
    if schedule.admitted_at_unix_ms.saturating_sub(now_unix_ms) > GRACE_MS {
        return Some((schedule.tier_since(view.first_seen_unix_ms, now_unix_ms), Cause::AdmittedAhead));
    }
    Some((schedule.tier(now_unix_ms), Cause::Aged))
}

fn days(since_unix_ms: u64, now_unix_ms: u64) -> u32 {
    u32::try_from(now_unix_ms.saturating_sub(since_unix_ms) / DAY_MS).unwrap_or(u32::MAX)
}
