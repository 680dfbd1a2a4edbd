//! A publisher and its members, each with its own keys and its own MLS store, joined only by wire bytes.
#![allow(dead_code)]

use std::collections::BTreeMap;

use edge_crypto::random::Seeded;
use edge_group::{
    AcceptedCommit, Delta, Emission, Group, Incarnation, KeyPackageOffer, Op, PendingJoin, SignedWelcome, Staged,
    VerifiedOffer,
};
use edge_identity::KeyBundle;
use edge_seal::EpochDek;
use edge_wire::id::{Epoch, KeyId, StreamId};

pub(crate) const STREAM: StreamId = StreamId([0x5a; 32]);
pub(crate) const INCARNATION: Incarnation = Incarnation([1; 8]);

/// The system's time: the MLS library compares lifetimes with that and nothing else.
#[allow(clippy::disallowed_methods)]
pub(crate) fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) fn name(name: &str) -> KeyId {
    KeyId::new(name).unwrap()
}

/// The keys of a named peer: the same for the same name.
pub(crate) fn keys(of: &str) -> KeyBundle {
    let digest = edge_crypto::hash::sha256(&[of.as_bytes()]);
    let seed = u64::from_be_bytes(digest[..8].try_into().unwrap());
    KeyBundle::generate(Some(name(of)), &mut Seeded::new(seed)).unwrap()
}

/// Mints and offers a key package, and verifies the offer as the committer gets it.
pub(crate) fn offer(joiner: &KeyBundle) -> (PendingJoin, VerifiedOffer) {
    let (pending, offer) = PendingJoin::new(STREAM, joiner, now()).unwrap();
    let received = KeyPackageOffer::parse(&offer.to_bytes()).unwrap();
    (pending, received.verify(STREAM, now()).unwrap())
}

pub(crate) fn join(offer: VerifiedOffer) -> Op {
    Op::Join(Box::new(offer))
}

pub(crate) struct Member {
    pub(crate) keys: KeyBundle,
    pub(crate) group: Group,
}

impl Member {
    /// Applies an accepted commit as it comes over the wire.
    pub(crate) fn receive(&mut self, commit: &[u8]) -> Result<EpochDek, edge_group::Error> {
        let accepted = AcceptedCommit::verify(commit, self.group.committer())?;
        self.group.process(accepted.commit()).map(|applied| applied.dek)
    }
}

pub(crate) struct World {
    pub(crate) publisher: Member,
    pub(crate) members: BTreeMap<String, Member>,
}

impl World {
    /// A group with the publisher alone.
    pub(crate) fn new() -> Self {
        let keys = keys("publisher");
        let group = Group::create(STREAM, INCARNATION, &keys, now()).unwrap();
        Self { publisher: Member { keys, group }, members: BTreeMap::new() }
    }

    /// A group with `names` admitted by one batch.
    pub(crate) fn with(names: &[&str]) -> Self {
        let mut world = Self::new();
        world.admit(names);
        world
    }

    pub(crate) fn group(&mut self) -> &mut Group {
        &mut self.publisher.group
    }

    pub(crate) fn member(&mut self, of: &str) -> &mut Member {
        self.members.get_mut(of).unwrap()
    }

    /// Admits peers by one commit, over the wire.
    pub(crate) fn admit(&mut self, names: &[&str]) {
        let joiners: Vec<_> = names.iter().map(|name| keys(name)).collect();
        let (pending, offers): (Vec<_>, Vec<_>) = joiners.iter().map(offer).unzip();
        let staged = self.publisher.group.stage(&Delta::Batch(offers.into_iter().map(join).collect())).unwrap();
        let emission = self.settle(staged);
        self.welcome(&emission, joiners.into_iter().zip(pending));
    }

    /// Lets the joiners of `emission` in.
    pub(crate) fn welcome(&mut self, emission: &Emission, joins: impl Iterator<Item = (KeyBundle, PendingJoin)>) {
        let welcomes = emission.welcomes(&self.publisher.keys).unwrap();
        let tree = self.publisher.group.export_tree().unwrap();
        for ((keys, pending), welcome) in joins.zip(welcomes) {
            let received = SignedWelcome::parse(&welcome.to_bytes()).unwrap();
            let verified = received.verify(self.publisher.keys.fingerprint(), keys.fingerprint()).unwrap();
            let group = pending.accept(&verified, Some(&tree), now()).unwrap();
            self.members.insert(keys.key_id().to_string(), Member { keys, group });
        }
    }

    /// Stages `delta`, merges it and sends it to all.
    pub(crate) fn commit(&mut self, delta: &Delta) -> Emission {
        let staged = self.publisher.group.stage(delta).unwrap();
        self.settle(staged)
    }

