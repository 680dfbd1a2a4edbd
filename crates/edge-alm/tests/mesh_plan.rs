//! The live planner: whom it rules out, how it ranks, how it spreads.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod mesh_lab;

use std::collections::BTreeMap;

use edge_alm::mesh::plan::{BACKUPS_MAX, Candidate, Overlap, Request, Vouched, has_room, overlap, plan, standby};
use edge_alm::mesh::{Action, Config, Mesh, OFFERS_MAX, Offer, Origin};
use edge_alm::seats::{Claim, Share};
use edge_wire::control::Role;
use edge_wire::id::Fingerprint;
use edge_wire::layer::Policy;
use mesh_lab::{OWN, chain, config, fp, offer};

/// One that watches, and wants the whole stream.
const WATCHER: Claim = Claim { role: Role::Leaf, share: Share::Whole };

fn request(stream_kbps: u32) -> Request<'static> {
    Request {
        own: fp(OWN),
        seed: 5,
        policy: Policy::UNCAPPED,
        stream_kbps,
        claim: WATCHER,
        primary_chain: &[],
        avoid: &[],
    }
}

fn candidates(offers: &[Offer]) -> Vec<Candidate<'_>> {
    let candidate = |offer| Candidate { offer, rtt_ms: Some(20), vouched: Vouched::Independently, failures: 0 };
    offers.iter().map(candidate).collect()
}

fn best(offers: &[Offer]) -> Option<Fingerprint> {
    plan(&candidates(offers), &request(1_000)).map(|plan| plan.primary.offer.peer)
}

#[test]
fn some_are_no_parents_at_all() {
    let mut full = offer(&[1]);
    full.subscribers = full.subscribers_max;
    let mut narrow = offer(&[2]);
    (narrow.uplink_kbps, narrow.subscribers) = (5_999, 5);
    let mut wayless = offer(&[3]);
    wayless.chain.clear();
    let mut odd = offer(&[4]);
    odd.chain = chain(&[5]);
    let deep: Vec<u8> = (100..115).collect();
    let below = offer(&[OWN, 6]);
    let own = offer(&[OWN]);
    assert_eq!(best(&[full, narrow, wayless, odd, offer(&deep), below, own]), None);
    assert_eq!(best(&[]), None);
    assert_eq!(best(&[offer(&deep[..14])]), Some(fp(113)), "fifteen above, this peer the sixteenth");
}

#[test]
fn a_boast_counts_up_to_a_bound() {
    let mut boaster = offer(&[1]);
    (boaster.uplink_kbps, boaster.subscribers_max, boaster.subscribers) = (u32::MAX, u32::MAX, 400);
    assert!(!has_room(&boaster, 2_500, WATCHER));
    boaster.subscribers = 399;
    assert!(has_room(&boaster, 2_500, WATCHER));
    assert!(has_room(&boaster, 0, WATCHER), "without a bitrate only the count decides");
}

#[test]
fn the_newest_offer_of_a_peer_counts_even_if_it_looks_worse() {
    let (mut newer, older) = (offer(&[1]), offer(&[1]));
    newer.measured_at_unix_ms += 1;
    newer.subscribers = newer.subscribers_max;
    assert_eq!(best(&[older.clone(), newer.clone(), offer(&[7, 2])]), Some(fp(2)));
    assert_eq!(best(&[newer, offer(&[7, 2]), older]), Some(fp(2)));
}

#[test]
fn delay_from_the_source_then_room() {
    // Few places each, so that the tree may be a little deeper.
    let offer = |hops: &[u8]| Offer { subscribers_max: 2, ..offer(hops) };
    let offers = [offer(&[9, 1]), offer(&[2]), offer(&[3])];
    let of = |rtts: [Option<u32>; 3]| {
        let zipped = offers.iter().zip(rtts);
        let all: Vec<_> = zipped
            .map(|(offer, rtt_ms)| Candidate { offer, rtt_ms, vouched: Vouched::Independently, failures: 0 })
            .collect();
        plan(&all, &request(1_000)).unwrap().primary.offer.peer
    };
    assert_eq!(of([Some(1), Some(95), Some(30)]), fp(3));
    assert_eq!(
        of([Some(1), Some(95), None]),
        fp(1),
        "one peer more on the way is less than a round trip across the world"
    );
    assert_eq!(of([None, Some(95), None]), fp(2), "an unknown round trip is a long one, and no exclusion");
    let announced = |hops: &[u8], delay_ms| Offer { delay_ms: Some(delay_ms), ..offer(hops) };
    assert_eq!(best(&[announced(&[9, 1], 40), announced(&[2], 55), announced(&[3], 300)]), Some(fp(1)));
    assert_eq!(
        best(&[announced(&[8, 9, 1], 0), announced(&[2], 19)]),
        Some(fp(2)),
        "each peer on a way takes its time"
    );
    let mut roomy = offer(&[3]);
    roomy.subscribers_max = 60;
    assert_eq!(best(&[offer(&[1]), offer(&[2]), roomy]), Some(fp(3)));
}

