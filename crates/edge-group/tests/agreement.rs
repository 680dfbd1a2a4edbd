//! Every member has the epoch's key; nobody outside has it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{INCARNATION, STREAM, World, name, now, offer};
use edge_group::{Delta, Group};
use edge_wire::id::Epoch;

fn names(count: usize) -> Vec<String> {
    (1..count).map(|index| format!("member-{index:02}")).collect()
}

fn agree(members: usize) {
    let names = names(members);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut world = World::with(&names);
    let (epoch, dek) = world.agreed();
    assert_eq!(epoch, Epoch(1));
    assert_eq!(world.members.values().map(|member| member.group.first_epoch()).max(), Some(Epoch(1)));
    world.commit(&Delta::Rotate);
    let (next_epoch, next_dek) = world.agreed();
    assert_eq!(next_epoch, Epoch(2));
    assert_ne!(next_dek, dek);
}

#[test]
fn two_members() {
    agree(2);
}

#[test]
fn four_members() {
    agree(4);
}

#[test]
fn eight_members() {
    agree(8);
}

#[test]
fn sixteen_members() {
    agree(16);
}

#[test]
fn fifty_members() {
    agree(50);
}

#[test]
fn a_group_starts_at_epoch_0_with_its_publisher() {
    let keys = common::keys("publisher");
    let group = Group::create(STREAM, INCARNATION, &keys, now()).unwrap();
    assert_eq!((group.epoch(), group.stream(), group.incarnation()), (Epoch(0), STREAM, INCARNATION));
    assert_eq!(group.roster().len(), 1);
    assert_eq!(group.committer(), keys.public());
    let other = Group::create(STREAM, INCARNATION, &keys, now()).unwrap();
    assert_ne!(group.dek().unwrap(), other.dek().unwrap());
}

#[test]
fn a_leaver_does_not_get_the_next_key() {
    let mut world = World::with(&["alice", "bob", "carol"]);
    let mut bob = world.members.remove("bob").unwrap();
    let old = bob.group.dek().unwrap();
    let staged = world.group().stage(&Delta::Leave(name("bob"))).unwrap();
    let emission = world.settle(staged);
    let (epoch, dek) = world.agreed();
    assert_eq!(epoch, Epoch(2));
    assert_ne!(dek, old);

    let wire = emission.accepted(&world.publisher.keys).unwrap().to_bytes();
    assert!(matches!(bob.receive(&wire), Err(edge_group::Error::Evicted { epoch: 2 })));
    assert!(matches!(bob.group.dek(), Err(edge_group::Error::Evicted { epoch: 2 })));
    assert!(world.publisher.group.roster().iter().all(|member| member.key_id != name("bob")));
}

#[test]
fn a_joiner_does_not_get_the_previous_key() {
    let mut world = World::with(&["alice"]);
    let (_, before) = world.agreed();
    world.admit(&["dora"]);
    let (epoch, after) = world.agreed();
    assert_ne!(before, after);
    let dora = &world.member("dora").group;
    assert_eq!(dora.first_epoch(), epoch);
    assert_eq!(dora.dek().unwrap(), after);
}

#[test]
fn the_wire_forms_are_those_of_the_profile() {
    let mut world = World::with(&["alice"]);
    let (_, offered) = offer(&common::keys("bob"));
    let staged = world.group().stage(&Delta::Join(Box::new(offered))).unwrap();
    let emission = staged.emission();
    let commit = emission.commit();
    assert_eq!(commit[..4], [0, 1, 0, 2], "MLS 1.0, PrivateMessage");
    assert_eq!((commit[4], &commit[5..37], &commit[37..45]), (40, &STREAM.0[..], &INCARNATION.0[..]));
    assert_eq!((&commit[45..53], commit[53]), (&1u64.to_be_bytes()[..], 3), "the epoch before, content type commit");
    assert_eq!(emission.welcome().unwrap()[..6], [0, 1, 0, 3, 0, 0x4d], "MLS 1.0, Welcome, suite 0x004D");

    let (_, offer) = edge_group::PendingJoin::new(STREAM, &common::keys("carol"), now()).unwrap();
    let wire = offer.to_bytes();
    let at = wire.windows(8).position(|window| window == [0, 1, 0, 5, 0, 1, 0, 0x4d]).expect("a key package");
    let len = u32::from_be_bytes(wire[at - 4..at].try_into().unwrap());
    assert!((2_600..2_720).contains(&len), "{len}");
}

#[test]
fn debug_output_names_no_secret() {
    let world = World::with(&["alice"]);
    let text = format!("{:?} {:?}", world.publisher.group, world.publisher.group.dek().unwrap());
    assert!(text.contains("Group") && text.contains("redacted") && text.len() < 300, "{text}");
}
