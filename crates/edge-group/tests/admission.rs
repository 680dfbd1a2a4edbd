//! Coming in and going out: nothing unsigned, mis-signed, expired, foreign or used is believed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{STREAM, World, keys, name, now, offer};
use edge_group::{
    Delta, Error, Group, Incarnation, KeyPackageOffer, LeaveRequest, PendingJoin, SignedWelcome, WelcomeTree,
};
use edge_wire::id::{Epoch, StreamId};

fn verify(wire: &[u8]) -> Result<edge_group::VerifiedOffer, Error> {
    KeyPackageOffer::parse(wire)?.verify(STREAM, now())
}

#[test]
fn an_offer_names_its_joiner() {
    let (_, verified) = offer(&keys("alice"));
    assert_eq!(verified.key_id(), &name("alice"));
    assert_eq!(verified.fingerprint(), keys("alice").fingerprint());
    assert_eq!(verified.peer().bundle(), keys("alice").public());
}

#[test]
fn every_changed_or_missing_byte_of_an_offer_is_noticed() {
    let (_, offer) = PendingJoin::new(STREAM, &keys("alice"), now()).unwrap();
    let wire = offer.to_bytes();
    assert!(wire.len() <= KeyPackageOffer::MAX_LEN);
    for index in 0..wire.len() {
        let mut changed = wire.clone();
        changed[index] ^= 1 << (index % 8);
        assert!(verify(&changed).is_err(), "byte {index}");
    }
    for len in 0..wire.len() {
        assert!(KeyPackageOffer::parse(&wire[..len]).is_err(), "length {len}");
    }
}

#[test]
fn an_offer_is_for_one_stream_and_for_its_time() {
    let mint = |now| PendingJoin::new(STREAM, &keys("alice"), now).unwrap().1;
    assert!(matches!(mint(now()).verify(StreamId([0; 32]), now()), Err(Error::WrongGroup)));
    let rejected = |result| matches!(result, Err(Error::KeyPackageRejected { .. }));
    const LIFETIME_S: u64 = 7_257_600;
    assert!(mint(now()).verify(STREAM, now() + LIFETIME_S - 60).is_ok());
    assert!(rejected(mint(now()).verify(STREAM, now() + LIFETIME_S)));
    assert!(rejected(mint(now()).verify(STREAM, now() - 2 * 3_600)), "not valid yet");
    assert!(rejected(mint(now() - LIFETIME_S).verify(STREAM, now())), "expired");
    assert!(rejected(mint(now() + 2 * 3_600).verify(STREAM, now())), "from the future");
}

#[test]
fn somebody_elses_key_package_is_refused() {
    let (_, alice) = PendingJoin::new(STREAM, &keys("alice"), now()).unwrap();
    let rebound = common::rebind(&alice.to_bytes(), &keys("mallory"), |key_package| key_package.to_vec());
    assert!(matches!(verify(&rebound), Err(Error::KeyPackageRejected { rule: "its credential names somebody else" })));
}

/// The Welcome for one joiner, with the tree.
fn invite(world: &mut World, joiner: &str) -> (PendingJoin, SignedWelcome, Vec<u8>) {
    let (pending, offered) = offer(&keys(joiner));
    let emission = world.commit(&Delta::Join(Box::new(offered)));
    let welcome = emission.welcomes(&world.publisher.keys).unwrap().remove(0);
    (pending, welcome, world.publisher.group.export_tree().unwrap())
}

#[test]
fn a_welcome_is_believed_only_from_the_inviter_and_only_by_its_addressee() {
    let mut world = World::with(&["alice"]);
    let (_, welcome, _) = invite(&mut world, "bob");
    let (inviter, bob) = (world.publisher.keys.fingerprint(), keys("bob").fingerprint());
    let stranger = keys("alice").fingerprint();
    assert!(matches!(welcome.clone().verify(stranger, bob), Err(Error::InviterUnknown)));
    assert!(matches!(welcome.clone().verify(inviter, stranger), Err(Error::WelcomeSignatureRejected)));
    let wire = welcome.to_bytes();
    for index in 0..wire.len() {
        let mut changed = wire.clone();
        changed[index] ^= 1 << (index % 8);
        let result = SignedWelcome::parse(&changed).and_then(|welcome| welcome.verify(inviter, bob));
        assert!(result.is_err(), "byte {index}");
    }
    for len in 0..wire.len() {
        assert!(SignedWelcome::parse(&wire[..len]).is_err(), "length {len}");
    }
    assert_eq!(welcome.verify(inviter, bob).unwrap().epoch(), Epoch(2));
}

