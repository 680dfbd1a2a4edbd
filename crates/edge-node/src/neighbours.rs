//! Capacity advertisements on their way from peer to peer, over the links that are there anyway.
//!
//! A node names to its neighbours what it holds; they ask for what they lack. So each advertisement crosses a link
//! once, however the links are laid.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use edge_alm::admission::whole_kbps;
use edge_alm::advert::{
    self, Accept, Advert, Book, Candidate, Commitment, Examined, Novelty, OfferError, Screened, Verified,
};
use edge_alm::bucket::{Bucket, Rate};
use edge_alm::gossip::{Intake, Item, Spreader};
use edge_alm::mesh::Offer;
use edge_alm::path::{Descriptions, SubStreamPath};
use edge_crypto::random::System;
use edge_crypto::{Random, hash};
use edge_identity::PublicBundle;
use edge_net::Session;
use edge_wire::control::{BundleWish, MAX_OFFERS, Message, OfferId, OfferWish};
use edge_wire::id::{Epoch, Fingerprint, StreamId};
use tokio::sync::mpsc;

use crate::clock;
use crate::ticket::Hop;

/// Offers that may wait for one uplink; more are lost, and said again within 20 s.
const MAX_HEARD: usize = 256;
/// Links that offers travel over.
const MAX_LINKS: usize = 1024;
/// Public bundles remembered.
const MAX_BUNDLES: usize = 2048;
/// How long an address, and what an advertiser has paths of, stays good after it was last heard of.
const HOPS_KEPT_MS: u64 = 60_000;
/// How far an epoch may jump: more than that is not news, but nonsense.
pub(crate) const MAX_EPOCHS_AHEAD: u64 = 64;
/// Offers that one neighbour may have at once, and every second after that: one weighs 8 KiB, its wish 33 bytes.
const GIVEN: Rate = Rate::per_second(16, 128);
/// Signatures verified at once, and every second after that, whoever sends them.
const VERIFIED: Rate = Rate::per_second(128, 256);

/// Uplinks that hear of offers: one for the stream, and one for each sub-stream that it may be cut into.
const MAX_LISTENERS: usize = 16;

/// A verified offer and who told of it.
#[derive(Debug, Clone)]
pub struct Heard {
    /// The neighbour.
    pub told_by: Fingerprint,
    /// What is offered for the whole stream.
    pub offer: Offer,
    /// What is set aside for single paths.
    pub commitments: Arc<[Commitment]>,
}

impl Heard {
    /// What is offered for one path; `None` when all that there is goes to other paths.
    pub fn for_path(self, path: &SubStreamPath) -> Option<Offer> {
        let Self { offer, commitments, .. } = self;
        if path.is_whole() || commitments.is_empty() {
            return Some(offer);
        }
        match commitments.iter().find(|entry| entry.sub_stream_path.as_bytes() == path.as_bytes()) {
            Some(Commitment { uplink_budget_mbps, max_subscribers, .. }) => Some(Offer {
                uplink_kbps: u32::try_from(whole_kbps(*uplink_budget_mbps)).unwrap_or(u32::MAX),
                subscribers_max: u32::from(*max_subscribers),
                ..offer
            }),
            // Who carries fewer paths than any cut has begins another one for whoever asks.
            None => (commitments.len() < Descriptions::Two.leaves().len()).then_some(offer),
        }
    }
}

/// One node's neighbours and what they tell; clones share it.
#[derive(Debug, Clone)]
pub struct Neighbours(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    stream: StreamId,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    stream: StreamId,
    own: Fingerprint,
    book: Book,
    /// Whether the book's epoch is that of media seen here.
    epoch_known: bool,
    bundles: BTreeMap<Fingerprint, Bytes>,
    /// What advertisers said of themselves that is good for longer than an offer, which ends with its epoch.
    known: BTreeMap<Fingerprint, Known>,
    links: BTreeMap<Fingerprint, Session>,
    spreader: Spreader<Fingerprint>,
    /// Links in the order in which notes are compared.
    turn: usize,
    mine: Option<Mine>,
    listeners: Vec<mpsc::Sender<Heard>>,
    /// What each neighbour may still have; who comes again has no more than it left with.
    given: BTreeMap<Fingerprint, Bucket>,
    verified: Bucket,
}

