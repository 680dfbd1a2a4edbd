//! Parents die, fall silent, come back, hang in loops: the picture goes on, and nothing flaps.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod mesh_lab;

use edge_alm::mesh::{ACTIVE_MAX, DropWhy, Offer, Origin, Reason, Role, SwitchWhy, Why};
use edge_wire::layer::{Layer, Policy};
use mesh_lab::{Conduct, Lab, chain, config, fp, offer};

fn three() -> Lab {
    Lab::new(config(7)).with(&[1], 10, Conduct::Honest).with(&[2], 15, Conduct::Honest).with(&[3], 20, Conduct::Honest)
}

#[test]
fn a_newcomer_gets_a_primary_with_everything_and_a_standby_with_the_base() {
    let mut lab = three();
    lab.run(3_000);
    let state = lab.mesh.state();
    assert_eq!(state.primary, Some(fp(1)));
    assert_eq!((state.standbys.len(), state.cold.len()), (1, 1));
    assert_eq!((state.links[0].role, state.links[0].policy), (Role::Primary, Policy::UNCAPPED));
    assert_eq!((state.links[1].role, state.links[1].policy), (Role::Standby, Policy::BLINKING_DOT));
    assert_eq!((state.policy, state.why), (Policy::UNCAPPED, Why::Wanted));
    assert_eq!((state.counters.switches, lab.opened_twice), (0, 0));
    assert!(state.counters.duplicates > 50);
    assert_eq!(lab.switches()[0].2, SwitchWhy::First);
}

#[test]
fn a_calm_mesh_stays_as_it_is() {
    let mut lab = three();
    lab.run(120_000);
    assert_eq!(lab.mesh.state().counters.switches, 0);
    assert_eq!((lab.drops(), lab.accusations(), lab.stranded()), (vec![], vec![], 0));
}

#[test]
fn a_dead_primary_is_replaced_by_the_standby_within_the_bar() {
    for (seed, off_ms) in (0..40).map(|seed| (seed, seed * 7)) {
        let mut lab = Lab::new(config(seed)).with(&[1], 10, Conduct::Honest).with(&[2], 15, Conduct::Honest).with(
            &[3],
            20,
            Conduct::Honest,
        );
        lab.run(5_000 + off_ms);
        let before_ms = lab.now_ms;
        lab.kill(1);
        lab.run(5_000);
        assert!(lab.longest_gap_ms(before_ms - 200) <= 300, "gap {}", lab.longest_gap_ms(before_ms - 200));
        let state = lab.mesh.state();
        assert_ne!(state.primary, Some(fp(1)));
        assert_eq!(state.counters.heals, 1);
        assert_eq!(state.links.len(), 2, "a new standby from the cold ones");
        assert_eq!(
            lab.drops().iter().map(|(_, peer, why)| (*peer, *why)).collect::<Vec<_>>(),
            [(fp(1), DropWhy::Silent)]
        );
        lab.layers.clear();
        lab.run(1_000);
        assert!(lab.count(1) >= 28, "all layers are back");
    }
}

#[test]
fn a_lost_link_promotes_at_once() {
    let mut lab = three();
    lab.run(4_000);
    lab.kill(1);
    lab.mesh.lost(lab.now_ms, fp(1));
    lab.drive();
    assert_eq!(lab.switches().last().unwrap(), &(4_000, lab.primary().unwrap(), SwitchWhy::Lost));
    lab.run(2_000);
    assert!(lab.mesh.state().links.iter().all(|link| link.peer != fp(1)));
    assert_eq!(lab.mesh.state().links.len(), 2);
}

#[test]
fn a_pause_of_the_source_changes_no_parent() {
    let mut lab = three();
    lab.run(5_000);
    lab.source_paused = true;
    lab.run(20_000);
    assert_eq!(lab.stranded(), 1, "told once");
    assert!(lab.mesh.state().links.len() <= ACTIVE_MAX);
    lab.source_paused = false;
    lab.run(6_000);
    let state = lab.mesh.state();
    assert_eq!((state.primary, state.counters.switches), (Some(fp(1)), 0));
    assert_eq!(state.links.len(), 2, "the third one was not needed");
}

