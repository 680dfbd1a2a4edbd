//! Layers follow the link: down quickly, up slowly, before any change of parents; a person may hold them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod mesh_lab;

use edge_alm::mesh::{Action, SwitchWhy, Why};
use edge_wire::layer::Policy;
use mesh_lab::{Conduct, Lab, config, fp};

/// One picture layer of full rate: 0.48 Mbit/s and sound; both: 1.93 Mbit/s and sound.
fn lab() -> Lab {
    let mut lab = Lab::new(config(9)).with(&[1], 10, Conduct::Honest).with(&[2], 15, Conduct::Honest);
    lab.run(5_000);
    assert_eq!((lab.primary(), lab.mesh.state().policy), (Some(fp(1)), Policy::UNCAPPED));
    lab
}

fn policies(lab: &Lab, n: u8) -> Vec<(u64, Policy)> {
    let change = |(at_ms, action): &(u64, Action)| match action {
        Action::SetPolicy { peer, policy } if *peer == fp(n) => Some((*at_ms, *policy)),
        _ => None,
    };
    lab.log.iter().filter_map(change).collect()
}

#[test]
fn a_link_that_grows_narrow_loses_its_upper_layer_and_keeps_its_parent() {
    let mut lab = lab();
    lab.parent(1).rate_kbps = Some(900);
    lab.run(2_500);
    let state = lab.mesh.state();
    assert_eq!((state.primary, state.policy.max_spatial, state.why), (Some(fp(1)), 0, Why::LinkFull));
    assert!(policies(&lab, 1)[0].0 <= 5_000 + 1_500, "{:?}", policies(&lab, 1));
    lab.pictures.clear();
    lab.run(1_500);
    let late = lab.pictures.iter().filter(|(captured_ms, at_ms)| at_ms - captured_ms > 400).count();
    assert_eq!(late, 0, "the base is in time");
    assert_eq!(lab.mesh.state().counters.switches, 0);
}

#[test]
fn what_was_shed_comes_back_when_the_link_recovers() {
    let mut lab = lab();
    lab.parent(1).rate_kbps = Some(900);
    lab.run(3_000);
    lab.parent(1).rate_kbps = None;
    lab.run(20_000);
    let state = lab.mesh.state();
    assert_eq!((state.policy, state.why), (Policy::UNCAPPED, Why::Wanted));
    assert!(state.counters.sheds > 0 && state.counters.climbs == state.counters.sheds);
    lab.layers.clear();
    lab.run(1_000);
    assert!(lab.count(1) >= 28);
}

#[test]
fn failed_climbs_grow_rare() {
    let mut lab = lab();
    lab.parent(1).rate_kbps = Some(900);
    lab.run(60_000);
    let climbs: Vec<u64> =
        policies(&lab, 1).iter().filter(|(_, policy)| policy.max_spatial == 255).map(|(at_ms, _)| *at_ms).collect();
    let waits: Vec<u64> = climbs.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!((2..=8).contains(&climbs.len()), "{climbs:?}");
    assert!(waits.first() < waits.last(), "{waits:?}");
    assert_eq!(lab.mesh.state().counters.switches, 0);
}

#[test]
fn a_slow_leak_ends_at_the_other_parent() {
    let mut lab = lab();
    for rate_kbps in [1_500, 1_000, 600, 300, 150, 80, 40, 20] {
        lab.parent(1).rate_kbps = Some(rate_kbps);
        lab.run(2_000);
    }
    assert_eq!(lab.primary(), Some(fp(2)));
    let switch = lab.switches()[1];
    assert!(matches!(switch.2, SwitchWhy::Slow | SwitchWhy::Silent | SwitchWhy::Misdeed), "{switch:?}");
    let shed_ms = policies(&lab, 1)[0].0;
    assert!(shed_ms < switch.0, "layers went first");
    lab.run(4_000);
    lab.layers.clear();
    lab.run(1_000);
    assert!(lab.count(1) >= 28, "everything comes from the other parent");
    assert!(lab.mesh.state().bans.is_empty(), "slowness is no crime");
}