/// What an advertiser said of itself.
#[derive(Debug)]
struct Known {
    heard_ms: u64,
    /// Where it listens.
    hops: Vec<Hop>,
    /// What it carries beside the whole stream.
    paths: Arc<[Commitment]>,
}

/// An advertisement whose signatures are to be verified.
struct Work {
    candidate: Box<Candidate>,
    public: PublicBundle,
    epoch: Epoch,
}

/// Why an advertisement was not taken.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Offer(#[from] OfferError),
    #[error(transparent)]
    Advert(#[from] advert::Error),
    #[error(transparent)]
    Bundle(#[from] edge_identity::bundle::Error),
}

/// This node's own advertisement.
#[derive(Debug)]
struct Mine {
    bundle: Bytes,
    json: Bytes,
}

impl Neighbours {
    /// No neighbours yet.
    pub fn new(stream: StreamId, own: Fingerprint) -> Self {
        let inner = Inner {
            stream,
            own,
            book: Book::new(stream, Epoch(0), Accept::Bound),
            epoch_known: false,
            bundles: BTreeMap::new(),
            known: BTreeMap::new(),
            links: BTreeMap::new(),
            spreader: Spreader::new(System.array()),
            turn: 0,
            mine: None,
            listeners: Vec::new(),
            given: BTreeMap::new(),
            verified: Bucket::new(VERIFIED, clock::now_ms()),
        };
        Self(Arc::new(Shared { stream, inner: Mutex::new(inner) }))
    }

    /// The end where offers come out from now on, those that are known already first. Beyond a bound of listeners it
    /// says nothing.
    pub fn listen(&self) -> mpsc::Receiver<Heard> {
        let (heard, offers) = mpsc::channel(MAX_HEARD);
        let mut inner = self.lock();
        inner.listeners.retain(|listener| !listener.is_closed());
        if inner.listeners.len() < MAX_LISTENERS {
            inner.known().into_iter().take(MAX_HEARD).for_each(|known| drop(heard.try_send(known)));
            inner.listeners.push(heard);
        }
        offers
    }

    /// The stream that offers are about.
    pub fn stream(&self) -> StreamId {
        self.0.stream
    }

    /// Whether `message` is about offers.
    pub fn takes(message: &Message) -> bool {
        matches!(message, Message::OffersHeld { .. } | Message::OffersWanted { .. } | Message::Offer { .. })
    }

    /// A link began: the peer hears what is held here.
    pub fn join(&self, session: &Session) {
        let mut inner = self.lock();
        if inner.links.len() < MAX_LINKS {
            let now_ms = clock::now_ms();
            let peer = session.peer().fingerprint();
            inner.links.insert(peer, session.clone());
            let held = inner.spreader.connected(now_ms, peer);
            inner.tell(session, &held);
        }
    }

    /// A link ended.
    pub fn leave(&self, session: &Session) {
        let mut inner = self.lock();
        let peer = session.peer().fingerprint();
        let present = inner.links.get(&peer).is_some_and(|link| link.same_as(session));
        if present {
            inner.links.remove(&peer);
            inner.spreader.disconnected(peer);
        }
    }

    /// Takes what the peer at the other end of `session` says about offers.
    pub fn hear(&self, session: &Session, message: Message) {
        match message {
            Message::OffersHeld { offers, .. } => self.lock().ask_for(session, &offers),
            Message::OffersWanted { wanted, .. } => self.lock().give(session, wanted),
            Message::Offer { bundle, advert, .. } => {
                let from = session.peer().fingerprint();
                // It may be good in another epoch or with a bundle that is still to come: it is not remembered as bad.
                if let Err(error) = self.learn(from, &bundle, &advert) {
                    tracing::debug!(%error, neighbour = %from, "an offer was refused");
                }
            }
            _ => {}
        }
    }

    /// Takes an advertisement; the advertiser, if it is a new one. Signatures are verified while nobody waits for it.
    fn learn(&self, from: Fingerprint, bundle: &Bytes, json: &[u8]) -> Result<Option<Fingerprint>, Refused> {
        let Some(work) = self.lock().prepare(from, bundle, json)? else { return Ok(None) };
        let examined = work.candidate.verify(&work.public);
        self.lock().conclude(from, (work.public, work.epoch), examined)
    }

    /// Media of this epoch came by. `parents` are believed for a while with what they said in the epoch before.
    pub fn turn(&self, epoch: Epoch, parents: &[Fingerprint]) {
        let mut inner = self.lock();
        let have = inner.book.epoch();
        let ahead = epoch.0.saturating_sub(have.0);
        if !inner.epoch_known || (epoch > have && ahead <= MAX_EPOCHS_AHEAD) {
            inner.book.rotate(epoch, clock::unix_ms(), parents);
        }
        inner.epoch_known = true;
    }

    /// The epoch that offers must be about.
    pub fn epoch(&self) -> Epoch {
        self.lock().book.epoch()
    }

    /// Spreads this node's own advertisement.
    pub fn publish(&self, bundle: &PublicBundle, advert: &Advert) {
        let mut inner = self.lock();
        let item =
            Item { key: inner.own, rank: advert.statement().capacity.measured_at_unix_ms, digest: advert.digest() };
        inner.mine = Some(Mine { bundle: bundle.to_bytes().into(), json: Bytes::copy_from_slice(advert.json()) });
        inner.spread(item, None);
    }

    /// Once a second or so: forgets what is stale, and compares notes with one neighbour.
    pub fn tick(&self) {
        let mut inner = self.lock();
        inner.expire();
        let count = inner.links.len().max(1);
        inner.turn = (inner.turn + 1) % count;
        let Some(session) = inner.links.values().nth(inner.turn).cloned() else { return };
        let held = inner.spreader.freshest(MAX_OFFERS);
        inner.tell(&session, &held);
    }

    /// Where the advertiser `peer` listens.
    pub fn hops(&self, peer: Fingerprint) -> Vec<Hop> {
        self.lock().known.get(&peer).map_or_else(Vec::new, |known| known.hops.clone())
    }

    /// Whether the advertiser `peer` said that it carries `path` of the stream; `None` when it was not heard of lately.
    pub fn carries(&self, peer: Fingerprint, path: &SubStreamPath) -> Option<bool> {
        let inner = self.lock();
        let paths = &inner.known.get(&peer)?.paths;
        Some(paths.iter().any(|entry| entry.sub_stream_path.as_bytes() == path.as_bytes()))
    }

    /// No media comes any more: what the present epoch is, only neighbours can tell.
    pub fn lose_touch(&self) {
        self.lock().epoch_known = false;
    }

    /// No code panics while it holds this lock, so a poisoned one is as good as any.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn expire(&mut self) {
        let now_unix_ms = clock::unix_ms();
        self.book.expire(now_unix_ms);
        self.known.retain(|_, known| now_unix_ms.saturating_sub(known.heard_ms) < HOPS_KEPT_MS);
        let gone: Vec<Fingerprint> = self
            .spreader
            .freshest(edge_alm::gossip::KEYS_MAX)
            .iter()
            .map(|item| item.key)
            .filter(|peer| *peer != self.own && self.book.get(now_unix_ms, *peer).is_none())
            .collect();
        gone.iter().for_each(|peer| self.spreader.forget(peer));
    }

    fn tell(&self, session: &Session, held: &[Item<Fingerprint>]) {
        let peer = session.peer().fingerprint();
        let id = |item: &Item<Fingerprint>| OfferId { peer: item.key, measured_at_unix_ms: item.rank };
        let offers: Vec<OfferId> = held.iter().filter(|item| item.key != peer).map(id).take(MAX_OFFERS).collect();
        if !offers.is_empty() {
            send(session, &Message::OffersHeld { stream: self.stream, offers });
        }
    }

    fn ask_for(&self, session: &Session, offers: &[OfferId]) {
        let others = offers.iter().filter(|offer| offer.peer != self.own);
        let held: Vec<(Fingerprint, u64)> = others.map(|offer| (offer.peer, offer.measured_at_unix_ms)).collect();
        let wish = |peer: Fingerprint| OfferWish {
            peer,
            bundle: if self.bundles.contains_key(&peer) { BundleWish::Known } else { BundleWish::Needed },
        };
        let wanted: Vec<OfferWish> = self.spreader.wanted(&held).into_iter().map(wish).take(MAX_OFFERS).collect();
        if !wanted.is_empty() {
            send(session, &Message::OffersWanted { stream: self.stream, wanted });
        }
    }

    /// The wishes of `peer` that are granted, each offer once.
    fn granted(&mut self, peer: Fingerprint, mut wanted: Vec<OfferWish>) -> Vec<OfferWish> {
        let now_ms = clock::now_ms();
        if self.given.len() >= MAX_LINKS && !self.given.contains_key(&peer) {
            self.given.retain(|_, left| !left.is_full(now_ms));
        }
        if self.given.len() >= MAX_LINKS && !self.given.contains_key(&peer) {
            return Vec::new();
        }
        let left = self.given.entry(peer).or_insert_with(|| Bucket::new(GIVEN, now_ms));
        let mut named = BTreeSet::new();
        wanted.retain(|wish| named.insert(wish.peer) && left.take(now_ms));
        wanted
    }

    fn give(&mut self, session: &Session, wanted: Vec<OfferWish>) {
        for wish in self.granted(session.peer().fingerprint(), wanted) {
            let found = match &self.mine {
                Some(mine) if wish.peer == self.own => Some((mine.bundle.clone(), mine.json.clone())),
                _ => self.book.get(clock::unix_ms(), wish.peer).and_then(|offer| {
                    let bundle = self.bundles.get(&wish.peer)?.clone();
                    Some((bundle, Bytes::copy_from_slice(offer.advert.json())))
                }),
            };
            let Some((bundle, advert)) = found else { continue };
            let bundle = if wish.bundle == BundleWish::Needed { bundle } else { Bytes::new() };
            send(session, &Message::Offer { stream: self.stream, bundle, advert });
        }
    }

    /// What is to be verified of an advertisement, if anything is.
    fn prepare(&mut self, from: Fingerprint, bundle: &Bytes, json: &[u8]) -> Result<Option<Work>, Refused> {
        let digest = hash::sha256(&[json]);
        if self.spreader.intake(clock::now_ms(), from, &digest) != Intake::Examine {
            return Ok(None);
        }
        let advert = Advert::parse(json)?;
        let stated = advert.extension().and_then(|extension| extension.chain.last().copied());
        let public = match (bundle.is_empty(), stated) {
            (false, _) => PublicBundle::parse(bundle)?,
            (true, Some(advertiser)) => match self.bundles.get(&advertiser) {
                Some(known) => PublicBundle::parse(known)?,
                None => return Ok(None),
            },
            (true, None) => return Ok(None),
        };
        if public.fingerprint() == self.own {
            return Ok(None);
        }
        if !self.verified.has_one(clock::now_ms()) {
            return Err(OfferError::RateLimited.into());
        }
        let epoch = advert.statement().epoch;
        let screened = match self.epoch_known || epoch == self.book.epoch() {
            true => self.book.screen(clock::unix_ms(), from, json, |_| Some(&public)),
            // Without media the neighbours' word for the epoch must do, if it is signed by who is said to give it;
            // offers are fresh for half a minute only.
            false => {
                let mut book = Book::new(self.stream, epoch, Accept::Bound);
                book.screen(clock::unix_ms(), from, json, |_| Some(&public))
            }
        };
        match screened? {
            Screened::Unverified(candidate) => {
                self.verified.take(clock::now_ms());
                Ok(Some(Work { candidate, public, epoch }))
            }
            // These were not verified: nothing that they say counts.
            Screened::Settled(_) => Ok(None),
        }
    }

    /// Takes what was verified, and tells of it.
    fn conclude(
        &mut self,
        from: Fingerprint,
        (public, epoch): (PublicBundle, Epoch),
        examined: Examined,
    ) -> Result<Option<Fingerprint>, Refused> {
        if !self.epoch_known && epoch != self.book.epoch() && examined.is_verified() {
            self.book.rotate(epoch, clock::unix_ms(), &[]);
        }
        let advertiser = public.fingerprint();
        match self.book.settle(clock::unix_ms(), examined)? {
            Novelty::First | Novelty::Newer => self.note(advertiser, &public),
            Novelty::Known | Novelty::Older => return Ok(None),
        }
        let Some(offer) = self.book.get(clock::unix_ms(), advertiser) else { return Ok(None) };
        let rank = offer.advert.statement().capacity.measured_at_unix_ms;
        let digest = offer.advert.digest();
        if let Some(heard) = heard(from, advertiser, &offer.advert) {
            self.say(&heard);
        }
        self.spread(Item { key: advertiser, rank, digest }, Some(from));
        Ok(Some(advertiser))
    }

    /// Tells every listener of an offer.
    fn say(&self, heard: &Heard) {
        for listener in &self.listeners {
            if let Err(mpsc::error::TrySendError::Full(_)) = listener.try_send(heard.clone()) {
                tracing::debug!("an offer found no room; it is said again");
            }
        }
    }

    /// Every offer that stands; the advertisers themselves count as those who told of them.
    fn known(&self) -> Vec<Heard> {
        let now_unix_ms = clock::unix_ms();
        let peers = self.spreader.freshest(edge_alm::gossip::KEYS_MAX).into_iter().map(|item| item.key);
        let others = peers.filter(|peer| *peer != self.own);
        others.filter_map(|peer| heard(peer, peer, &self.book.get(now_unix_ms, peer)?.advert)).collect()
    }

    /// Remembers what a verified advertisement says of its advertiser.
    fn note(&mut self, peer: Fingerprint, public: &PublicBundle) {
        if self.bundles.len() >= MAX_BUNDLES && !self.bundles.contains_key(&peer) {
            let unused = self.bundles.keys().find(|other| self.book.get(clock::unix_ms(), **other).is_none());
            unused.copied().map(|other| self.bundles.remove(&other));
        }
        self.bundles.entry(peer).or_insert_with(|| public.to_bytes().into());
        let heard_ms = clock::unix_ms();
        let Some(offer) = self.book.get(heard_ms, peer) else { return };
        let Some(extension) = offer.advert.extension() else { return };
        // The key that the peer must prove is its bundle's, whatever its advertisement says.
        let transport_key = *public.transport();
        let hop = |addr: &std::net::SocketAddr| Hop { addr: *addr, transport_key, fingerprint: peer };
        let hops = extension.addresses.iter().map(hop).collect();
        let paths = offer.advert.statement().capacity.sub_stream_commitments.as_slice().into();
        if self.known.len() >= MAX_BUNDLES && !self.known.contains_key(&peer) {
            let oldest = self.known.iter().min_by_key(|(_, known)| known.heard_ms).map(|(other, _)| *other);
            oldest.map(|other| self.known.remove(&other));
        }
        self.known.insert(peer, Known { heard_ms, hops, paths });
    }

    /// Names a new offer to a few neighbours; the others hear of it when they compare notes.
    fn spread(&mut self, item: Item<Fingerprint>, from: Option<Fingerprint>) {
        for peer in self.spreader.learned(item, from) {
            if let Some(session) = self.links.get(&peer) {
                self.tell(session, &[item]);
            }
        }
    }
}