    /// Merges a staged commit at the publisher and sends it to all; whom it evicts is gone.
    pub(crate) fn settle(&mut self, staged: Staged) -> Emission {
        let emission = staged.emission().clone();
        self.publisher.group.merge(staged).unwrap();
        self.broadcast(&emission);
        emission
    }

    pub(crate) fn broadcast(&mut self, emission: &Emission) {
        let wire = emission.accepted(&self.publisher.keys).unwrap().to_bytes();
        self.members.retain(|_, member| match member.receive(&wire) {
            Ok(_) => true,
            Err(edge_group::Error::Evicted { .. }) => false,
            Err(error) => panic!("{error:?}"),
        });
    }

    /// The epoch and key that everybody has; they must agree in both, in the roster and in the authenticator.
    pub(crate) fn agreed(&self) -> (Epoch, EpochDek) {
        let group = &self.publisher.group;
        let (epoch, dek) = (group.epoch(), group.dek().unwrap());
        assert_eq!(group.roster().len(), self.members.len() + 1);
        for (name, member) in &self.members {
            assert_eq!(member.group.epoch(), epoch, "{name}");
            assert_eq!(member.group.dek().unwrap(), dek, "{name}");
            assert_eq!(member.group.roster(), group.roster(), "{name}");
            assert_eq!(member.group.epoch_authenticator().unwrap(), group.epoch_authenticator().unwrap(), "{name}");
        }
        (epoch, dek)
    }

    /// Every member refreshes once, so that the tree has no blank inner nodes.
    pub(crate) fn warm(&mut self) {
        let names: Vec<String> = self.members.keys().cloned().collect();
        for name in names {
            let staged = self.member(&name).group.stage_refresh().unwrap();
            let (_, emission) = self.publisher.group.accept_foreign(staged.emission().commit()).unwrap();
            self.broadcast(&emission);
        }
    }
}

/// Asserts that an operation failed in one way and left epoch, key and roster as they were.
#[macro_export]
macro_rules! refused {
    ($group:expr, $operation:expr, $error:pat) => {{
        let before = ($group.epoch(), $group.dek().unwrap(), $group.roster());
        match $operation {
            Err($error) => {}
            other => panic!("expected {}, got {other:?}", stringify!($error)),
        }
        assert_eq!(($group.epoch(), $group.dek().unwrap(), $group.roster()), before);
    }};
}

/// Takes an offer's key package, changes it, and binds the result to `signer` by the book.
pub(crate) fn rebind(wire: &[u8], signer: &KeyBundle, change: impl FnOnce(&[u8]) -> Vec<u8>) -> Vec<u8> {
    use edge_wire::{Reader, Writer, domain};
    let mut reader = Reader::new(wire);
    let (version, stream) = (reader.u8("version").unwrap(), reader.take("stream", 32).unwrap());
    let not_after = reader.u64("not_after").unwrap();
    reader.bytes32("joiner", wire.len()).unwrap();
    let key_package = change(reader.bytes32("key_package", wire.len()).unwrap());
    let mut signed = Writer::new();
    signed.raw(domain::KEY_PACKAGE).raw(stream).bytes16(signer.key_id().as_bytes()).raw(&signer.fingerprint().0);
    signed.raw(&edge_crypto::hash::sha256(&[&key_package])).u64(not_after);
    let signature = signer.sign(&signed.finish()).unwrap();
    let mut out = Writer::new();
    out.u8(version).raw(stream).u64(not_after).bytes32(&signer.public().to_bytes());
    out.bytes32(&key_package).raw(&signature.to_bytes());
    out.finish()
}

/// Takes a Welcome out of its envelope, changes it, and signs the result by the book.
pub(crate) fn readdress(wire: &[u8], inviter: &KeyBundle, change: impl FnOnce(&[u8]) -> Vec<u8>) -> Vec<u8> {
    use edge_wire::{Reader, Writer, domain};
    let mut reader = Reader::new(wire);
    let version = reader.u8("version").unwrap();
    let address = reader.take("address", 32 + 32 + 8).unwrap();
    reader.bytes32("inviter", wire.len()).unwrap();
    let welcome = change(reader.bytes32("welcome", wire.len()).unwrap());
    let signed = [domain::WELCOME, address, &edge_crypto::hash::sha256(&[&welcome])].concat();
    let signature = inviter.sign(&signed).unwrap();
    let mut out = Writer::new();
    out.u8(version).raw(address).bytes32(&inviter.public().to_bytes()).bytes32(&welcome).raw(&signature.to_bytes());
    out.finish()
}