#[test]
fn a_welcome_opens_with_its_own_key_package_only() {
    let mut world = World::with(&["alice"]);
    let (right, welcome, tree) = invite(&mut world, "bob");
    let verified = welcome.verify(world.publisher.keys.fingerprint(), keys("bob").fingerprint()).unwrap();
    let (wrong, _) = PendingJoin::new(STREAM, &keys("bob"), now()).unwrap();
    assert!(matches!(wrong.accept(&verified, Some(&tree), now()), Err(Error::WelcomeRejected)));
    let (elsewhere, _) = PendingJoin::new(StreamId([0; 32]), &keys("bob"), now()).unwrap();
    assert!(matches!(elsewhere.accept(&verified, Some(&tree), now()), Err(Error::WrongGroup)));
    let group = right.accept(&verified, Some(&tree), now()).unwrap();
    assert_eq!(group.dek().unwrap(), world.publisher.group.dek().unwrap());
}

#[test]
fn a_welcome_needs_the_tree_of_its_epoch_or_carries_it() {
    let mut world = World::with(&["alice"]);
    let (pending, welcome, _) = invite(&mut world, "bob");
    let (inviter, bob) = (world.publisher.keys.fingerprint(), keys("bob").fingerprint());
    let apart = welcome.to_bytes().len();
    let verified = welcome.verify(inviter, bob).unwrap();
    assert!(matches!(pending.accept(&verified, None, now()), Err(Error::TreeMissing)));

    world.commit(&Delta::Leave(name("bob")));
    let (pending, welcome, _) = invite(&mut world, "bob");
    world.commit(&Delta::Rotate);
    let later = world.publisher.group.export_tree().unwrap();
    let verified = welcome.verify(inviter, bob).unwrap();
    assert!(matches!(pending.accept(&verified, Some(&later), now()), Err(Error::WelcomeFailed(_))));

    world.commit(&Delta::Leave(name("bob")));
    world.group().set_welcome_tree(WelcomeTree::Inside);
    let (pending, welcome, _) = invite(&mut world, "bob");
    assert!(welcome.to_bytes().len() > apart + 2_000);
    let verified = welcome.verify(inviter, bob).unwrap();
    let group = pending.accept(&verified, None, now()).unwrap();
    assert_eq!(group.dek().unwrap(), world.publisher.group.dek().unwrap());
}

#[test]
fn a_welcome_from_a_member_that_did_not_make_it_is_refused() {
    let mut world = World::with(&["mallory"]);
    let (pending, offered) = offer(&keys("bob"));
    let emission = world.commit(&Delta::Join(Box::new(offered)));
    let stolen = emission.welcomes(&keys("mallory")).unwrap().remove(0);
    let verified = stolen.verify(keys("mallory").fingerprint(), keys("bob").fingerprint()).unwrap();
    let tree = world.publisher.group.export_tree().unwrap();
    assert!(matches!(pending.accept(&verified, Some(&tree), now()), Err(Error::InviterUnknown)));
}

#[test]
fn groups_of_one_stream_do_not_mix() {
    let mut first = World::with(&["alice"]);
    let keys = keys("publisher");
    let mut second = Group::create(STREAM, Incarnation([2; 8]), &keys, now()).unwrap();
    let commit = second.stage(&Delta::Rotate).unwrap();
    let alice = &mut first.member("alice").group;
    refused!(alice, alice.process(commit.emission().commit()), Error::WrongGroup);
}

#[test]
fn a_leave_request_counts_once_and_only_for_its_sender() {
    let mut world = World::with(&["alice", "bob"]);
    let bob = world.members.remove("bob").unwrap();
    let wire = bob.group.leave(&bob.keys).unwrap().to_bytes();
    assert_eq!(wire.len(), LeaveRequest::LEN);
    let request = LeaveRequest::parse(&wire).unwrap();
    let group = &world.publisher.group;
    request.verify(bob.keys.public(), group).unwrap();
    assert!(request.verify(keys("alice").public(), group).is_err(), "alice did not sign it");
    for index in 0..wire.len() {
        let mut changed = wire.clone();
        changed[index] ^= 1;
        let result = LeaveRequest::parse(&changed).and_then(|request| request.verify(bob.keys.public(), group));
        assert!(result.is_err(), "byte {index}");
    }
    world.commit(&Delta::Leave(name("bob")));
    assert_eq!(world.agreed().0, Epoch(2));
    world.admit(&["bob"]);
    let replayed = request.verify(bob.keys.public(), &world.publisher.group);
    assert!(matches!(replayed, Err(Error::MemberNotFound(_))), "it was for the leaf that is gone");
}