/// What planners need to know; `None` while the advertiser itself has no way to the publisher.
fn heard(told_by: Fingerprint, peer: Fingerprint, advert: &Verified) -> Option<Heard> {
    let extension = advert.extension().filter(|extension| !extension.chain.is_empty())?;
    let capacity = &advert.statement().capacity;
    let offer = Offer {
        peer,
        measured_at_unix_ms: capacity.measured_at_unix_ms,
        uplink_kbps: u32::try_from(whole_kbps(capacity.uplink_mbps)).unwrap_or(u32::MAX),
        subscribers_max: capacity.max_subscribers_per_stream.into(),
        subscribers: extension.subscribers.into(),
        layers: capacity.max_layer_supported,
        chain: extension.chain.clone(),
        delay_ms: Some(extension.delay_ms).filter(|delay_ms| *delay_ms > 0),
        yields: extension.yields,
    };
    Some(Heard { told_by, offer, commitments: capacity.sub_stream_commitments.as_slice().into() })
}

fn send(session: &Session, message: &Message) {
    if let Err(error) = session.try_send_control(&message.to_bytes()) {
        tracing::debug!(%error, "a word about offers was not sent");
    }
}

#[cfg(test)]
mod tests {
    use edge_alm::advert::{Capacity, Extension, Statement};
    use edge_identity::bundle::KeyBundle;
    use edge_wire::id::KeyId;
    use edge_wire::layer::Policy;