#[test]
fn a_flat_tree_comes_before_a_short_way() {
    let offers: Vec<_> = (1..=40).map(|peer| offer(&[peer])).chain([offer(&[41, 42, 43, 44])]).collect();
    let all: Vec<_> = offers
        .iter()
        .map(|offer| {
            let rtt_ms = Some(if offer.chain.len() > 3 { 1 } else { 400 });
            Candidate { offer, rtt_ms, vouched: Vouched::Independently, failures: 0 }
        })
        .collect();
    let chosen = plan(&all, &request(1_000)).unwrap().primary.offer;
    assert_eq!(chosen.chain.len(), 2, "forty peers with places for many need no fifth hop");
    assert_eq!(plan(&all[40..], &request(1_000)).unwrap().primary.offer.peer, fp(44), "better than nobody");
}

#[test]
fn what_only_one_neighbour_tells_comes_last() {
    let offer = |hops: &[u8]| Offer { subscribers_max: 2, ..offer(hops) };
    let offers = [offer(&[1]), offer(&[9, 2])];
    let all = [
        Candidate { offer: &offers[0], rtt_ms: Some(1), vouched: Vouched::Once, failures: 0 },
        Candidate { offer: &offers[1], rtt_ms: Some(90), vouched: Vouched::Independently, failures: 0 },
    ];
    assert_eq!(plan(&all, &request(1_000)).unwrap().primary.offer.peer, fp(2));
    assert_eq!(plan(&all[..1], &request(1_000)).unwrap().primary.offer.peer, fp(1), "better than nobody");
}

#[test]
fn backups_are_others_on_other_ways() {
    let offers = [offer(&[1]), offer(&[1, 2]), offer(&[1, 3]), offer(&[8, 9, 4])];
    let all = candidates(&offers);
    let plan = plan(&all, &request(1_000)).unwrap();
    let backups: Vec<_> = plan.backups.iter().map(|it| it.offer.peer).collect();
    assert_eq!((plan.primary.offer.peer, backups.len(), backups[0]), (fp(1), BACKUPS_MAX, fp(4)));
    let way = chain(&[9, 5]);
    let shared = Request { primary_chain: &way, ..request(1_000) };
    let offers = [offer(&[9, 6]), offer(&[7, 8, 4])];
    assert_eq!(standby(&candidates(&offers), &shared).unwrap().offer.peer, fp(4));
}

#[test]
fn ways_overlap_in_three_degrees() {
    assert_eq!(overlap(&chain(&[1, 2]), &chain(&[3, 4])), Overlap::None);
    assert_eq!(overlap(&chain(&[1, 2]), &chain(&[1, 4])), Overlap::FirstHop);
    assert_eq!(overlap(&chain(&[1, 2]), &chain(&[1, 2, 4])), Overlap::Through);
    assert_eq!(overlap(&chain(&[]), &chain(&[1])), Overlap::None, "the source is on every way");
}

#[test]
fn the_order_of_offers_does_not_matter() {
    let mut offers: Vec<Offer> = (1..60).map(|n| offer(&[n])).collect();
    let chosen = best(&offers);
    offers.reverse();
    assert_eq!(best(&offers), chosen);
    offers.rotate_left(17);
    assert_eq!(best(&offers), chosen);
}

