//! A peer without post-quantum keys is refused before anything happens, alone or in company.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{World, keys, name, offer};
use edge_group::{Delta, Error, Member, Roster, gate};
use edge_wire::id::Epoch;

fn good() -> Member {
    Member::from(keys("good").public())
}

#[test]
fn presence_length_validity_and_the_classical_half_are_checked() {
    assert!(gate::check([&good()]).is_ok());
    let lacking = |mlkem768_pub| Member { mlkem768_pub, ..good() };
    let wrong = [
        lacking(None),
        lacking(Some(Vec::new())),
        lacking(Some(good().mlkem768_pub.unwrap()[1..].to_vec())),
        lacking(Some([good().mlkem768_pub.unwrap(), vec![0]].concat())),
        lacking(Some(vec![0xff; 1184])),
        Member { x25519_pub: [0; 32], ..good() },
    ];
    for member in &wrong {
        assert!(matches!(gate::check([&good(), member]), Err(Error::PeerLacksMlkem(id)) if id == name("good")));
    }
}

#[test]
fn a_bundle_without_a_valid_key_is_not_even_an_offer() {
    let (_, offer) = edge_group::PendingJoin::new(common::STREAM, &keys("eve"), common::now()).unwrap();
    let wire = offer.to_bytes();
    let key = keys("eve").public().mlkem().as_bytes().to_vec();
    let at = wire.windows(key.len()).position(|window| window == key).unwrap();
    let mut changed = wire.clone();
    changed[at..at + key.len()].fill(0xff);
    assert!(matches!(edge_group::KeyPackageOffer::parse(&changed), Err(Error::Bundle(_))));
}

#[test]
fn one_bad_kept_member_refuses_the_whole_replacement() {
    let mut world = World::with(&["alice", "bob"]);
    let (pending, offered) = offer(&keys("carol"));
    let bob = Member { mlkem768_pub: None, ..Member::from(keys("bob").public()) };
    let keep = vec![Member::from(keys("alice").public()), bob];
    let replace = Delta::Replace(Roster { keep, join: vec![offered.clone()] });
    let before = world.publisher.group.snapshot().unwrap();
    refused!(world.publisher.group, world.publisher.group.stage(&replace), Error::PeerLacksMlkem(_));
    assert_eq!(world.publisher.group.snapshot().unwrap(), before, "the state is the same, byte for byte");

    let staged = world.group().stage(&Delta::Join(Box::new(offered))).unwrap();
    let emission = world.settle(staged);
    world.welcome(&emission, [(keys("carol"), pending)].into_iter());
    assert_eq!(world.agreed().0, Epoch(2));
}