    use super::*;

    const STREAM: StreamId = StreamId([1; 32]);
    const NEIGHBOUR: Fingerprint = Fingerprint([3; 32]);

    fn neighbours() -> Neighbours {
        Neighbours::new(STREAM, Fingerprint([2; 32]))
    }

    fn bundle() -> KeyBundle {
        KeyBundle::generate(Some(KeyId::new("x").unwrap()), &mut System).unwrap()
    }

    /// What `signer` says under the name and the fingerprint of `of`, some time ago.
    fn advert(signer: &KeyBundle, of: &KeyBundle, epoch: u64, (ago_ms, port): (u64, u16)) -> Advert {
        let commitment = |path: &SubStreamPath| Commitment {
            sub_stream_path: (*path).into(),
            uplink_budget_mbps: 1.0,
            max_subscribers: 4,
        };
        let capacity = Capacity {
            uplink_mbps: 10.0,
            max_streams: 1,
            max_subscribers_per_stream: 4,
            measured_at_unix_ms: clock::unix_ms() - ago_ms,
            max_layer_supported: Policy::UNCAPPED,
            sub_stream_commitments: Descriptions::Two.leaves().iter().map(commitment).collect(),
        };
        let extension = Extension {
            sequence: 1,
            subscribers: 0,
            delay_ms: 0,
            yields: edge_alm::seats::Yields::default(),
            chain: vec![of.fingerprint()],
            addresses: vec![([127, 0, 0, 1], port).into()],
            transport_key: *of.public().transport(),
        };
        let advertiser = of.key_id().clone();
        Advert::sign(Statement { advertiser, capacity, stream: STREAM, epoch: Epoch(epoch) }, extension, signer)
            .unwrap()
    }

