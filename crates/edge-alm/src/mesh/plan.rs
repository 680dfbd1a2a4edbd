//! Whom to ask next, out of many offers: a pure function of its arguments, linear in the number of offers.

use edge_wire::id::Fingerprint;
use edge_wire::layer::Policy;

use super::{Offer, PARENT_CHAIN_MAX};
use crate::seats::{Claim, Share};

/// Most uplink that counts, in kbit/s, whatever an offer says.
pub const UPLINK_KBPS_MAX: u32 = 1_000_000;
/// Delays within one step of this many ms count as equal.
pub const DELAY_STEP_MS: u32 = 5;
/// What one more peer on the way takes, in ms, beside the way itself: it waits for whole chunks, and serves others
/// first.
pub const HOP_MS: u32 = 20;
/// Most children of one peer that count when the depth of a tree is judged.
const FAN_OUT_MAX: u32 = 64;
/// Most backups of a plan.
pub const BACKUPS_MAX: usize = 2;

/// Longest delay that is told apart, in ms.
const DELAY_MS_MAX: u32 = 60_000;
/// What a leg between two peers is taken to be, in ms, where nobody says what it is.
const LEG_MS_ASSUMED: u32 = 20;
/// The same for a round trip from here: what is known to be nearer comes first.
const RTT_MS_ASSUMED: u32 = 100;

/// How many independent voices told of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Vouched {
    /// One neighbour, which may have picked or made up what it told.
    Once,
    /// Two neighbours, the ticket, or this peer itself.
    Independently,
}

/// A possible parent.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// What it offers.
    pub offer: &'a Offer,
    /// Round trip to it, in ms, if it was measured.
    pub rtt_ms: Option<u32>,
    /// Who told of it.
    pub vouched: Vouched,
    /// How often in a row it did not answer.
    pub failures: u8,
}

/// What is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// This peer.
    pub own: Fingerprint,
    /// Spreads receivers over equals.
    pub seed: u64,
    /// Layers wanted; an offer of fewer is a last resort.
    pub policy: Policy,
    /// What they cost, in kbit/s; 0 if unknown.
    pub stream_kbps: u32,
    /// The place that is wanted.
    pub claim: Claim,
    /// The way of the present primary, which a backup should not share; empty if there is none.
    pub primary_chain: &'a [Fingerprint],
    /// Peers that are out of the question: parents already, banned, or not to be asked again yet.
    pub avoid: &'a [Fingerprint],
}

/// Whom to subscribe to.
#[derive(Debug, Clone)]
pub struct Plan<'a> {
    /// The best parent.
    pub primary: Candidate<'a>,
    /// At most [`BACKUPS_MAX`] others, on ways that differ from the primary's where there are such.
    pub backups: Vec<Candidate<'a>>,
}

/// How independent a way is of another one; lower is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Overlap {
    /// The first hops below the source differ, or one of the two is the source.
    None,
    /// The first hop below the source is the same.
    FirstHop,
    /// One way leads through the other's end.
    Through,
}

/// Plans a primary and backups; `None` when nobody can take this peer.
///
/// Of several offers by one peer the newest counts, even if an older one looks better, and none by a peer that did not
/// answer since. First come offers that cover the layers wanted, then those that keep the tree as flat as it can be,
/// then those that were told of independently; then the delay from the source to here ([`delay_ms`]), spare capacity in
/// powers of two and a hash of both peers decide, so that equal receivers spread over equal parents.
pub fn plan<'a>(candidates: &[Candidate<'a>], request: &Request<'_>) -> Option<Plan<'a>> {
    let ranked = rank(candidates, request);
    let primary = first(candidates, &ranked, request, |_| Overlap::None)?;
    Some(Plan { primary, backups: backups(candidates, &ranked, request, &primary) })
}

/// Picks a parent among all, room or not, those that answered lately first: for a peer that has none and whose
/// knowledge of room may be old.
pub(super) fn last_resort<'a>(candidates: &[Candidate<'a>], request: &Request<'_>) -> Option<Candidate<'a>> {
    let ranked = rank_if(candidates, request, |_| true);
    first(candidates, &ranked, request, |_| Overlap::None)
}

/// Picks one more parent beside a primary with the way [`Request::primary_chain`].
pub fn standby<'a>(candidates: &[Candidate<'a>], request: &Request<'_>) -> Option<Candidate<'a>> {
    let ranked = rank(candidates, request);
    first(candidates, &ranked, request, |it| overlap(request.primary_chain, &it.offer.chain))
}

/// How much two ways from the source share.
pub fn overlap(a: &[Fingerprint], b: &[Fingerprint]) -> Overlap {
    let (Some(end_a), Some(end_b)) = (a.last(), b.last()) else { return Overlap::None };
    // The source itself cannot be avoided by any way.
    let through = (a.len() > 1 && b.contains(end_a)) || (b.len() > 1 && a.contains(end_b));
    match (a.get(1), b.get(1)) {
        _ if through => Overlap::Through,
        (Some(a), Some(b)) if a == b => Overlap::FirstHop,
        _ => Overlap::None,
    }
}