#[test]
fn a_partition_strands_and_its_end_heals() {
    let mut lab = three();
    lab.run(5_000);
    (1..=3).for_each(|n| lab.parent(n).conduct = Conduct::Mute);
    lab.run(8_000);
    assert_eq!(lab.stranded(), 1);
    lab.parent(3).conduct = Conduct::Honest;
    lab.run(30_000);
    assert_eq!(lab.primary(), Some(fp(3)));
    lab.pictures.clear();
    lab.run(2_000);
    assert!(lab.pictures.len() >= 14);
}

#[test]
fn dead_parents_behind_one_hop_do_not_share_the_standby() {
    let mut lab = Lab::new(config(3)).with(&[9, 1], 10, Conduct::Honest).with(&[9, 2], 10, Conduct::Honest).with(
        &[8, 3],
        30,
        Conduct::Honest,
    );
    lab.run(3_000);
    let state = lab.mesh.state();
    assert!([fp(1), fp(2)].contains(&state.primary.unwrap()));
    assert_eq!(state.standbys, [fp(3)]);
}

#[test]
fn a_flapping_parent_does_not_make_the_receiver_flap() {
    let mut lab = three();
    lab.run(5_000);
    for _ in 0..20 {
        lab.parent(1).conduct = Conduct::Mute;
        lab.run(700);
        lab.parent(1).conduct = Conduct::Honest;
        lab.run(2_300);
    }
    assert!(lab.mesh.state().counters.switches <= 3, "{:?}", lab.switches());
    assert!(lab.longest_gap_ms(5_000) <= 400);
}

#[test]
fn a_way_through_oneself_is_dropped_at_once_and_not_banned() {
    let mut lab = three();
    lab.run(4_000);
    lab.mesh.rerouted(lab.now_ms, fp(1), &chain(&[4, mesh_lab::OWN, 1]));
    lab.drive();
    assert_eq!(lab.drops(), [(4_000, fp(1), DropWhy::Loop)]);
    assert_eq!(lab.mesh.state().primary, Some(lab.switches().last().unwrap().1));
    assert!(lab.mesh.state().bans.is_empty());
    lab.run(10_000);
    assert!(lab.mesh.state().links.iter().all(|link| link.peer != fp(1)), "its offer leads through this peer");
    let mut again = offer(&[1]);
    again.measured_at_unix_ms = 2_000;
    lab.mesh.offer(lab.now_ms, edge_alm::mesh::Origin::Ticket, again);
    lab.run(500);
    lab.kill(2);
    lab.kill(3);
    lab.run(8_000);
    assert_eq!(lab.primary(), Some(fp(1)), "a later way may lead elsewhere");
}

#[test]
fn two_that_promote_each_other_let_go() {
    let mut lab = Lab::new(config(5)).with(&[1], 10, Conduct::Honest).with(&[2, 3], 20, Conduct::Honest);
    lab.run(3_000);
    lab.mesh.lost(lab.now_ms, fp(1));
    lab.kill(1);
    lab.drive();
    assert_eq!(lab.primary(), Some(fp(3)));
    lab.mesh.rerouted(lab.now_ms, fp(3), &chain(&[mesh_lab::OWN, 3]));
    lab.drive();
    assert_eq!(lab.primary(), None);
    lab.mesh.withdraw(fp(1));
    lab.run(100);
    assert_eq!(lab.stranded(), 1, "only what hangs below is left");
    lab.run(5_000);
    assert!(lab.mesh.state().links.is_empty());
    lab.add(&[4], 10, Conduct::Honest);
    lab.run(1_000);
    assert_eq!(lab.primary(), Some(fp(4)));
}

#[test]
fn a_parent_without_a_way_hands_over() {
    let mut lab = three();
    lab.run(4_000);
    lab.mesh.rerouted(lab.now_ms, fp(1), &[]);
    lab.drive();
    assert_eq!(lab.switches().last().unwrap().2, SwitchWhy::Wayless);
    assert_ne!(lab.primary(), Some(fp(1)));
    lab.mesh.rerouted(lab.now_ms, fp(1), &chain(&[1]));
    lab.run(1_000);
    assert!(lab.longest_gap_ms(1_000) <= 300);
}