    fn check(neighbours: &Neighbours, of: &KeyBundle, advert: &Advert) -> Option<Fingerprint> {
        let public = of.public().to_bytes().into();
        // Whoever is no neighbour sends nothing.
        neighbours.lock().spreader.connected(clock::now_ms(), NEIGHBOUR);
        neighbours.learn(NEIGHBOUR, &public, advert.json()).ok().flatten()
    }

    #[test]
    fn wishes_that_are_repeated_or_have_no_end_are_not_granted() {
        let neighbours = neighbours();
        let wish = |number: u8| OfferWish { peer: Fingerprint([number; 32]), bundle: BundleWish::Needed };
        let mut inner = neighbours.lock();
        assert_eq!(inner.granted(NEIGHBOUR, vec![wish(9); 64]).len(), 1);
        let many = (0..100).map(|_| inner.granted(NEIGHBOUR, (0..64).map(wish).collect()).len());
        assert!((127..200).contains(&many.sum::<usize>()), "a burst, and little more at once");
        assert_eq!(inner.granted(Fingerprint([4; 32]), vec![wish(9)]).len(), 1, "others have their own");
    }

    #[test]
    fn a_forged_epoch_does_not_turn_the_book_of_a_node_out_of_touch() {
        let (neighbours, of, forger) = (neighbours(), bundle(), bundle());
        assert_eq!(check(&neighbours, &of, &advert(&forger, &of, 900, (0, 1))), None);
        assert_eq!(neighbours.epoch(), Epoch(0));
        assert_eq!(check(&neighbours, &of, &advert(&of, &of, 7, (0, 1))), Some(of.fingerprint()));
        assert_eq!(neighbours.epoch(), Epoch(7));
    }

