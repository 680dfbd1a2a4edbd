//! Many changes in one commit, whole rosters, and every way to ask for nonsense.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{World, join, keys, name, offer};
use edge_group::{Delta, Emission, Error, Member, Op, Roster, VerifiedOffer};
use edge_wire::id::Epoch;

fn offers(prefix: &str, count: usize) -> Vec<VerifiedOffer> {
    (0..count).map(|index| offer(&keys(&format!("{prefix}-{index:02}"))).1).collect()
}

fn member(of: &str) -> Member {
    Member::from(keys(of).public())
}

/// A commit that adds holds the key packages; with an update path it is longer than them by an X-Wing key or more.
fn has_path(emission: &Emission) -> bool {
    emission.commit().len() > emission.joiners().len() * 2_660 + 1_216
}

fn one_commit(count: usize) {
    let mut world = World::with(&["alice"]);
    let names: Vec<String> = (0..count).map(|index| format!("batch-{index:02}")).collect();
    let joiners: Vec<_> = names.iter().map(|name| keys(name)).collect();
    let (pending, offers): (Vec<_>, Vec<_>) = joiners.iter().map(offer).unzip();
    let emission = world.commit(&Delta::Batch(offers.into_iter().map(join).collect()));
    let welcomes = emission.welcomes(&world.publisher.keys).unwrap();
    assert_eq!(welcomes.len(), count);
    assert!(has_path(&emission));
    for (welcome, joiner) in welcomes.iter().zip(&joiners) {
        assert_eq!(welcome.joiner(), joiner.fingerprint(), "in the order of the additions");
    }
    world.welcome(&emission, joiners.into_iter().zip(pending));
    assert_eq!(world.agreed().0, Epoch(2));
}

#[test]
fn ten_joins_are_one_commit() {
    one_commit(10);
}

#[test]
fn fifty_joins_are_one_commit() {
    one_commit(50);
}

#[test]
fn joins_and_leaves_mix() {
    let mut world = World::with(&["alice", "bob", "carol"]);
    let (pending, offered) = offer(&keys("dora"));
    let ops = vec![Op::Leave(name("alice")), join(offered), Op::Leave(name("carol")), Op::Leave(name("carol"))];
    let emission = world.commit(&Delta::Batch(ops));
    assert!(has_path(&emission));
    world.welcome(&emission, [(keys("dora"), pending)].into_iter());
    assert_eq!(world.agreed().0, Epoch(2));
    assert_eq!(Vec::from_iter(world.members.keys()), ["bob", "dora"]);
}

#[test]
fn a_lost_member_comes_back_by_one_batch() {
    let mut world = World::with(&["alice", "bob"]);
    let lost = world.members.remove("bob").unwrap();
    let (pending, offered) = offer(&lost.keys);
    let emission = world.commit(&Delta::Batch(vec![join(offered), Op::Leave(name("bob"))]));
    drop(lost);
    world.welcome(&emission, [(keys("bob"), pending)].into_iter());
    assert_eq!(world.agreed().0, Epoch(2));
    assert_eq!(world.member("bob").group.first_epoch(), Epoch(2));
}

#[test]
fn nonsense_is_refused_and_nothing_changes() {
    let mut world = World::with(&["alice"]);
    let new = offers("new", 2);
    let (alice, again) = (offer(&keys("alice")).1, offer(&keys("new-00")).1);
    let own = offer(&keys("publisher")).1;
    let group = &mut world.publisher.group;
    refused!(group, group.stage(&Delta::Batch(vec![])), Error::EmptyBatch);
    refused!(group, group.stage(&Delta::Join(Box::new(alice.clone()))), Error::DuplicateMember(_));
    refused!(group, group.stage(&Delta::Batch(vec![join(alice)])), Error::DuplicateMember(_));
    let twice = vec![join(new[0].clone()), join(again)];
    refused!(group, group.stage(&Delta::Batch(twice)), Error::DuplicateMember(_));
    refused!(group, group.stage(&Delta::Join(Box::new(own))), Error::DuplicateMember(_));
    refused!(group, group.stage(&Delta::Leave(name("nobody"))), Error::MemberNotFound(_));
    let unknown = vec![join(new[1].clone()), Op::Leave(name("new-01"))];
    refused!(group, group.stage(&Delta::Batch(unknown)), Error::MemberNotFound(_));
    refused!(group, group.stage(&Delta::Leave(name("publisher"))), Error::SelfRemovalRefused);
    let many = (0..=edge_group::MAX_OPS).map(|_| join(new[0].clone())).collect();
    refused!(group, group.stage(&Delta::Batch(many)), Error::DuplicateMember(_));
    world.commit(&Delta::Batch(vec![join(new[0].clone()), join(new[1].clone())]));
    assert_eq!(world.publisher.group.epoch(), Epoch(2), "the next valid operation is the next epoch");
}

#[test]
fn a_key_package_is_used_once() {
    let mut world = World::with(&["alice"]);
    let offered = offer(&keys("bob")).1;
    world.commit(&Delta::Join(Box::new(offered.clone())));
    world.commit(&Delta::Leave(name("bob")));
    let group = &mut world.publisher.group;
    refused!(group, group.stage(&Delta::Join(Box::new(offered.clone()))), Error::KeyPackageUsed(_));
}

#[test]
fn a_replacement_is_the_difference() {
    let mut world = World::with(&["alice", "bob", "carol"]);
    let (pending, offered) = offer(&keys("dora"));
    let kept = offer(&keys("alice")).1;
    let roster = Roster { keep: vec![member("bob")], join: vec![kept, offered] };
    let emission = world.commit(&Delta::Replace(roster));
    assert_eq!(emission.joiners().len(), 1, "alice is present: she stays as she is");
    world.welcome(&emission, [(keys("dora"), pending)].into_iter());
    assert_eq!(Vec::from_iter(world.members.keys()), ["alice", "bob", "dora"]);
    assert_eq!(world.agreed().0, Epoch(2));
}

#[test]
fn a_replacement_keeps_the_committer_and_refuses_what_is_not_a_roster() {
    let mut world = World::with(&["alice", "bob"]);
    let group = &mut world.publisher.group;
    let roster =
        |keep: &[&str], join| Delta::Replace(Roster { keep: keep.iter().map(|of| member(of)).collect(), join });
    refused!(group, group.stage(&roster(&["alice", "bob"], vec![])), Error::EmptyBatch);
    refused!(group, group.stage(&roster(&["publisher", "alice", "bob"], vec![])), Error::EmptyBatch);
    refused!(group, group.stage(&roster(&["alice", "alice"], vec![])), Error::DuplicateMember(_));
    refused!(group, group.stage(&roster(&["alice", "nobody"], vec![])), Error::MemberNotFound(_));
    let bob = offer(&keys("bob")).1;
    refused!(group, group.stage(&roster(&["alice", "bob"], vec![bob])), Error::DuplicateMember(_));

    world.commit(&roster(&[], vec![]));
    assert_eq!(world.agreed().0, Epoch(2));
    assert!(world.members.is_empty());
    assert_eq!(world.publisher.group.roster()[0].key_id, name("publisher"));
}