#[test]
fn nothing_is_shed_below_the_base() {
    let mut lab = Lab::new(config(9)).with(&[1], 10, Conduct::Honest);
    lab.run(5_000);
    lab.parent(1).rate_kbps = Some(60);
    lab.run(20_000);
    let lowest = policies(&lab, 1).into_iter().map(|(_, policy)| policy).min_by_key(|policy| {
        u32::from(policy.max_spatial) + u32::from(policy.max_temporal) + u32::from(policy.max_quality)
    });
    assert_eq!(lowest.map(|policy| (policy.max_spatial, policy.max_temporal)), Some((0, 0)));
    assert_eq!(lab.primary(), Some(fp(1)));
}

#[test]
fn a_pin_holds_and_never_exceeds_what_is_wanted() {
    let mut lab = lab();
    lab.mesh.pin(lab.now_ms, Some(Policy::new(0, 1, 255)));
    lab.mesh.want(lab.now_ms, Policy::new(1, 2, 0));
    lab.drive();
    lab.parent(1).rate_kbps = Some(300);
    lab.run(3_000);
    let state = lab.mesh.state();
    assert_eq!((state.policy, state.why), (Policy::new(0, 1, 0), Why::Pinned));
    assert_eq!(state.counters.sheds, 0);
    lab.parent(1).rate_kbps = None;
    lab.mesh.pin(lab.now_ms, None);
    lab.drive();
    assert_eq!((lab.mesh.state().policy, lab.mesh.state().why), (Policy::new(1, 2, 0), Why::Wanted));
}

#[test]
fn the_wish_moves_at_once_in_both_directions() {
    let mut lab = lab();
    lab.mesh.want(lab.now_ms, Policy::BLINKING_DOT);
    lab.drive();
    lab.layers.clear();
    lab.run(1_000);
    assert!(lab.count(1) <= 2);
    lab.mesh.want(lab.now_ms, Policy::new(1, 2, 0));
    lab.drive();
    lab.layers.clear();
    lab.run(1_000);
    assert!(lab.count(1) >= 28);
    assert_eq!(lab.mesh.state().counters.sheds, 0, "a wish is no trouble");
}

#[test]
fn a_heal_asks_for_everything_and_says_that_it_recovers() {
    let mut lab = lab();
    lab.kill(1);
    while lab.primary() == Some(fp(1)) {
        lab.run(1);
    }
    let state = lab.mesh.state();
    assert_eq!((state.primary, state.policy, state.why), (Some(fp(2)), Policy::UNCAPPED, Why::Recovering));
    lab.run(200);
    assert_eq!(lab.mesh.state().why, Why::Wanted);
}

#[test]
fn layers_that_the_parent_lacks_are_still_asked_for() {
    let mut lab = lab();
    lab.parent(1).conduct = Conduct::BaseOnly;
    lab.run(20_000);
    assert_eq!((lab.mesh.state().counters.sheds, lab.mesh.state().policy), (0, Policy::UNCAPPED));
    lab.parent(1).conduct = Conduct::Honest;
    lab.layers.clear();
    lab.run(1_000);
    assert!(lab.count(1) >= 28, "they are back at once");
}

#[test]
fn without_ages_the_other_parent_shows_the_queue() {
    let mut lab = lab();
    lab.tells_age = false;
    lab.parent(1).rate_kbps = Some(900);
    lab.run(2_500);
    let state = lab.mesh.state();
    assert_eq!((state.primary, state.policy.max_spatial, state.why), (Some(fp(1)), 0, Why::LinkFull));
}

#[test]
fn with_nothing_to_compare_layers_that_stay_away_are_given_up_in_the_end() {
    let mut lab = Lab::new(config(9)).with(&[1], 10, Conduct::Honest);
    lab.tells_age = false;
    lab.run(5_000);
    lab.parent(1).rate_kbps = Some(300);
    lab.run(3_000);
    assert_eq!(lab.mesh.state().counters.sheds, 0);
    lab.run(6_000);
    assert!(lab.mesh.state().counters.sheds > 0);
}