    #[test]
    fn an_older_offer_that_was_never_verified_moves_nobody() {
        let (neighbours, of, forger) = (neighbours(), bundle(), bundle());
        assert_eq!(check(&neighbours, &of, &advert(&of, &of, 7, (0, 1))), Some(of.fingerprint()));
        assert_eq!(check(&neighbours, &of, &advert(&forger, &of, 7, (5_000, 666))), None);
        let ports: Vec<u16> = neighbours.hops(of.fingerprint()).iter().map(|hop| hop.addr.port()).collect();
        assert_eq!(ports, [1]);
    }

    #[test]
    fn nobody_waits_for_a_signature_and_the_newest_counts_whenever_it_is_verified() {
        let (neighbours, of) = (neighbours(), bundle());
        neighbours.lock().spreader.connected(clock::now_ms(), NEIGHBOUR);
        let public: Bytes = of.public().to_bytes().into();
        let prepare = |advert: &Advert| {
            let work = neighbours.lock().prepare(NEIGHBOUR, &public, advert.json()).unwrap();
            work.expect("something to verify")
        };
        let older = prepare(&advert(&of, &of, 7, (5_000, 1)));
        let newer = prepare(&advert(&of, &of, 7, (0, 2)));
        // Two are being verified, and everything else goes on.
        assert_eq!(neighbours.epoch(), Epoch(0));
        let conclude = |work: Work| {
            let examined = work.candidate.verify(&work.public);
            neighbours.lock().conclude(NEIGHBOUR, (work.public, work.epoch), examined).unwrap()
        };
        assert_eq!(conclude(newer), Some(of.fingerprint()));
        assert_eq!(conclude(older), None);
        let ports: Vec<u16> = neighbours.hops(of.fingerprint()).iter().map(|hop| hop.addr.port()).collect();
        assert_eq!((ports, neighbours.epoch()), (vec![2], Epoch(7)));
    }

    #[test]
    fn no_more_signatures_are_verified_than_the_node_affords() {
        let (neighbours, of) = (neighbours(), bundle());
        neighbours.lock().verified = Bucket::new(Rate::per_second(0, 1), 0);
        assert_eq!(check(&neighbours, &of, &advert(&of, &of, 0, (0, 1))), Some(of.fingerprint()));
        let other = bundle();
        assert_eq!(check(&neighbours, &other, &advert(&other, &other, 0, (0, 1))), None);
    }

    #[test]
    fn what_an_advertiser_carries_is_known_beyond_the_epoch() {
        let (neighbours, of) = (neighbours(), bundle());
        let path = |bytes: &[u8]| SubStreamPath::new(bytes).unwrap();
        assert_eq!(neighbours.carries(of.fingerprint(), &path(&[0])), None);
        check(&neighbours, &of, &advert(&of, &of, 7, (0, 1)));
        neighbours.turn(Epoch(9), &[]);
        let leaves = Descriptions::Four.leaves();
        assert_eq!(neighbours.carries(of.fingerprint(), &path(&[0])), Some(true));
        assert_eq!(neighbours.carries(of.fingerprint(), &leaves[0]), Some(false), "it is cut in two");
    }
}
