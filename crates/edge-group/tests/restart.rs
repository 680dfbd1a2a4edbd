//! A publisher that crashes at any point comes back to its members, in an epoch where it has sealed nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{INCARNATION, STREAM, World, join, keys, now, offer};
use edge_crypto::random::Seeded;
use edge_group::{Delta, Error, Group, Restored, snapshot};
use edge_wire::id::Epoch;

/// Restores the publisher, sends again what may have been lost, rotates, and lets the members follow.
fn come_back(world: &mut World, snapshot: &[u8]) {
    let restored = Restored::parse(snapshot, &world.publisher.keys).unwrap();
    if let Some(emission) = restored.resend() {
        let wire = emission.accepted(&world.publisher.keys).unwrap().to_bytes();
        for member in world.members.values_mut() {
            match member.receive(&wire) {
                Ok(_) | Err(Error::StaleCommit { .. }) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
    }
    let rotating = restored.rotate().unwrap();
    let emission = rotating.emission().clone();
    let (group, dek) = rotating.merge().unwrap();
    assert_eq!(group.dek().unwrap(), dek);
    world.publisher.group = group;
    world.broadcast(&emission);
}

#[test]
fn before_the_commit_was_sent() {
    let mut world = World::with(&["alice", "bob"]);
    let (_, sealed_under) = world.agreed();
    let staged = world.group().stage(&Delta::Rotate).unwrap();
    let snapshot = world.publisher.group.snapshot().unwrap();
    drop(staged);
    come_back(&mut world, &snapshot);
    let (epoch, dek) = world.agreed();
    assert_eq!(epoch, Epoch(3));
    assert_ne!(dek, sealed_under);
}

#[test]
fn after_some_members_got_the_commit() {
    let mut world = World::with(&["alice", "bob"]);
    let staged = world.group().stage(&Delta::Rotate).unwrap();
    let snapshot = world.publisher.group.snapshot().unwrap();
    let wire = staged.emission().accepted(&world.publisher.keys).unwrap().to_bytes();
    world.member("alice").receive(&wire).unwrap();
    come_back(&mut world, &snapshot);
    assert_eq!(world.agreed().0, Epoch(3));
}

#[test]
fn after_the_merge_and_sealing() {
    let mut world = World::with(&["alice", "bob"]);
    let staged = world.group().stage(&Delta::Rotate).unwrap();
    let snapshot = world.publisher.group.snapshot().unwrap();
    world.settle(staged);
    let (_, sealed_under) = world.agreed();
    come_back(&mut world, &snapshot);
    let (epoch, dek) = world.agreed();
    assert_eq!(epoch, Epoch(3));
    assert_ne!(dek, sealed_under);
}

#[test]
fn after_a_members_refresh_was_accepted() {
    let mut world = World::with(&["alice", "bob"]);
    let refresh = world.member("alice").group.stage_refresh().unwrap();
    let _lost = world.group().accept_foreign(refresh.emission().commit()).unwrap();
    let snapshot = world.publisher.group.snapshot().unwrap();
    come_back(&mut world, &snapshot);
    assert_eq!(world.agreed().0, Epoch(3));
}

#[test]
fn again_and_again_never_in_an_epoch_twice() {
    let mut world = World::with(&["alice"]);
    let mut snapshot = world.publisher.group.snapshot().unwrap();
    let mut used = vec![world.agreed().1];
    for _ in 0..4 {
        let restored = Restored::parse(&snapshot, &world.publisher.keys).unwrap();
        let rotating = restored.rotate().unwrap();
        snapshot = rotating.snapshot().unwrap();
        let emission = rotating.emission().clone();
        world.publisher.group = rotating.merge().unwrap().0;
        world.broadcast(&emission);
        let (_, dek) = world.agreed();
        assert!(!used.contains(&dek));
        used.push(dek);
    }
}

#[test]
fn joiners_and_used_key_packages_survive() {
    let mut world = World::with(&["alice"]);
    let (pending, offered) = offer(&keys("bob"));
    let _staged = world.group().stage(&Delta::Batch(vec![join(offered.clone())])).unwrap();
    let snapshot = world.publisher.group.snapshot().unwrap();
    let restored = Restored::parse(&snapshot, &world.publisher.keys).unwrap();
    let emission = restored.resend().unwrap().clone();
    assert_eq!(emission.joiners()[0].fingerprint, keys("bob").fingerprint());
    come_back(&mut world, &snapshot);
    let mut group = Restored::parse(&world.publisher.group.snapshot().unwrap(), &world.publisher.keys)
        .unwrap()
        .rotate()
        .unwrap()
        .merge()
        .unwrap()
        .0;
    group.stage(&Delta::Leave(common::name("bob"))).and_then(|staged| group.merge(staged)).unwrap();
    assert!(matches!(group.stage(&Delta::Join(Box::new(offered))), Err(Error::KeyPackageUsed(_))));

    let welcome = emission.welcomes(&world.publisher.keys).unwrap().remove(0);
    let verified = welcome.verify(world.publisher.keys.fingerprint(), keys("bob").fingerprint()).unwrap();
    assert!(matches!(pending.accept(&verified, None, now()), Err(Error::TreeMissing)), "the Welcome is the same one");
}

#[test]
fn a_sealed_snapshot_opens_for_its_owner_only() {
    let world = World::with(&["alice"]);
    let own = &world.publisher.keys;
    let plain = world.publisher.group.snapshot().unwrap();
    let sealed = snapshot::seal(&plain, own, &mut Seeded::new(1)).unwrap();
    assert_eq!(snapshot::open(&sealed, own).unwrap(), plain);
    assert_ne!(snapshot::seal(&plain, own, &mut Seeded::new(2)).unwrap(), sealed);
    assert!(matches!(snapshot::open(&sealed, &keys("alice")), Err(Error::SnapshotRejected)));
    assert!(matches!(Restored::parse(&plain, &keys("alice")), Err(Error::SnapshotRejected)));
    for index in (0..sealed.len()).step_by(997).chain([0, 1, 32, 33, sealed.len() - 1]) {
        let mut changed = sealed.clone();
        changed[index] ^= 1;
        assert!(matches!(snapshot::open(&changed, own), Err(Error::SnapshotRejected)), "byte {index}");
        assert!(matches!(snapshot::open(&sealed[..index], own), Err(Error::SnapshotRejected)), "length {index}");
    }
}

#[test]
fn a_cut_or_foreign_snapshot_is_refused() {
    let own = keys("publisher");
    let group = Group::create(STREAM, INCARNATION, &own, now()).unwrap();
    let bytes = group.snapshot().unwrap();
    assert_eq!(group.snapshot().unwrap(), bytes, "equal sessions give equal bytes");
    for len in (0..bytes.len()).step_by(101) {
        assert!(matches!(Restored::parse(&bytes[..len], &own), Err(Error::SnapshotRejected)), "length {len}");
    }
    let mut version = bytes.to_vec();
    version[0] = 2;
    assert!(matches!(Restored::parse(&version, &own), Err(Error::SnapshotRejected)));
    assert!(matches!(Restored::parse(&[&bytes[..], &[0]].concat(), &own), Err(Error::SnapshotRejected)));
    let mut stream = bytes.to_vec();
    stream[1] ^= 1;
    assert!(matches!(Restored::parse(&stream, &own), Err(Error::SnapshotRejected)), "no such group in the store");
}
