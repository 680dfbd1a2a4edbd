//! Capacity advertisements on their way from peer to peer, over the links that are there anyway.
//!
//! A node names to its neighbours what it holds; they ask for what they lack. So each advertisement crosses a link
//! once, however the links are laid.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use edge_alm::admission::whole_kbps;
use edge_alm::advert::{Accept, Advert, Book, Commitment, Novelty, Verified};
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
/// How long an address stays good after it was last heard of.
const HOPS_KEPT_MS: u64 = 60_000;
/// How far an epoch may jump: more than that is not news, but nonsense.
pub(crate) const MAX_EPOCHS_AHEAD: u64 = 64;

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
pub struct Neighbours(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    stream: StreamId,
    own: Fingerprint,
    book: Book,
    /// Whether the book's epoch is that of media seen here.
    epoch_known: bool,
    bundles: BTreeMap<Fingerprint, Bytes>,
    /// Where advertisers were said to listen, and when: good for longer than an offer, which ends with its epoch.
    hops: BTreeMap<Fingerprint, (u64, Vec<Hop>)>,
    links: BTreeMap<Fingerprint, Session>,
    spreader: Spreader<Fingerprint>,
    /// Links in the order in which notes are compared.
    turn: usize,
    mine: Option<Mine>,
    listeners: Vec<mpsc::Sender<Heard>>,
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
            hops: BTreeMap::new(),
            links: BTreeMap::new(),
            spreader: Spreader::new(System.array()),
            turn: 0,
            mine: None,
            listeners: Vec::new(),
        };
        Self(Arc::new(Mutex::new(inner)))
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
        self.lock().stream
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
        let mut inner = self.lock();
        match message {
            Message::OffersHeld { offers, .. } => inner.ask_for(session, &offers),
            Message::OffersWanted { wanted, .. } => inner.give(session, &wanted),
            Message::Offer { bundle, advert, .. } => inner.learn(session.peer().fingerprint(), &bundle, &advert),
            _ => {}
        }
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
        self.lock().hops.get(&peer).map_or_else(Vec::new, |(_, hops)| hops.clone())
    }

    /// No media comes any more: what the present epoch is, only neighbours can tell.
    pub fn lose_touch(&self) {
        self.lock().epoch_known = false;
    }

    /// No code panics while it holds this lock, so a poisoned one is as good as any.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn expire(&mut self) {
        let now_unix_ms = clock::unix_ms();
        self.book.expire(now_unix_ms);
        self.hops.retain(|_, (heard_ms, _)| now_unix_ms.saturating_sub(*heard_ms) < HOPS_KEPT_MS);
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

    fn give(&self, session: &Session, wanted: &[OfferWish]) {
        for wish in wanted {
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

    fn learn(&mut self, from: Fingerprint, bundle: &Bytes, json: &[u8]) {
        let digest = hash::sha256(&[json]);
        if self.spreader.intake(clock::now_ms(), from, &digest) != Intake::Examine {
            return;
        }
        match self.check(from, bundle, json) {
            Ok(Some(advertiser)) => {
                let Some(offer) = self.book.get(clock::unix_ms(), advertiser) else { return };
                let rank = offer.advert.statement().capacity.measured_at_unix_ms;
                if let Some(heard) = heard(from, advertiser, &offer.advert) {
                    self.say(&heard);
                }
                self.spread(Item { key: advertiser, rank, digest }, Some(from));
            }
            Ok(None) => {}
            // It may be good in another epoch or with a bundle that is still to come: it is not remembered as bad.
            Err(error) => tracing::debug!(%error, neighbour = %from, "an offer was refused"),
        }
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

    fn note_hops(&mut self, peer: Fingerprint, public: &PublicBundle, addresses: &[std::net::SocketAddr]) {
        if self.hops.len() >= MAX_BUNDLES && !self.hops.contains_key(&peer) {
            self.hops.pop_first();
        }
        // The key that the peer must prove is its bundle's, whatever its advertisement says.
        let transport_key = *public.transport();
        let hops = addresses.iter().map(|addr| Hop { addr: *addr, transport_key, fingerprint: peer }).collect();
        self.hops.insert(peer, (clock::unix_ms(), hops));
    }

    /// The advertiser of a new, verified advertisement.
    fn check(
        &mut self,
        from: Fingerprint,
        bundle: &Bytes,
        json: &[u8],
    ) -> Result<Option<Fingerprint>, Box<dyn std::error::Error + Send + Sync>> {
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
        let advertiser = public.fingerprint();
        if advertiser == self.own {
            return Ok(None);
        }
        let epoch = advert.statement().epoch;
        if !self.epoch_known {
            // Without media the neighbours' word for it must do; offers are fresh for half a minute only.
            self.book.rotate(epoch, clock::unix_ms(), &[]);
        }
        let novelty = self.book.offer(clock::unix_ms(), from, json, |_| Some(&public))?;
        if self.bundles.len() >= MAX_BUNDLES && !self.bundles.contains_key(&advertiser) {
            self.bundles.pop_first();
        }
        self.bundles.entry(advertiser).or_insert_with(|| public.to_bytes().into());
        if let Some(extension) = advert.extension() {
            self.note_hops(advertiser, &public, &extension.addresses);
        }
        Ok(matches!(novelty, Novelty::First | Novelty::Newer).then_some(advertiser))
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
        yields_ms: Some(extension.yields_ms).filter(|rtt_ms| *rtt_ms > 0),
    };
    Some(Heard { told_by, offer, commitments: capacity.sub_stream_commitments.as_slice().into() })
}

fn send(session: &Session, message: &Message) {
    if let Err(error) = session.try_send_control(&message.to_bytes()) {
        tracing::debug!(%error, "a word about offers was not sent");
    }
}
