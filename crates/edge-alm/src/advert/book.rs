//! The verified advertisements of one stream: the newest of each advertiser.

use std::collections::{BTreeMap, HashMap};

use edge_crypto::hash::sha256;
use edge_crypto::sign::ED25519_PUBLIC_LEN;
use edge_identity::PublicBundle;
use edge_wire::id::{Epoch, Fingerprint, KeyId, StreamId};

use super::json::DecodeError;
use super::{Advert, Error, Extension, JSON_LEN_MAX, PublicKeys, Statement, Verified};
use crate::bucket::{Bucket, Rate};
use crate::recent::Recent;

/// Most advertisers of one stream.
pub const ADVERTISERS_MAX: usize = 1024;
/// How long advertisements of the epoch before the present one still count for parents, in ms.
pub const PREVIOUS_EPOCH_MS: u64 = 5_000;
/// Most refused advertisements that are remembered, so that they are not verified again.
pub const REFUSED_KEPT_MAX: usize = 1024;
/// Most rates that are kept: one for each neighbour, and one for each advertiser that it tells of.
pub const BUCKETS_MAX: usize = 8192;

/// Verifications for one advertiser, by who tells of it: a neighbour that tells junk under another's name spends its
/// own tokens, not those of the others.
const PER_ADVERTISER: Rate = Rate::per_second(1, 2);
/// Verifications for one neighbour.
const PER_NEIGHBOUR: Rate = Rate::per_second(64, 256);

/// Why an advertisement did not enter the book.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OfferError {
    /// It cannot be read, is not fresh, says what nobody can carry, or is not signed by its advertiser.
    #[error("advertisement refused")]
    Advert(#[from] Error),
    /// The directory does not know the advertiser.
    #[error("advertiser is not in the directory")]
    UnknownAdvertiser,
    /// It is about another stream.
    #[error("advertisement is about another stream")]
    OtherStream,
    /// It is about an epoch that does not count.
    #[error("advertisement is about epoch {got}", got = got.0)]
    OtherEpoch {
        /// Its epoch.
        got: Epoch,
    },
    /// Nothing in it is bound to who is said to have made it.
    #[error("advertisement does not bind its advertiser")]
    Unbound,
    /// The chain that it states ends in somebody else.
    #[error("chain does not end in the advertiser")]
    ForeignChain,
    /// Its key already signs under another name.
    #[error("signing key is in use by another advertiser")]
    SharedKey,
    /// The neighbour tells too much: drop it, it will be offered again.
    #[error("more advertisements than may be verified")]
    RateLimited,
    /// There are [`ADVERTISERS_MAX`] fresh ones.
    #[error("no room for another advertiser")]
    Full,
}

/// Which advertisements a book takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accept {
    /// Only those whose extension binds them to their advertiser.
    Bound,
    /// Others as well. One that is bound takes a key over from one that is not.
    Any,
}

/// What an advertisement meant to the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Novelty {
    /// The first one of its advertiser.
    First,
    /// Took the place of an older one.
    Newer,
    /// Exactly the one that the book holds.
    Known,
    /// The book holds a newer one, or another one of the same time.
    Older,
}

/// An advertisement that the book holds.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Who makes it.
    pub advertiser: Fingerprint,
    /// What it says.
    pub advert: Verified,
    key: [u8; ED25519_PUBLIC_LEN],
    /// The neighbour that told of it.
    told_by: Fingerprint,
}

/// What the cheap checks say of an advertisement.
#[derive(Debug)]
pub enum Screened {
    /// There is nothing to verify.
    Settled(Novelty),
    /// Its signatures are to be verified, which takes a while and needs no book.
    Unverified(Box<Candidate>),
}

/// An advertisement that passed the cheap checks.
#[derive(Debug)]
pub struct Candidate {
    advert: Advert,
    advertiser: Fingerprint,
    key: [u8; ED25519_PUBLIC_LEN],
    told_by: Fingerprint,
    attempt: [u8; 32],
}

/// What became of its signatures.
#[derive(Debug)]
pub struct Examined {
    outcome: Result<Offer, Error>,
    attempt: [u8; 32],
}

impl Examined {
    /// Whether the signatures fit.
    pub fn is_verified(&self) -> bool {
        self.outcome.is_ok()
    }
}

