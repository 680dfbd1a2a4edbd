//! `edge-group`: signed envelopes, and the MLS messages inside them as a peer with a valid identity may send them.
//!
//! MLS keys differ from run to run, so a message of the corpus never opens. It counts as accepted when it gets past
//! decoding, which is as far as anybody outside the group comes.

use std::sync::{Mutex, OnceLock, PoisonError};

use edge_crypto::hash::sha256;
use edge_crypto::random::Seeded;
use edge_group::{
    AcceptedCommit, Delta, Emission, Error, Group, Incarnation, KeyPackageOffer, LeaveRequest, PendingJoin, Restored,
    SignedWelcome, Staged, snapshot,
};
use edge_identity::KeyBundle;
use edge_wire::id::{Epoch, KeyId, StreamId};
use edge_wire::{Writer, domain};

use super::{COPIES, SMALL, built, own};
use crate::{Cost, Target, Verdict};

pub(super) const TARGETS: &[Target] = &[
    Target { name: "mls_offer", cost: Cost::Crypto, alloc_max: COPIES, run: offer, seeds: offers },
    Target { name: "mls_key_package", cost: Cost::Decode, alloc_max: COPIES, run: key_package, seeds: key_packages },
    Target {
        name: "mls_accepted_commit",
        cost: Cost::Crypto,
        alloc_max: COPIES,
        run: accepted,
        seeds: accepted_commits,
    },
    Target { name: "mls_commit", cost: Cost::Crypto, alloc_max: COPIES, run: commit, seeds: commits },
    Target { name: "mls_signed_welcome", cost: Cost::Crypto, alloc_max: COPIES, run: welcome, seeds: welcomes },
    Target { name: "mls_welcome", cost: Cost::Decode, alloc_max: COPIES, run: welcome_body, seeds: welcome_bodies },
    Target { name: "mls_tree", cost: Cost::Decode, alloc_max: COPIES, run: tree, seeds: trees },
    Target { name: "mls_leave", cost: Cost::Crypto, alloc_max: SMALL, run: leave, seeds: leaves },
    Target { name: "group_snapshot", cost: Cost::Crypto, alloc_max: COPIES, run: group_snapshot, seeds: snapshots },
];

const STREAM: StreamId = StreamId([5; 32]);
const VERSION: u8 = 1;
/// Corpus and rules use this time; the MLS library asks the system's clock.
const NOW_UNIX_S: u64 = 1_800_000_000;

/// The publisher, which is also who signs every envelope here.
fn new_group() -> Group {
    built(Group::create(STREAM, Incarnation([1; 8]), own(), NOW_UNIX_S))
}

fn joiner() -> &'static KeyBundle {
    static JOINER: OnceLock<KeyBundle> = OnceLock::new();
    JOINER.get_or_init(|| built(KeyBundle::generate(Some(built(KeyId::new("joiner"))), &mut Seeded::new(8))))
}

fn decoded<T>(result: &Result<T, Error>) -> Verdict {
    match result {
        Err(Error::WireDecodeFailed | Error::WelcomeMalformed | Error::Wire(_)) => Verdict::Refused,
        _ => Verdict::Accepted,
    }
}

fn offer(input: &[u8]) -> Verdict {
    let parsed = KeyPackageOffer::parse(input);
    if let Ok(offer) = &parsed {
        assert_eq!(offer.to_bytes(), input, "a parsed offer writes back to its bytes");
        let _ = offer.clone().verify(STREAM, NOW_UNIX_S);
    }
    parsed.into()
}

/// The input is a key package that its joiner signed, whatever it is.
fn key_package(input: &[u8]) -> Verdict {
    let not_after = NOW_UNIX_S + 60;
    let mut signed = Writer::new();
    signed.raw(domain::KEY_PACKAGE).raw(&STREAM.0).bytes16(own().key_id().as_bytes());
    signed.raw(&own().fingerprint().0).raw(&sha256(&[input])).u64(not_after);
    let mut offer = Writer::new();
    offer.u8(VERSION).raw(&STREAM.0).u64(not_after).bytes32(&own().public().to_bytes()).bytes32(input);
    offer.raw(&built(own().sign(&signed.finish())).to_bytes());
    let verified = KeyPackageOffer::parse(&offer.finish()).and_then(|offer| offer.verify(STREAM, NOW_UNIX_S));
    if let Err(error) = &verified {
        assert!(!error.to_string().contains("not signed"), "this target no longer signs what an offer signs");
    }
    decoded(&verified)
}

fn accepted(input: &[u8]) -> Verdict {
    let verified = AcceptedCommit::verify(input, own().public());
    if let Ok(commit) = &verified {
        assert_eq!(commit.to_bytes(), input, "a verified commit writes back to its bytes");
    }
    verified.into()
}

/// A refused commit leaves the group as it was.
fn commit(input: &[u8]) -> Verdict {
    static GROUP: OnceLock<Mutex<Group>> = OnceLock::new();
    let group = GROUP.get_or_init(|| Mutex::new(new_group()));
    let mut group = group.lock().unwrap_or_else(PoisonError::into_inner);
    let (epoch, members) = (group.epoch(), group.roster().len());
    let processed = group.process(input);
    assert!(processed.is_err(), "a commit from outside the group was applied");
    assert_eq!((group.epoch(), group.roster().len()), (epoch, members));
    decoded(&processed)
}