/// Whether the offer's way exists, spares this peer and leaves it a place within the deepest tree.
pub fn is_above(offer: &Offer, own: &Fingerprint) -> bool {
    offer.peer != *own
        && !offer.chain.is_empty()
        && offer.chain.len() <= PARENT_CHAIN_MAX
        && offer.chain.last() == Some(&offer.peer)
        && !offer.chain.contains(own)
}

/// Whether there is room for one more child at this bitrate, or is made for one with this claim.
pub fn has_room(offer: &Offer, stream_kbps: u32, claim: Claim) -> bool {
    // Who stands by takes part of a place, and one that others who stand by have taken may not be full.
    let shared = claim.share == Share::Spare && offer.yields.leaf > 0 && offer.subscribers <= slots(offer, stream_kbps);
    shared || spare(offer, stream_kbps, claim) > 0
}

/// Delay from the source to this peer over the one that offers, in ms: what it announces, half the round trip to it,
/// and [`HOP_MS`].
pub fn delay_ms(offer: &Offer, rtt_ms: u32) -> u32 {
    passed_ms(offer.delay_ms, offer.chain.len(), rtt_ms)
}

/// The same from what is known of a parent. Nobody is nearer to the source than the peers above it allow, whatever it
/// announces; without an announcement each of them counts as far as peers usually are.
pub(super) fn passed_ms(announced_ms: Option<u32>, chain_len: usize, rtt_ms: u32) -> u32 {
    let hops = u32::try_from(chain_len.saturating_sub(1)).unwrap_or(u32::MAX);
    let above_ms =
        announced_ms.unwrap_or(hops.saturating_mul(HOP_MS + LEG_MS_ASSUMED)).max(hops.saturating_mul(HOP_MS));
    above_ms.saturating_add(rtt_ms / 2).saturating_add(HOP_MS).min(DELAY_MS_MAX)
}

/// Of those that have or make room, the one with the least delay below `limit_ms`, equals spread by a hash of both
/// peers. Only peers whose round trip is known count, however few told of them: whether the delay is true shows on
/// trial.
pub(super) fn nearest<'a>(
    candidates: impl Iterator<Item = Candidate<'a>>,
    request: &Request<'_>,
    limit_ms: u32,
) -> Option<Candidate<'a>> {
    let ranked = candidates.filter_map(|it| {
        let delay_ms = delay_ms(it.offer, it.rtt_ms?);
        let fits = delay_ms < limit_ms
            && it.failures == 0
            && has_room(it.offer, request.stream_kbps, request.claim)
            && covers(it.offer, request.policy)
            && !request.avoid.contains(&it.offer.peer)
            && is_above(it.offer, &request.own);
        let rank = (delay_ms / DELAY_STEP_MS, spread(&request.own, &it.offer.peer, request.seed));
        fits.then_some((rank, it))
    });
    ranked.min_by_key(|(rank, _)| *rank).map(|(_, it)| it)
}

/// Hops from the source that a tree of all these peers needs at most, one to spare: deeper places are a last resort.
pub(super) fn depth_bound<'a>(candidates: impl Iterator<Item = Candidate<'a>>, stream_kbps: u32) -> usize {
    let (mut peers, mut places) = (1_u64, 0_u64);
    for candidate in candidates {
        peers += 1;
        places += u64::from(slots(candidate.offer, stream_kbps).min(FAN_OUT_MAX));
    }
    let fan_out = (places / peers).max(2);
    let mut reached = fan_out;
    let mut depth = 1;
    while reached < peers {
        reached = reached.saturating_mul(fan_out);
        depth += 1;
    }
    depth + 1
}

/// Children with this claim that could still be taken.
fn spare(offer: &Offer, stream_kbps: u32, claim: Claim) -> u32 {
    let firm = offer.subscribers.saturating_sub(offer.yields.to(claim).into());
    slots(offer, stream_kbps).saturating_sub(firm)
}

/// Children that it can send this bitrate to.
fn slots(offer: &Offer, stream_kbps: u32) -> u32 {
    let uplink = offer.uplink_kbps.min(UPLINK_KBPS_MAX);
    uplink.checked_div(stream_kbps).unwrap_or(u32::MAX).min(offer.subscribers_max)
}

/// A candidate's rank, lower first, and its index. Indices have 32 bits: more offers than that do not fit in memory.
type Ranked = (u128, u32);

fn first<'a>(
    candidates: &[Candidate<'a>],
    ranked: &[Ranked],
    request: &Request<'_>,
    class: impl Fn(&Candidate<'_>) -> Overlap,
) -> Option<Candidate<'a>> {
    let is_above = |it: &Candidate<'_>| is_above(it.offer, &request.own);
    least::<1>(candidates, ranked, is_above, class).into_iter().next()
}

fn backups<'a>(
    candidates: &[Candidate<'a>],
    ranked: &[Ranked],
    request: &Request<'_>,
    primary: &Candidate<'a>,
) -> Vec<Candidate<'a>> {
    let is_fit = |it: &Candidate<'_>| it.offer.peer != primary.offer.peer && is_above(it.offer, &request.own);
    least::<BACKUPS_MAX>(candidates, ranked, is_fit, |it| overlap(&primary.offer.chain, &it.offer.chain))
}