impl Candidate {
    /// Verifies the signatures with the bundle of before.
    pub fn verify(self, bundle: &PublicBundle) -> Examined {
        let Self { advert, advertiser, key, told_by, attempt } = self;
        let verified = match bundle.fingerprint() == advertiser {
            true => advert.verify(PublicKeys::Bundle(bundle)),
            false => Err(Error::SignatureInvalid),
        };
        Examined { outcome: verified.map(|advert| Offer { advertiser, advert, key, told_by }), attempt }
    }
}

/// The newest verified advertisement of each advertiser, for one stream and its present epoch.
#[derive(Debug)]
pub struct Book {
    stream: StreamId,
    epoch: Epoch,
    previous: Option<Previous>,
    accept: Accept,
    offers: BTreeMap<Fingerprint, Offer>,
    by_digest: HashMap<[u8; 32], Fingerprint>,
    by_key: HashMap<[u8; ED25519_PUBLIC_LEN], Fingerprint>,
    refused: Recent<[u8; 32]>,
    buckets: HashMap<(Fingerprint, Option<Fingerprint>), Bucket>,
    room: usize,
}

/// The epoch before the present one, and for whom it still counts.
#[derive(Debug)]
struct Previous {
    epoch: Epoch,
    until_unix_ms: u64,
    parents: Vec<Fingerprint>,
}

impl Book {
    /// An empty book for a stream and its present epoch.
    pub fn new(stream: StreamId, epoch: Epoch, accept: Accept) -> Self {
        Self {
            stream,
            epoch,
            previous: None,
            accept,
            offers: BTreeMap::new(),
            by_digest: HashMap::new(),
            by_key: HashMap::new(),
            refused: Recent::new(REFUSED_KEPT_MAX),
            buckets: HashMap::new(),
            room: ADVERTISERS_MAX,
        }
    }

    /// The same with room for so many advertisers, at most [`ADVERTISERS_MAX`].
    #[must_use]
    pub fn with_room(self, advertisers: usize) -> Self {
        Self { room: advertisers.min(ADVERTISERS_MAX), ..self }
    }