#[test]
fn receivers_spread_over_equal_parents() {
    for seed in 0..5_u64 {
        let mut load: BTreeMap<Fingerprint, u32> = BTreeMap::new();
        for receiver in 0..100_u8 {
            let own = Fingerprint([receiver; 32]);
            let mut mesh = Mesh::new(Config { own, seed: seed * 1000 + u64::from(receiver), ..config(0) }, 0);
            (201..205).for_each(|n| {
                let mut equal = offer(&[n]);
                (equal.peer, equal.subscribers_max) = (Fingerprint([n; 32]), 100);
                equal.chain[1] = equal.peer;
                mesh.offer(0, Origin::Ticket, equal);
            });
            match mesh.poll(0) {
                Some(Action::Subscribe { peer, .. }) => *load.entry(peer).or_default() += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(load.len(), 4);
        assert!(load.values().all(|count| (13..=37).contains(count)), "{load:?}");
    }
}

#[test]
fn a_flood_of_offers_pushes_out_its_own() {
    let mut mesh = Mesh::new(config(1), 0);
    let honest: Vec<Offer> = (1..40).map(|n| offer(&[50, 51, n])).collect();
    for it in &honest {
        mesh.offer(0, Origin::Peer(fp(60)), it.clone());
    }
    for n in 0..5_000_u32 {
        let mut bytes = [7; 32];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        let peer = Fingerprint(bytes);
        let chain = vec![fp(mesh_lab::SOURCE), peer];
        mesh.offer(0, Origin::Peer(fp(61)), Offer { peer, chain, ..offer(&[1]) });
    }
    assert_eq!(mesh.offers(), OFFERS_MAX);
    for it in &honest {
        mesh.offer(0, Origin::Ticket, it.clone());
    }
    assert_eq!(mesh.offers(), OFFERS_MAX);
    match mesh.poll(0) {
        Some(Action::Subscribe { peer, .. }) => assert!(honest.iter().any(|it| it.peer == peer)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn ten_thousand_offers_are_planned_as_the_definition_says() {
    let offers: Vec<Offer> = (0..10_000_u32)
        .map(|n| {
            let mut bytes = [3; 32];
            bytes[..4].copy_from_slice(&(n % 7_000).to_be_bytes());
            let peer = Fingerprint(bytes);
            let mut chain = chain(&vec![9; (n % 5) as usize]);
            chain.push(peer);
            Offer { peer, chain, measured_at_unix_ms: u64::from(n), subscribers: n % 23, ..offer(&[1]) }
        })
        .collect();
    let found = best(&offers).unwrap();
    // Spread out: the newest of each peer, with room, of the least depth, with the most room in powers of two.
    let newest: BTreeMap<Fingerprint, &Offer> = offers.iter().map(|offer| (offer.peer, offer)).collect();
    let key = |offer: &Offer| {
        let spare = (100_000 / 1_000).min(offer.subscribers_max) - offer.subscribers;
        (offer.chain.len(), std::cmp::Reverse(spare.ilog2()))
    };
    let eligible: Vec<_> = newest.values().filter(|offer| offer.subscribers < offer.subscribers_max).collect();
    let least = eligible.iter().map(|offer| key(offer)).min().unwrap();
    assert_eq!(key(newest[&found]), least);
}

#[test]
fn those_who_lose_one_parent_look_for_the_next_standby_at_different_times() {
    let mut asked_ms = Vec::new();
    for seed in 0..40 {
        let mut mesh = Mesh::new(config(seed), 0);
        (1..=4).for_each(|n| mesh.offer(0, Origin::Ticket, offer(&[n])));
        let mut asked = Vec::new();
        for now_ms in 0..2_000 {
            while let Some(action) = mesh.poll(now_ms) {
                if let Action::Subscribe { peer, .. } = action {
                    asked.push((now_ms, peer));
                    mesh.linked(now_ms, peer, 20, &chain(&[(1..=4).find(|n| fp(*n) == peer).unwrap()]));
                }
            }
            if now_ms == 1_000 {
                let primary = mesh.state().primary.unwrap();
                mesh.lost(now_ms, primary);
                assert!(matches!(mesh.poll(now_ms), Some(Action::SetPolicy { .. })), "the standby takes over at once");
            }
        }
        asked_ms.extend(asked.iter().map(|(at_ms, _)| *at_ms).find(|at_ms| *at_ms > 1_000));
    }
    let early = asked_ms.iter().filter(|at_ms| **at_ms <= 1_100).count();
    assert_eq!(asked_ms.len(), 40);
    assert!((1..=25).contains(&early), "{asked_ms:?}");
    assert!(asked_ms.iter().any(|at_ms| *at_ms > 1_250));
}