fn welcome(input: &[u8]) -> Verdict {
    let parsed = SignedWelcome::parse(input);
    if let Ok(welcome) = &parsed {
        assert_eq!(welcome.to_bytes(), input, "a parsed Welcome writes back to its bytes");
        let _ = welcome.clone().verify(own().fingerprint(), joiner().fingerprint());
    }
    parsed.into()
}

/// The input is a Welcome that the inviter signed, whatever it is.
fn welcome_body(input: &[u8]) -> Verdict {
    let (joiner, epoch) = (joiner(), Epoch(1));
    let mut signed = Writer::new();
    signed.raw(domain::WELCOME).raw(&STREAM.0).raw(&joiner.fingerprint().0).u64(epoch.0).raw(&sha256(&[input]));
    let mut envelope = Writer::new();
    envelope.u8(VERSION).raw(&STREAM.0).raw(&joiner.fingerprint().0).u64(epoch.0);
    envelope.bytes32(&own().public().to_bytes()).bytes32(input).raw(&built(own().sign(&signed.finish())).to_bytes());
    let envelope = built(SignedWelcome::parse(&envelope.finish()));
    let verified = built(envelope.verify(own().fingerprint(), joiner.fingerprint()));
    let (pending, _) = built(PendingJoin::new(STREAM, joiner, NOW_UNIX_S));
    decoded(&pending.accept(&verified, None, NOW_UNIX_S))
}

/// The input is a ratchet tree beside a Welcome that opens.
fn tree(input: &[u8]) -> Verdict {
    static GROUP: OnceLock<Mutex<Group>> = OnceLock::new();
    let now = system_unix_s();
    let group = GROUP.get_or_init(|| Mutex::new(new_group()));
    let mut group = group.lock().unwrap_or_else(PoisonError::into_inner);
    let (pending, offer) = built(PendingJoin::new(STREAM, joiner(), now));
    let staged = stage(&mut group, offer, now);
    let welcome = first_welcome(staged.emission());
    built(group.discard(staged));
    let verified = built(welcome.verify(own().fingerprint(), joiner().fingerprint()));
    decoded(&pending.accept(&verified, Some(input), now))
}

fn leave(input: &[u8]) -> Verdict {
    let parsed = LeaveRequest::parse(input);
    if let Ok(request) = &parsed {
        assert_eq!(request.to_bytes(), input, "a parsed request writes back to its bytes");
    }
    parsed.into()
}

/// The input is a snapshot file. The MLS library trusts its own store, so nothing changed may come past the seal.
fn group_snapshot(input: &[u8]) -> Verdict {
    let Ok(opened) = snapshot::open(input, own()) else { return Verdict::Refused };
    built(Restored::parse(&opened, own()));
    Verdict::Accepted
}

/// Seconds of the system's clock: a key package that is made now is checked by the MLS library against it.
fn system_unix_s() -> u64 {
    built(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)).as_secs()
}

fn stage(group: &mut Group, offer: KeyPackageOffer, now_unix_s: u64) -> Staged {
    let verified = built(offer.verify(STREAM, now_unix_s));
    built(group.stage(&Delta::Join(Box::new(verified))))
}

fn first_welcome(emission: &Emission) -> SignedWelcome {
    match built(emission.welcomes(own())).into_iter().next() {
        Some(welcome) => welcome,
        None => unreachable!("seed: a join makes a Welcome"),
    }
}

/// A join into a fresh group: the offer, what the committer emits, and the group after it.
fn joined() -> (KeyPackageOffer, Staged, Group) {
    let now = system_unix_s();
    let (_, offer) = built(PendingJoin::new(STREAM, joiner(), now));
    let mut group = new_group();
    let staged = stage(&mut group, offer.clone(), now);
    (offer, staged, group)
}

fn offers() -> Vec<Vec<u8>> {
    vec![joined().0.to_bytes()]
}

fn key_packages() -> Vec<Vec<u8>> {
    // Behind version, stream, time, the joiner's bundle and the length; before the signature.
    let bytes = joined().0.to_bytes();
    let start = 1 + 32 + 8 + 4 + joiner().public().to_bytes().len() + 4;
    vec![bytes[start..bytes.len() - edge_crypto::sign::Signature::LEN].to_vec()]
}

fn accepted_commits() -> Vec<Vec<u8>> {
    vec![built(joined().1.emission().accepted(own())).to_bytes()]
}

fn commits() -> Vec<Vec<u8>> {
    vec![joined().1.emission().commit().to_vec()]
}

fn welcomes() -> Vec<Vec<u8>> {
    vec![first_welcome(joined().1.emission()).to_bytes()]
}

fn welcome_bodies() -> Vec<Vec<u8>> {
    joined().1.emission().welcome().map(<[u8]>::to_vec).into_iter().collect()
}

fn trees() -> Vec<Vec<u8>> {
    let (_, staged, mut group) = joined();
    built(group.merge(staged));
    vec![built(group.export_tree()), built(new_group().export_tree())]
}

fn leaves() -> Vec<Vec<u8>> {
    vec![built(new_group().leave(own())).to_bytes()]
}

fn snapshots() -> Vec<Vec<u8>> {
    let snapshot = built(new_group().snapshot());
    vec![built(snapshot::seal(&snapshot, own(), &mut Seeded::new(5)))]
}
