//! Commits that race, repeat, skip, stray or evict: each has its own result, and all members end in one epoch.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{World, keys, name, now, offer};
use edge_group::{AcceptedCommit, CommitLog, CommitQueue, Delta, Error, Group, Incarnation};
use edge_wire::id::{Epoch, StreamId};

#[test]
fn the_loser_of_a_race_applies_the_winner_and_proposes_again() {
    let mut world = World::with(&["alice", "bob"]);
    let losing = world.member("alice").group.stage_refresh().unwrap();
    let lost = losing.emission().clone();
    let (pending, offered) = offer(&keys("carol"));
    let emission = world.commit(&Delta::Join(Box::new(offered)));
    world.welcome(&emission, [(keys("carol"), pending)].into_iter());
    let alice = &mut world.member("alice").group;
    assert!(matches!(alice.merge(losing), Err(Error::Superseded)));
    assert!(matches!(world.group().accept_foreign(lost.commit()), Err(Error::StaleCommit { have: 2, got: 1 })));

    let again = world.member("alice").group.stage_refresh().unwrap();
    let (applied, emission) = world.group().accept_foreign(again.emission().commit()).unwrap();
    assert_eq!((applied.epoch, applied.added.len(), applied.removed.len()), (Epoch(3), 0, 0));
    world.broadcast(&emission);
    assert_eq!(world.agreed().0, Epoch(3));
}

#[test]
fn the_committer_settles_its_own_commit_before_it_accepts_another() {
    let mut world = World::with(&["alice"]);
    let foreign = world.member("alice").group.stage_refresh().unwrap();
    let own = world.group().stage(&Delta::Rotate).unwrap();
    let commit = foreign.emission().commit().to_vec();
    let group = &mut world.publisher.group;
    refused!(group, group.accept_foreign(&commit), Error::CommitPending);
    refused!(group, group.stage(&Delta::Rotate), Error::CommitPending);
    group.discard(own).unwrap();
    let (_, emission) = group.accept_foreign(&commit).unwrap();
    world.broadcast(&emission);
    assert_eq!(world.agreed().0, Epoch(2));
}

#[test]
fn a_key_is_not_out_before_its_commit_is_accepted() {
    let mut world = World::with(&["alice"]);
    let (_, before) = world.agreed();
    let staged = world.group().stage(&Delta::Rotate).unwrap();
    assert_eq!(world.publisher.group.dek().unwrap(), before);
    assert_eq!(world.publisher.group.epoch(), Epoch(1));
    world.group().discard(staged).unwrap();
    let staged = world.group().stage(&Delta::Rotate).unwrap();
    world.settle(staged);
    assert_ne!(world.agreed().1, before);
}

#[test]
fn a_refresh_may_not_change_the_roster() {
    let mut world = World::with(&["alice", "bob", "mallory"]);
    let coup = world.member("mallory").group.stage(&Delta::Leave(name("bob"))).unwrap();
    let commit = coup.emission().commit().to_vec();
    refused!(world.publisher.group, world.publisher.group.accept_foreign(&commit), Error::UnexpectedProposals);
    let alice = &mut world.members.get_mut("alice").unwrap().group;
    refused!(alice, alice.process(&commit), Error::UnexpectedProposals);
    world.members.remove("mallory");
    world.commit(&Delta::Leave(name("mallory")));
    assert_eq!(world.agreed().0, Epoch(2));
}

#[test]
fn replay_gap_and_stray_are_told_apart() {
    let mut world = World::with(&["alice", "bob"]);
    let mut alice = world.members.remove("alice").unwrap();
    let first = world.publisher.group.stage(&Delta::Rotate).unwrap();
    let first = world.settle(first).accepted(&world.publisher.keys).unwrap().to_bytes();
    let second = world.commit(&Delta::Rotate).accepted(&world.publisher.keys).unwrap().to_bytes();

    refused!(alice.group, alice.receive(&second), Error::CommitGap { have: 1, got: 2 });
    alice.receive(&first).unwrap();
    refused!(alice.group, alice.receive(&first), Error::StaleCommit { have: 2, got: 1 });
    alice.receive(&second).unwrap();
    world.members.insert("alice".into(), alice);
    assert_eq!(world.agreed().0, Epoch(3));

    let mut elsewhere = Group::create(StreamId([1; 32]), Incarnation([2; 8]), &keys("publisher"), now()).unwrap();
    let foreign = elsewhere.stage(&Delta::Rotate).unwrap();
    let alice = &mut world.member("alice").group;
    refused!(alice, alice.process(foreign.emission().commit()), Error::WrongGroup);
    let welcome = world.publisher.group.stage(&Delta::Join(Box::new(offer(&keys("dora")).1))).unwrap();
    let alice = &mut world.members.get_mut("alice").unwrap().group;
    refused!(alice, alice.process(welcome.emission().welcome().unwrap()), Error::NotACommit);
    refused!(alice, alice.process(b"\0\x01\0\x01"), Error::WireDecodeFailed);
    refused!(alice, alice.process(&[]), Error::WireDecodeFailed);
}

#[test]
fn a_commit_in_the_clear_is_refused() {
    use edge_wire::Writer;
    let mut world = World::with(&["alice"]);
    // MLSMessage { mls10, PublicMessage { content, auth, membership_tag } } with an empty-proposal commit of leaf 0.
    let mut out = Writer::new();
    out.u16(1).u16(1).u8(40).raw(&common::STREAM.0).raw(&common::INCARNATION.0).u64(1);
    out.u8(1).u32(0).u8(0).u8(3).u8(0).u8(0);
    out.u8(32).raw(&[0; 32]).u8(32).raw(&[0; 32]).u8(32).raw(&[0; 32]);
    let alice = &mut world.member("alice").group;
    refused!(alice, alice.process(&out.finish()), Error::PublicMessageRefused);
}

