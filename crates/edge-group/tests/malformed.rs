//! Bytes from hell: whatever is changed, also behind a valid signature, gives an error and never a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::cell::RefCell;

use common::{STREAM, World, join, keys, now, offer};
use edge_group::{Delta, KeyPackageOffer, Op, PendingJoin, SignedWelcome};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

fn runner(seed: u8, cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]))
}

/// A way to damage bytes.
#[derive(Debug, Clone)]
enum Damage {
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Insert(prop::sample::Index, Vec<u8>),
    Fill(prop::sample::Index, u8, u8),
}

fn damage() -> impl Strategy<Value = Vec<Damage>> {
    let at = any::<prop::sample::Index>;
    let bytes = proptest::collection::vec(any::<u8>(), 1..40);
    let one = prop_oneof![
        4 => (at(), 1u8..).prop_map(|(index, bits)| Damage::Flip(index, bits)),
        1 => at().prop_map(Damage::Cut),
        1 => (at(), bytes).prop_map(|(index, bytes)| Damage::Insert(index, bytes)),
        2 => (at(), 1u8..64, any::<u8>()).prop_map(|(index, len, byte)| Damage::Fill(index, len, byte)),
    ];
    proptest::collection::vec(one, 1..4)
}

/// Damage falls on the first 80 bytes every other time: headers and lengths are there.
fn apply(bytes: &[u8], damages: &[Damage], front: bool) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for damage in damages {
        let span = if front { out.len().min(80) } else { out.len() };
        if span == 0 {
            break;
        }
        match damage {
            Damage::Flip(index, bits) => out[index.index(span)] ^= bits,
            Damage::Cut(index) => out.truncate(index.index(span)),
            Damage::Insert(index, bytes) => {
                let at = index.index(span);
                out.splice(at..at, bytes.iter().copied());
            }
            Damage::Fill(index, len, byte) => {
                let at = index.index(span);
                out.iter_mut().skip(at).take(usize::from(*len)).for_each(|slot| *slot = *byte);
            }
        }
    }
    out
}

#[test]
fn damaged_commits_leave_the_member_where_it_was() {
    let mut world = World::with(&["alice", "bob"]);
    let mut alice = world.members.remove("alice").unwrap();
    let staged = world.group().stage(&Delta::Join(Box::new(offer(&keys("carol")).1))).unwrap();
    let emission = world.settle(staged);
    let (epoch, dek) = (alice.group.epoch(), alice.group.dek().unwrap());
    let group = RefCell::new(&mut alice.group);
    let result = runner(1, 600).run(&(damage(), any::<bool>()), |(damages, front)| {
        let changed = apply(emission.commit(), &damages, front);
        prop_assume!(changed != emission.commit());
        let mut group = group.borrow_mut();
        prop_assert!(group.process(&changed).is_err());
        prop_assert!(group.accept_foreign(&changed).is_err());
        prop_assert_eq!(group.epoch(), epoch);
        Ok(())
    });
    result.unwrap();
    assert_eq!(alice.group.dek().unwrap(), dek);
    assert_eq!(alice.group.process(emission.commit()).unwrap().added, [common::name("carol")]);
}

#[test]
fn damaged_key_packages_under_a_valid_signature() {
    let (_, offer) = PendingJoin::new(STREAM, &keys("alice"), now()).unwrap();
    let wire = offer.to_bytes();
    let result = runner(2, 400).run(&(damage(), any::<bool>()), |(damages, front)| {
        let rebound = common::rebind(&wire, &keys("alice"), |bytes| apply(bytes, &damages, front));
        prop_assume!(rebound[..wire.len() - 3373] != wire[..wire.len() - 3373]);
        let result = KeyPackageOffer::parse(&rebound).and_then(|offer| offer.verify(STREAM, now()));
        prop_assert!(result.is_err());
        Ok(())
    });
    result.unwrap();
}

#[test]
fn damaged_welcomes_and_trees_under_a_valid_signature() {
    let world = World::with(&["alice", "carol"]);
    let (inviter, joiner) = (world.publisher.keys.fingerprint(), keys("carol"));
    let publisher = RefCell::new(world.publisher);
    let strategy = (damage(), any::<bool>(), any::<bool>());
    let result = runner(3, 200).run(&strategy, |(damages, front, in_tree)| {
        let publisher = &mut *publisher.borrow_mut();
        let (pending, offered) = offer(&joiner);
        let readmit = Delta::Batch(vec![Op::Leave(common::name("carol")), join(offered)]);
        let staged = publisher.group.stage(&readmit).unwrap();
        let honest = staged.emission().welcomes(&publisher.keys).unwrap().remove(0).to_bytes();
        publisher.group.merge(staged).unwrap();
        let tree = publisher.group.export_tree().unwrap();
        let (welcome, used) = match in_tree {
            true => (honest, apply(&tree, &damages, front)),
            false => (common::readdress(&honest, &publisher.keys, |bytes| apply(bytes, &damages, front)), tree.clone()),
        };
        prop_assume!(!in_tree || used != tree);
        let verified = SignedWelcome::parse(&welcome).unwrap().verify(inviter, joiner.fingerprint()).unwrap();
        prop_assert!(pending.accept(&verified, Some(&used), now()).is_err());
        Ok(())
    });
    result.unwrap();
}

#[test]
fn noise_is_no_message() {
    let mut world = World::with(&["alice"]);
    let alice = RefCell::new(world.member("alice"));
    let prefixes: [&[u8]; 5] =
        [&[], &[0, 1, 0, 2], &[0, 1, 0, 1], &[0, 1, 0, 3, 0, 0x4d], &[0, 1, 0, 5, 0, 1, 0, 0x4d]];
    let noise = (0..prefixes.len(), proptest::collection::vec(any::<u8>(), 0..300));
    let result = runner(4, 2_000).run(&noise, |(prefix, tail)| {
        let bytes = [prefixes[prefix], &tail].concat();
        let mut alice = alice.borrow_mut();
        prop_assert!(alice.group.process(&bytes).is_err());
        prop_assert!(alice.receive(&bytes).is_err());
        prop_assert!(KeyPackageOffer::parse(&bytes).is_err());
        prop_assert!(SignedWelcome::parse(&bytes).is_err());
        Ok(())
    });
    result.unwrap();
}