    /// Takes an advertisement that the neighbour `from` told of; `lookup` finds the bundle that its advertiser's name
    /// stands for. Whatever is cheap is checked before any signature.
    pub fn offer<'k>(
        &mut self,
        now_unix_ms: u64,
        from: Fingerprint,
        json: &[u8],
        lookup: impl FnOnce(&KeyId) -> Option<&'k PublicBundle>,
    ) -> Result<Novelty, OfferError> {
        let mut bundle = None;
        let screened = self.screen(now_unix_ms, from, json, |name| {
            bundle = lookup(name);
            bundle
        })?;
        match (screened, bundle) {
            (Screened::Settled(novelty), _) => Ok(novelty),
            (Screened::Unverified(candidate), Some(bundle)) => self.settle(now_unix_ms, candidate.verify(bundle)),
            (Screened::Unverified(_), None) => Err(OfferError::UnknownAdvertiser),
        }
    }

    /// The first half of [`offer`](Self::offer): whatever is cheap.
    pub fn screen<'k>(
        &mut self,
        now_unix_ms: u64,
        from: Fingerprint,
        json: &[u8],
        lookup: impl FnOnce(&KeyId) -> Option<&'k PublicBundle>,
    ) -> Result<Screened, OfferError> {
        if json.len() > JSON_LEN_MAX {
            return Err(Error::from(DecodeError::TooLong { got: json.len() }).into());
        }
        let digest = sha256(&[json]);
        if self.by_digest.contains_key(&digest) {
            return Ok(Screened::Settled(Novelty::Known));
        }
        let advert = Advert::parse(json)?;
        let name = &advert.statement().advertiser;
        let bundle = lookup(name).filter(|found| found.key_id() == name).ok_or(OfferError::UnknownAdvertiser)?;
        let (advertiser, key) = (bundle.fingerprint(), *bundle.verifying().ed25519());
        let bound = advert.extension().is_some();
        self.check_cheap(now_unix_ms, advertiser, advert.statement(), advert.extension())?;
        if self.is_older(advertiser, advert_rank(&advert)) {
            return Ok(Screened::Settled(Novelty::Older));
        }
        self.check_key(now_unix_ms, advertiser, key, bound)?;
        self.find_room(now_unix_ms, advertiser, from)?;
        // Refused under these keys: the same bytes may well verify under those of the true advertiser.
        let attempt = sha256(&[&advertiser.0, &advert.digest()]);
        if self.refused.contains(&attempt) {
            return Err(Error::SignatureInvalid.into());
        }
        let allowed = self.take(now_unix_ms, (from, None), PER_NEIGHBOUR)
            && self.take(now_unix_ms, (from, Some(advertiser)), PER_ADVERTISER);
        match allowed {
            true => Ok(Screened::Unverified(Box::new(Candidate { advert, advertiser, key, told_by: from, attempt }))),
            false => Err(OfferError::RateLimited),
        }
    }

    /// The second half: takes what verified, unless something happened meanwhile that speaks against it.
    pub fn settle(&mut self, now_unix_ms: u64, examined: Examined) -> Result<Novelty, OfferError> {
        let offer = examined.outcome.inspect_err(|_| _ = self.refused.insert(examined.attempt))?;
        let (statement, extension) = (offer.advert.statement(), offer.advert.extension());
        self.check_cheap(now_unix_ms, offer.advertiser, statement, extension)?;
        if self.is_older(offer.advertiser, rank(statement, extension)) {
            return Ok(Novelty::Older);
        }
        self.check_key(now_unix_ms, offer.advertiser, offer.key, extension.is_some())?;
        if let Some(crowded) = self.find_room(now_unix_ms, offer.advertiser, offer.told_by)? {
            self.remove(crowded);
        }
        let novelty = if self.offers.contains_key(&offer.advertiser) { Novelty::Newer } else { Novelty::First };
        self.insert(offer);
        Ok(novelty)
    }

    fn is_older(&self, advertiser: Fingerprint, offered: (Epoch, u64, Option<u64>)) -> bool {
        let held = self.offers.get(&advertiser);
        held.is_some_and(|held| rank(held.advert.statement(), held.advert.extension()) >= offered)
    }

    /// Turns to a new epoch. Of the one before, what `parents` said counts for [`PREVIOUS_EPOCH_MS`]; the rest goes.
    pub fn rotate(&mut self, epoch: Epoch, now_unix_ms: u64, parents: &[Fingerprint]) {
        if epoch == self.epoch {
            return;
        }
        let follows = self.epoch.0.checked_add(1) == Some(epoch.0);
        self.previous = follows.then(|| Previous {
            epoch: self.epoch,
            until_unix_ms: now_unix_ms.saturating_add(PREVIOUS_EPOCH_MS),
            parents: parents.to_vec(),
        });
        self.epoch = epoch;
        self.drop_unless(|book, offer| book.counts(now_unix_ms, offer.advertiser, offer.advert.statement().epoch));
    }

    /// Advertisements that count at `now_unix_ms`, by advertiser.
    pub fn fresh(&self, now_unix_ms: u64) -> impl Iterator<Item = &Offer> {
        self.offers.values().filter(move |offer| self.is_fresh(now_unix_ms, offer))
    }

    /// The advertisement of one advertiser, if it counts at `now_unix_ms`.
    pub fn get(&self, now_unix_ms: u64, advertiser: Fingerprint) -> Option<&Offer> {
        self.offers.get(&advertiser).filter(|offer| self.is_fresh(now_unix_ms, offer))
    }

    /// Forgets what does not count any more.
    pub fn expire(&mut self, now_unix_ms: u64) {
        self.drop_unless(|book, offer| book.is_fresh(now_unix_ms, offer));
    }

    /// The stream.
    pub fn stream(&self) -> StreamId {
        self.stream
    }

    /// The present epoch.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn check_cheap(
        &self,
        now_unix_ms: u64,
        advertiser: Fingerprint,
        statement: &Statement,
        extension: Option<&Extension>,
    ) -> Result<(), OfferError> {
        if statement.stream != self.stream {
            return Err(OfferError::OtherStream);
        }
        if !self.counts(now_unix_ms, advertiser, statement.epoch) {
            return Err(OfferError::OtherEpoch { got: statement.epoch });
        }
        statement.capacity.check_time(now_unix_ms)?;
        statement.capacity.check()?;
        match extension {
            None if self.accept == Accept::Bound => Err(OfferError::Unbound),
            Some(extension) if extension.chain.last().is_some_and(|last| *last != advertiser) => {
                Err(OfferError::ForeignChain)
            }
            _ => Ok(()),
        }
    }

    /// One key under two names lets a statement be shown as somebody else's, unless one of the two is bound.
    fn check_key(
        &self,
        now_unix_ms: u64,
        advertiser: Fingerprint,
        key: [u8; ED25519_PUBLIC_LEN],
        bound: bool,
    ) -> Result<(), OfferError> {
        let owner = self.by_key.get(&key).filter(|owner| **owner != advertiser);
        let offer = owner.and_then(|owner| self.get(now_unix_ms, *owner));
        let owner_bound = offer.map(|offer| offer.advert.extension().is_some());
        match owner_bound {
            None => Ok(()),
            Some(false) if bound => Ok(()),
            Some(_) => Err(OfferError::SharedKey),
        }
    }

    /// Makes sure that there is room for an advertiser that `from` tells of; gives back who has to go for it. Whoever
    /// told of the most pays, unless that is the one who brings more.
    fn find_room(
        &mut self,
        now_unix_ms: u64,
        advertiser: Fingerprint,
        from: Fingerprint,
    ) -> Result<Option<Fingerprint>, OfferError> {
        let is_full = |book: &Self| book.offers.len() >= book.room && !book.offers.contains_key(&advertiser);
        if is_full(self) {
            self.expire(now_unix_ms);
        }
        if !is_full(self) {
            return Ok(None);
        }
        let mut told: BTreeMap<Fingerprint, usize> = BTreeMap::new();
        self.offers.values().for_each(|offer| *told.entry(offer.told_by).or_default() += 1);
        let own = told.get(&from).copied().unwrap_or(0);
        let loudest = told.into_iter().max_by_key(|(_, count)| *count).filter(|(_, count)| *count > own + 1);
        let (loudest, _) = loudest.ok_or(OfferError::Full)?;
        let theirs = self.offers.values().filter(|offer| offer.told_by == loudest);
        let oldest = theirs.min_by_key(|offer| offer.advert.statement().capacity.measured_at_unix_ms);
        Ok(oldest.map(|offer| offer.advertiser))
    }

    fn take(&mut self, now_ms: u64, of: (Fingerprint, Option<Fingerprint>), rate: Rate) -> bool {
        if self.buckets.len() >= BUCKETS_MAX && !self.buckets.contains_key(&of) {
            self.buckets.retain(|_, bucket| !bucket.is_full(now_ms));
        }
        let room = self.buckets.len() < BUCKETS_MAX || self.buckets.contains_key(&of);
        room && self.buckets.entry(of).or_insert_with(|| Bucket::new(rate, now_ms)).take(now_ms)
    }

    fn insert(&mut self, offer: Offer) {
        if let Some(owner) = self.by_key.get(&offer.key).copied() {
            self.remove(owner);
        }
        self.remove(offer.advertiser);
        self.by_digest.insert(offer.advert.digest(), offer.advertiser);
        self.by_key.insert(offer.key, offer.advertiser);
        self.offers.insert(offer.advertiser, offer);
    }

    fn remove(&mut self, advertiser: Fingerprint) {
        if let Some(offer) = self.offers.remove(&advertiser) {
            self.by_digest.remove(&offer.advert.digest());
            self.by_key.remove(&offer.key);
        }
    }

    fn drop_unless(&mut self, keep: impl Fn(&Self, &Offer) -> bool) {
        let gone: Vec<_> = self.offers.values().filter(|offer| !keep(self, offer)).map(|it| it.advertiser).collect();
        gone.into_iter().for_each(|advertiser| self.remove(advertiser));
    }

    fn is_fresh(&self, now_unix_ms: u64, offer: &Offer) -> bool {
        let statement = offer.advert.statement();
        self.counts(now_unix_ms, offer.advertiser, statement.epoch) && !statement.capacity.is_stale(now_unix_ms)
    }

    fn counts(&self, now_unix_ms: u64, advertiser: Fingerprint, epoch: Epoch) -> bool {
        let before = |previous: &Previous| {
            previous.epoch == epoch && now_unix_ms < previous.until_unix_ms && previous.parents.contains(&advertiser)
        };
        epoch == self.epoch || self.previous.as_ref().is_some_and(before)
    }
}

fn advert_rank(advert: &Advert) -> (Epoch, u64, Option<u64>) {
    rank(advert.statement(), advert.extension())
}

/// Later epochs first, then times, then sequence numbers; none at all is the least of these.
fn rank(statement: &Statement, extension: Option<&Extension>) -> (Epoch, u64, Option<u64>) {
    (statement.epoch, statement.capacity.measured_at_unix_ms, extension.map(|extension| extension.sequence))
}
