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
const PER_ADVERTISER: Rate = Rate { per_second: 1, burst: 2 };
/// Verifications for one neighbour.
const PER_NEIGHBOUR: Rate = Rate { per_second: 64, burst: 256 };

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
        }
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
        if json.len() > JSON_LEN_MAX {
            return Err(Error::from(DecodeError::TooLong { got: json.len() }).into());
        }
        let digest = sha256(&[json]);
        if self.by_digest.contains_key(&digest) {
            return Ok(Novelty::Known);
        }
        let advert = Advert::parse(json)?;
        let name = &advert.statement().advertiser;
        let bundle = lookup(name).filter(|found| found.key_id() == name).ok_or(OfferError::UnknownAdvertiser)?;
        let advertiser = bundle.fingerprint();
        self.check_cheap(now_unix_ms, advertiser, &advert)?;
        let held = self.offers.get(&advertiser);
        if held.is_some_and(|held| rank(held.advert.statement(), held.advert.extension()) >= advert_rank(&advert)) {
            return Ok(Novelty::Older);
        }
        let novelty = if held.is_some() { Novelty::Newer } else { Novelty::First };
        let key = *bundle.verifying().ed25519();
        self.check_key(now_unix_ms, advertiser, key, &advert)?;
        self.make_room(now_unix_ms, advertiser)?;
        let advert = self.verify(now_unix_ms, from, advert, bundle)?;
        self.insert(Offer { advertiser, advert, key });
        Ok(novelty)
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

    fn check_cheap(&self, now_unix_ms: u64, advertiser: Fingerprint, advert: &Advert) -> Result<(), OfferError> {
        let statement = advert.statement();
        if statement.stream != self.stream {
            return Err(OfferError::OtherStream);
        }
        if !self.counts(now_unix_ms, advertiser, statement.epoch) {
            return Err(OfferError::OtherEpoch { got: statement.epoch });
        }
        statement.capacity.check_time(now_unix_ms)?;
        statement.capacity.check()?;
        match advert.extension() {
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
        advert: &Advert,
    ) -> Result<(), OfferError> {
        let owner = self.by_key.get(&key).filter(|owner| **owner != advertiser);
        let offer = owner.and_then(|owner| self.get(now_unix_ms, *owner));
        let owner_bound = offer.map(|offer| offer.advert.extension().is_some());
        match owner_bound {
            None => Ok(()),
            Some(false) if advert.extension().is_some() => Ok(()),
            Some(_) => Err(OfferError::SharedKey),
        }
    }

    fn make_room(&mut self, now_unix_ms: u64, advertiser: Fingerprint) -> Result<(), OfferError> {
        let is_full = |book: &Self| book.offers.len() >= ADVERTISERS_MAX && !book.offers.contains_key(&advertiser);
        if is_full(self) {
            self.expire(now_unix_ms);
        }
        if is_full(self) { Err(OfferError::Full) } else { Ok(()) }
    }

    fn verify(
        &mut self,
        now_unix_ms: u64,
        from: Fingerprint,
        advert: Advert,
        bundle: &PublicBundle,
    ) -> Result<Verified, OfferError> {
        // Refused under these keys: the same bytes may well verify under those of the true advertiser.
        let attempt = sha256(&[&bundle.fingerprint().0, &advert.digest()]);
        if self.refused.contains(&attempt) {
            return Err(Error::SignatureInvalid.into());
        }
        let allowed = self.take(now_unix_ms, (from, None), PER_NEIGHBOUR)
            && self.take(now_unix_ms, (from, Some(bundle.fingerprint())), PER_ADVERTISER);
        if !allowed {
            return Err(OfferError::RateLimited);
        }
        advert.verify(PublicKeys::Bundle(bundle)).map_err(|error| {
            self.refused.insert(attempt);
            error.into()
        })
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