#[test]
fn eviction_ends_the_session() {
    let mut world = World::with(&["alice", "bob"]);
    let mut bob = world.members.remove("bob").unwrap();
    let gone = world.commit(&Delta::Leave(name("bob")));
    let wire = gone.accepted(&world.publisher.keys).unwrap().to_bytes();
    let after = world.commit(&Delta::Rotate).accepted(&world.publisher.keys).unwrap();

    assert!(matches!(bob.receive(&wire), Err(Error::Evicted { epoch: 2 })));
    assert_eq!(bob.group.epoch(), Epoch(2));
    assert!(matches!(bob.receive(&wire), Err(Error::Evicted { epoch: 2 })));
    assert!(matches!(bob.group.process(after.commit()), Err(Error::Evicted { .. })));
    assert!(matches!(bob.group.accept_foreign(after.commit()), Err(Error::Evicted { .. })));
    assert!(matches!(bob.group.stage(&Delta::Rotate), Err(Error::Evicted { .. })));
    assert!(matches!(bob.group.dek(), Err(Error::Evicted { .. })));
    assert!(matches!(bob.group.epoch_authenticator(), Err(Error::Evicted { .. })));
    assert!(matches!(bob.group.export_tree(), Err(Error::Evicted { .. })));
    assert!(matches!(bob.group.snapshot(), Err(Error::Evicted { .. })));
    assert!(matches!(CommitQueue::default().push(&bob.group, after), Err(Error::Evicted { .. })));
    assert!(matches!(bob.group.leave(&bob.keys), Err(Error::Evicted { .. })));
}

#[test]
fn acceptance_is_signed_by_the_committer_and_covers_every_byte() {
    let mut world = World::with(&["alice", "bob"]);
    let staged = world.group().stage(&Delta::Rotate).unwrap();
    let forged = staged.emission().accepted(&keys("bob")).unwrap().to_bytes();
    let alice = world.member("alice");
    refused!(alice.group, alice.receive(&forged), Error::AcceptanceRejected);
    let wire = staged.emission().accepted(&world.publisher.keys).unwrap().to_bytes();
    let committer = world.publisher.keys.public();
    for index in 0..wire.len() {
        let mut changed = wire.clone();
        changed[index] ^= 1 << (index % 8);
        assert!(AcceptedCommit::verify(&changed, committer).is_err(), "byte {index}");
    }
    for len in 0..wire.len() {
        assert!(AcceptedCommit::verify(&wire[..len], committer).is_err(), "length {len}");
    }
    world.settle(staged);
    world.agreed();
}

#[test]
fn commits_out_of_order_wait_for_the_missing_one() {
    let mut world = World::with(&["alice"]);
    let mut alice = world.members.remove("alice").unwrap();
    let (mut log, mut queue) = (CommitLog::default(), CommitQueue::default());
    let commits: Vec<AcceptedCommit> =
        (0..5).map(|_| world.commit(&Delta::Rotate).accepted(&world.publisher.keys).unwrap()).collect();
    commits.iter().for_each(|commit| log.push(commit.clone()));

    for commit in [&commits[3], &commits[1], &commits[3]] {
        queue.push(&alice.group, commit.clone()).unwrap();
        assert!(queue.next(&mut alice.group).is_none());
    }
    assert_eq!(queue.missing(&alice.group), Some(Epoch(1)));
    let refetched: Vec<_> = log.since(Epoch(1)).cloned().collect();
    assert_eq!(refetched.len(), 5);
    for commit in refetched {
        queue.push(&alice.group, commit).unwrap();
    }
    let mut epochs = Vec::new();
    while let Some(applied) = queue.next(&mut alice.group) {
        epochs.push(applied.unwrap().epoch.0);
    }
    assert_eq!(epochs, [2, 3, 4, 5, 6]);
    assert_eq!(queue.missing(&alice.group), None);
    assert!(matches!(queue.push(&alice.group, commits[0].clone()), Err(Error::StaleCommit { have: 6, got: 1 })));
    assert_eq!(log.since(Epoch(0)).count(), 0, "nothing before the log's start: that member must rejoin");
    world.members.insert("alice".into(), alice);
    world.agreed();
}

#[test]
fn the_queue_and_the_log_are_bounded() {
    let mut world = World::with(&["alice"]);
    let alice = world.members.remove("alice").unwrap();
    let (mut log, mut queue) = (CommitLog::default(), CommitQueue::default());
    let mut results = Vec::new();
    for _ in 0..CommitQueue::MAX_COMMITS + 2 {
        let commit = world.commit(&Delta::Rotate).accepted(&world.publisher.keys).unwrap();
        log.push(commit.clone());
        results.push(queue.push(&alice.group, commit).is_ok());
    }
    assert_eq!(results.iter().filter(|ok| **ok).count(), CommitQueue::MAX_COMMITS);
    assert_eq!(log.since(Epoch(3)).count(), CommitLog::MAX_COMMITS);
    assert_eq!(log.since(Epoch(2)).count(), 0);
}

#[test]
fn refreshed_leaves_make_commits_small() {
    let names: Vec<String> = (0..15).map(|index| format!("member-{index:02}")).collect();
    let mut world = World::with(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let cold = world.commit(&Delta::Rotate).commit().len();
    world.warm();
    let warm = world.commit(&Delta::Rotate).commit().len();
    assert_eq!(world.agreed().0, Epoch(18));
    assert!(warm * 2 < cold, "{warm} of {cold} bytes");
}