#[test]
fn a_chain_that_is_too_long_is_refused() {
    let long: Vec<u8> = (100..116).collect();
    let mut lab = three();
    lab.run(4_000);
    lab.mesh.rerouted(lab.now_ms, fp(1), &chain(&long[..15]));
    lab.drive();
    assert_eq!(lab.drops()[0].2, DropWhy::TooDeep);
}

#[test]
fn those_that_refuse_are_asked_again_later_and_others_meanwhile() {
    let mut lab = Lab::new(config(2));
    lab.add(&[1], 5, Conduct::Honest);
    lab.parent(1).refuses = Some(Reason::Full);
    lab.run(300);
    lab.add(&[2], 30, Conduct::Honest);
    lab.run(10_000);
    assert_eq!(lab.primary(), Some(fp(2)));
    let asked: Vec<u64> = lab
        .log
        .iter()
        .filter(|(_, action)| matches!(action, edge_alm::mesh::Action::Subscribe { peer, .. } if *peer == fp(1)))
        .map(|(at_ms, _)| *at_ms)
        .collect();
    let waits: Vec<u64> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits.len() <= 6 && waits.iter().all(|wait_ms| *wait_ms >= 250), "{waits:?}");
    assert!(waits.last() > waits.first(), "{waits:?}");
    lab.parent(1).refuses = None;
    lab.run(12_000);
    assert_eq!(lab.mesh.state().links.len(), 2);
}

#[test]
fn a_nearer_parent_takes_over_once_and_without_a_gap() {
    let mut lab = Lab::new(config(4)).with(&[1], 60, Conduct::Honest).with(&[2], 65, Conduct::Honest);
    lab.run(6_000);
    lab.add(&[3], 5, Conduct::Honest);
    let from_ms = lab.now_ms;
    lab.run(30_000);
    assert_eq!(lab.primary(), Some(fp(3)));
    let switches = lab.switches();
    assert_eq!((switches.len(), switches[1].2), (2, SwitchWhy::Better));
    assert!(lab.longest_gap_ms(from_ms) <= 140, "{}", lab.longest_gap_ms(from_ms));
    let upper = lab.layers.get(&Layer::new(1, 0, 0)).copied().unwrap_or(0);
    let base = lab.layers.get(&Layer::BASE).copied().unwrap_or(0);
    assert!(upper + 4 >= base, "upper layers went on: {upper} of {base}");
}

#[test]
fn two_near_equals_do_not_take_turns() {
    let mut lab = Lab::new(config(4)).with(&[1], 20, Conduct::Honest).with(&[2], 24, Conduct::Honest);
    for round in 0..60_u32 {
        let (a, b) = if round % 2 == 0 { (40, 90) } else { (90, 40) };
        lab.mesh.measured(lab.now_ms, fp(1), a);
        lab.mesh.measured(lab.now_ms, fp(2), b);
        lab.run(2_000);
    }
    assert!(lab.mesh.state().counters.voluntary <= 2, "at most one a minute");
}

#[test]
fn an_unsteady_primary_gives_the_standby_every_frame() {
    let mut lab = Lab::new(config(4)).with(&[1], 20, Conduct::Honest).with(&[2], 200, Conduct::Honest);
    lab.run(5_000);
    for _ in 0..3 {
        lab.parent(1).conduct = Conduct::Mute;
        lab.run(150);
        lab.parent(1).conduct = Conduct::Honest;
        lab.run(1_000);
    }
    let state = lab.mesh.state();
    assert_eq!(state.primary, Some(fp(1)));
    assert_eq!(state.links[1].policy, Policy::new(0, 255, 0));
    lab.run(40_000);
    assert_eq!(lab.mesh.state().links[1].policy, Policy::BLINKING_DOT);
}