/// The `COUNT` best that fit, by class and then by rank. Ways are walked only for those that would be among them.
fn least<'a, const COUNT: usize>(
    candidates: &[Candidate<'a>],
    ranked: &[Ranked],
    is_fit: impl Fn(&Candidate<'_>) -> bool,
    class: impl Fn(&Candidate<'_>) -> Overlap,
) -> Vec<Candidate<'a>> {
    const WORST: Ranked = (u128::MAX, u32::MAX);
    let mut classes = [[WORST; COUNT]; 3];
    for entry in ranked {
        let is_beaten = classes[0].last().is_none_or(|last| entry >= last);
        let Some(candidate) = candidates.get(entry.1 as usize).filter(|it| !is_beaten && is_fit(it)) else { continue };
        let best = &mut classes[class(candidate) as usize];
        let at = best.partition_point(|better| better < entry);
        if at < COUNT {
            best[at..].rotate_right(1);
            best[at] = *entry;
        }
    }
    let chosen = classes.iter().flatten().filter(|entry| **entry != WORST);
    chosen.filter_map(|(_, at)| candidates.get(*at as usize).copied()).take(COUNT).collect()
}

/// Those that answered lately, have room and are not to be avoided; their ways are not looked at yet.
fn rank(candidates: &[Candidate<'_>], request: &Request<'_>) -> Vec<Ranked> {
    // The offers of a peer that died promise room for as long as they are fresh.
    rank_if(candidates, request, |it| it.failures == 0 && has_room(it.offer, request.stream_kbps, request.claim))
}

fn rank_if(
    candidates: &[Candidate<'_>],
    request: &Request<'_>,
    is_open: impl Fn(&Candidate<'_>) -> bool,
) -> Vec<Ranked> {
    let mut ranked = Vec::with_capacity(candidates.len());
    let depth = depth_bound(candidates.iter().copied(), request.stream_kbps);
    for at in newest(candidates, request.seed) {
        let Some(candidate) = candidates.get(at as usize) else { continue };
        if is_open(candidate) && !request.avoid.contains(&candidate.offer.peer) {
            ranked.push((rank_of(candidate, request, depth), at));
        }
    }
    ranked
}

fn rank_of(candidate: &Candidate<'_>, request: &Request<'_>, depth: usize) -> u128 {
    let offer = candidate.offer;
    let covers = covers(offer, request.policy);
    let alone = candidate.vouched == Vouched::Once;
    let delay_ms = delay_ms(offer, candidate.rtt_ms.unwrap_or(RTT_MS_ASSUMED));
    let spare_bits = u32::BITS - spare(offer, request.stream_kbps, request.claim).leading_zeros();
    [
        (1, u64::from(!covers)),
        (2, u64::from(candidate.failures.min(3))),
        (1, u64::from(offer.chain.len() > depth)),
        (1, u64::from(alone)),
        (16, u64::from(delay_ms / DELAY_STEP_MS)),
        (8, u64::from(u32::BITS - spare_bits)),
        (64, spread(&request.own, &offer.peer, request.seed)),
    ]
    .into_iter()
    .fold(0, |rank: u128, (width, value)| (rank << width) | u128::from(value))
}

fn covers(offer: &Offer, policy: Policy) -> bool {
    offer.layers.max_spatial >= policy.max_spatial
        && offer.layers.max_temporal >= policy.max_temporal
        && offer.layers.max_quality >= policy.max_quality
}

pub(super) fn spread(own: &Fingerprint, peer: &Fingerprint, seed: u64) -> u64 {
    mix(mix(head(own) ^ seed) ^ head(peer))
}

fn head(peer: &Fingerprint) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = peer.0;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// The finalizer of splitmix64: every input bit moves about half of the output bits.
pub(super) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Indices of the newest offer of each peer, in no order. An open hash table, half full at most and keyed by the seed,
/// so that nobody can aim at one place of it; each place holds a tag of the peer beside the index, so that a miss
/// rarely reads an offer.
fn newest(candidates: &[Candidate<'_>], seed: u64) -> impl Iterator<Item = u32> {
    const EMPTY: (u32, u32) = (0, u32::MAX);
    let mut places = vec![EMPTY; (candidates.len() * 2).next_power_of_two().max(2)];
    let mask = places.len() - 1;
    for (candidate, at) in candidates.iter().zip(0_u32..) {
        let hash = mix(head(&candidate.offer.peer) ^ seed);
        let (tag, mut place) = ((hash >> 32) as u32, hash as usize & mask);
        loop {
            let (held_tag, held_at) = places[place];
            let held = candidates.get(held_at as usize);
            match held {
                Some(held) if held_tag != tag || held.offer.peer != candidate.offer.peer => place = (place + 1) & mask,
                Some(held) if held.offer.measured_at_unix_ms >= candidate.offer.measured_at_unix_ms => break,
                _ => {
                    places[place] = (tag, at);
                    break;
                }
            }
        }
    }
    places.into_iter().filter(|place| *place != EMPTY).map(|(_, at)| at)
}