#[test]
fn an_outage_of_a_second_is_no_starvation() {
    let mut lab = three();
    lab.run(5_000);
    lab.parent(1).conduct = Conduct::Mute;
    lab.run(1_000);
    lab.parent(1).conduct = Conduct::Honest;
    lab.run(10_000);
    assert!(lab.accusations().is_empty(), "{:?}", lab.accusations());
    assert!(lab.mesh.state().links.len() == 2 && lab.mesh.state().counters.switches == 1);
}

#[test]
fn links_that_break_again_and_again_are_asked_for_less_and_less() {
    let mut lab = Lab::new(config(2)).with(&[1], 5, Conduct::Honest);
    let mut grants = Vec::new();
    for _ in 0..20_000 {
        lab.run(1);
        if lab.primary().is_some() {
            grants.push(lab.now_ms);
            lab.mesh.lost(lab.now_ms, fp(1));
        }
    }
    assert!((5..=9).contains(&grants.len()), "{grants:?}");
}

#[test]
fn a_peer_that_was_full_when_last_heard_of_is_asked_once_nobody_else_is_left() {
    let mut lab = Lab::new(config(7)).with(&[1], 10, Conduct::Honest).with(&[2], 15, Conduct::Honest);
    lab.add(&[3], 20, Conduct::Honest);
    let full = Offer { measured_at_unix_ms: u64::MAX, subscribers_max: 4, subscribers: 4, ..offer(&[3]) };
    lab.mesh.offer(lab.now_ms, Origin::Ticket, full);
    lab.run(4_000);
    assert!(lab.mesh.state().links.iter().all(|link| link.peer != fp(3)), "full: not asked while others are there");
    for dead in [1, 2] {
        lab.kill(dead);
        lab.mesh.lost(lab.now_ms, fp(dead));
        lab.mesh.withdraw(fp(dead));
    }
    lab.drive();
    lab.run(2_000);
    assert_eq!(lab.primary(), Some(fp(3)), "what was known of its room was old");
}

#[test]
fn a_standby_whose_way_came_back_takes_over() {
    let mut lab = three();
    lab.run(4_000);
    let standby = lab.mesh.state().standbys[0];
    let way = lab.mesh.state().links[1].chain.clone();
    lab.mesh.rerouted(lab.now_ms, standby, &[]);
    lab.run(500);
    lab.mesh.rerouted(lab.now_ms, standby, &way);
    lab.run(500);
    lab.kill(1);
    lab.mesh.lost(lab.now_ms, fp(1));
    lab.drive();
    lab.run(200);
    assert!(lab.mesh.state().primary.is_some_and(|primary| primary != fp(1)));
}

#[test]
fn three_parents_without_a_way_make_place_for_another() {
    let mut lab = three();
    lab.run(3_000);
    for _ in 0..20 {
        for link in lab.mesh.state().links {
            lab.mesh.rerouted(lab.now_ms, link.peer, &[]);
        }
        lab.run(300);
        if lab.mesh.state().links.len() == ACTIVE_MAX {
            break;
        }
    }
    let stuck: Vec<_> = lab.mesh.state().links.iter().map(|link| link.peer).collect();
    lab.add(&[4], 20, Conduct::Honest);
    for peer in 1..=3 {
        lab.kill(peer);
    }
    lab.run(12_000);
    assert_eq!(lab.primary(), Some(fp(4)), "of {stuck:?} none has a way");
}

#[test]
fn a_way_that_begins_elsewhere_is_no_way() {
    let mut lab = three();
    lab.run(3_000);
    lab.mesh.rerouted(lab.now_ms, fp(1), &[fp(99), fp(1)]);
    lab.drive();
    assert_ne!(lab.primary(), Some(fp(1)));
    let foreign = Offer { measured_at_unix_ms: u64::MAX, chain: vec![fp(77)], ..offer(&[77]) };
    let known = lab.mesh.offers();
    lab.mesh.offer(lab.now_ms, Origin::Own, Offer { peer: fp(77), ..foreign });
    assert_eq!(lab.mesh.offers(), known, "a source of its own");
}
