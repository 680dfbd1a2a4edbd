//! Parents that forge, replay, delay and starve: found within three seconds, and frames keep flowing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod mesh_lab;

use edge_alm::mesh::{Action, Arrival, Config, DropWhy, Key, Media, Misdeed, Offer, Opens, Origin, SwitchWhy, Verdict};
use edge_wire::layer::Layer;
use mesh_lab::{Conduct, Lab, SOUND_MS, config, fp, offer};

const FOUND_MS: u64 = 3_000;

/// One hostile parent, the best on paper, and two honest ones.
fn against(conduct: Conduct) -> Lab {
    let mut lab = Lab::new(config(11)).with(&[1], 5, Conduct::Honest).with(&[2], 20, Conduct::Honest).with(
        &[3],
        25,
        Conduct::Honest,
    );
    lab.run(4_000);
    assert_eq!(lab.primary(), Some(fp(1)));
    lab.parent(1).conduct = conduct;
    lab
}

fn found(lab: &Lab, misdeed: Misdeed, onset_ms: u64) {
    let evidence = lab.accused(1, misdeed).unwrap_or_else(|| panic!("{misdeed:?} was not seen: {:?}", lab.log));
    assert!(evidence.last_ms <= onset_ms + FOUND_MS, "{evidence:?} after {onset_ms}");
    assert!(evidence.count > 0 && evidence.first_ms <= evidence.last_ms);
    assert_ne!(lab.primary(), Some(fp(1)));
}

fn is_banned(lab: &Lab) -> bool {
    lab.mesh.state().bans.iter().any(|ban| ban.peer == fp(1))
}

#[test]
fn garbage_ahead_of_time_silences_nothing() {
    let mut lab = against(Conduct::Garbage);
    lab.run(3_000);
    found(&lab, Misdeed::Forgery, 4_000);
    assert!(is_banned(&lab));
    assert!(lab.longest_gap_ms(3_800) <= 400, "{}", lab.longest_gap_ms(3_800));
    lab.run(30_000);
    assert!(lab.mesh.state().links.iter().all(|link| link.peer != fp(1)));
    assert_eq!(lab.opened_twice, 0);
}

#[test]
fn one_statement_in_the_publishers_name_that_it_did_not_sign_is_enough() {
    let mut lab = against(Conduct::Honest);
    lab.mesh.forged(lab.now_ms, fp(1));
    lab.mesh.forged(lab.now_ms, fp(77));
    lab.run(1_000);
    found(&lab, Misdeed::Forgery, 4_000);
    assert!(is_banned(&lab));
    assert_eq!(lab.mesh.state().counters.forgeries, 1, "a stranger is nobody");
    assert!(lab.longest_gap_ms(3_800) <= 400, "{}", lab.longest_gap_ms(3_800));
}

#[test]
fn garbage_from_the_first_moment_on() {
    let mut lab = Lab::new(config(11)).with(&[1], 5, Conduct::Garbage).with(&[2], 20, Conduct::Honest);
    lab.run(4_000);
    found(&lab, Misdeed::Forgery, 0);
    assert_eq!(lab.primary(), Some(fp(2)));
    let missing = (20..116).filter(|frame| !lab.pictures.iter().any(|(at_ms, _)| at_ms / 132 == *frame / 4)).count();
    assert_eq!(missing, 0);
}

#[test]
fn one_honest_parent_out_of_three_is_enough() {
    let mut lab = Lab::new(config(11)).with(&[1], 5, Conduct::Garbage).with(&[2], 10, Conduct::StarvePicture).with(
        &[3],
        40,
        Conduct::Honest,
    );
    lab.run(12_000);
    assert_eq!(lab.primary(), Some(fp(3)));
    assert!(lab.accused(1, Misdeed::Forgery).is_some());
    lab.pictures.clear();
    lab.run(10_000);
    assert!(lab.longest_gap_ms(12_200) <= 200);
}

#[test]
fn a_relay_that_is_misled_by_one_of_its_parents_is_left_in_time_and_not_banned() {
    for conduct in [Conduct::Mixed, Conduct::MixedAfter] {
        let mut lab = against(conduct);
        lab.run(3_000);
        found(&lab, Misdeed::Equivocation, 4_000);
        assert!(!is_banned(&lab) && lab.accusations().len() == 1, "{conduct:?}: {:?}", lab.accusations());
        assert!(lab.longest_gap_ms(3_800) <= 300, "{}", lab.longest_gap_ms(3_800));
        assert_eq!(lab.opened_twice, 0);
    }
}

#[test]
fn a_relay_that_finds_out_soon_who_misleads_it_keeps_its_children() {
    for conduct in [Conduct::Mixed, Conduct::MixedAfter] {
        let mut lab = against(conduct);
        lab.run(1_200);
        lab.parent(1).conduct = Conduct::Honest;
        lab.run(10_000);
        assert!(lab.accusations().is_empty(), "{conduct:?}: {:?}", lab.accusations());
        assert_eq!(lab.primary(), Some(fp(1)));
    }
}

#[test]
fn a_misled_relay_stays_when_there_is_no_other() {
    let mut lab = Lab::new(config(11)).with(&[1], 5, Conduct::Mixed);
    lab.run(6_000);
    assert_eq!((lab.primary(), lab.accusations().len()), (Some(fp(1)), 0));
    assert!(lab.longest_gap_ms(500) <= 200);
}

#[test]
fn a_forger_with_others_above_it_is_banned_for_a_shorter_time_first() {
    let mut lab = Lab::new(config(11)).with(&[9, 1], 5, Conduct::Garbage).with(&[2], 40, Conduct::Honest);
    lab.run(3_000);
    assert!(lab.accused(1, Misdeed::Forgery).is_some());
    let ban = lab.mesh.state().bans[0];
    assert!((55_000..=60_000).contains(&(ban.until_ms - lab.now_ms)), "{ban:?}");
}

#[test]
fn a_replayer_is_banned() {
    let mut lab = against(Conduct::Replay);
    lab.run(3_000);
    found(&lab, Misdeed::Replay, 4_000);
    assert!(is_banned(&lab));
    assert!(lab.longest_gap_ms(3_800) <= 300);
    assert_eq!(lab.opened_twice, 0);
}

#[test]
fn a_delayer_is_demoted_and_not_banned() {
    let mut lab = against(Conduct::Delay(350));
    lab.run(3_000);
    found(&lab, Misdeed::Delay, 4_000);
    assert!(!is_banned(&lab));
    assert!(lab.longest_gap_ms(3_800) <= 300);
    lab.layers.clear();
    lab.run(3_000);
    assert!(lab.count(1) >= 80, "everything comes from the new parent: {}", lab.count(1));
}

#[test]
fn one_that_delayed_from_the_start_gives_way() {
    let mut lab = Lab::new(config(11)).with(&[1], 5, Conduct::Delay(350)).with(&[2], 20, Conduct::Honest);
    lab.run(4_000);
    found(&lab, Misdeed::Delay, 1_000);
    assert_eq!(lab.switches().last().unwrap().2, SwitchWhy::Slow);
    assert!(!is_banned(&lab));
    assert_eq!(lab.mesh.state().standbys, [fp(1)], "better than no standby");
    lab.run(60_000);
    assert_eq!(lab.mesh.state().counters.switches, 1);
}

#[test]
fn an_honest_parent_that_is_a_little_slower_keeps_its_place() {
    let mut lab = Lab::new(config(11)).with(&[1], 5, Conduct::Delay(120)).with(&[2], 20, Conduct::Honest);
    lab.run(30_000);
    assert!(lab.accusations().is_empty());
    assert_eq!((lab.primary(), lab.mesh.state().counters.switches), (Some(fp(1)), 0));
}

#[test]
fn starvers_lose_their_place() {
    for conduct in [Conduct::StarvePicture, Conduct::StarveHalf] {
        let mut lab = against(conduct);
        lab.run(3_000);
        found(&lab, Misdeed::Starvation, 4_000);
        assert!(!is_banned(&lab));
        assert!(lab.drops().iter().any(|drop| drop.2 == DropWhy::Misdeed(Misdeed::Starvation)));
        assert!(lab.longest_gap_ms(3_800) <= 400);
    }
}

#[test]
fn a_starving_standby_is_replaced() {
    let mut lab = Lab::new(config(11)).with(&[1], 5, Conduct::Honest).with(&[2], 20, Conduct::StarvePicture).with(
        &[3],
        40,
        Conduct::Honest,
    );
    lab.run(8_000);
    assert_eq!((lab.primary(), lab.mesh.state().counters.switches), (Some(fp(1)), 0));
    assert!(lab.accused(2, Misdeed::Starvation).is_some());
    assert_eq!(lab.mesh.state().standbys, [fp(3)]);
}

#[test]
fn a_second_ban_is_twice_as_long() {
    let mut lab = against(Conduct::Garbage);
    lab.run(2_000);
    let first = lab.mesh.state().bans[0].until_ms - lab.now_ms;
    assert!((590_000..=600_000).contains(&first));
    // Both honest ones go, and time passes: the only one left is tried again.
    lab.run(1_000);
    lab.now_ms += 620_000;
    lab.kill(2);
    lab.kill(3);
    lab.mesh.lost(lab.now_ms, fp(2));
    lab.mesh.lost(lab.now_ms, fp(3));
    lab.run(3_000);
    let second = lab.mesh.state().bans[0].until_ms - lab.now_ms;
    assert!((1_190_000..=1_200_000).contains(&second), "{second}");
}

fn relay() -> Config {
    Config { opens: Opens::OuterOnly, ..config(11) }
}

#[test]
fn a_relay_finds_the_one_that_disagrees_with_two_others() {
    let mut lab = Lab::new(relay()).with(&[1], 5, Conduct::Honest).with(&[2], 20, Conduct::Honest).with(
        &[3],
        25,
        Conduct::Honest,
    );
    lab.run(4_000);
    let (primary, standby) = (lab.primary().unwrap(), lab.mesh.state().standbys[0]);
    for _ in 0..4 {
        lab.mesh.disagreed(lab.now_ms, primary, standby);
        lab.run(SOUND_MS);
    }
    lab.run(500);
    assert_eq!(lab.mesh.state().links.len(), 3, "a third one has to tell");
    assert!(lab.accusations().is_empty());
    for _ in 0..4 {
        lab.mesh.disagreed(lab.now_ms, primary, fp(3));
        lab.run(SOUND_MS);
    }
    assert!(lab.accused(1, Misdeed::Forgery).is_some());
    assert_ne!(lab.primary(), Some(primary));
    assert_eq!(lab.mesh.state().bans[0].peer, primary);
}

#[test]
fn a_relay_believes_the_publisher_against_anybody() {
    let mut lab = Lab::new(relay()).with(&[1], 5, Conduct::Honest).with(&[], 20, Conduct::Honest);
    lab.run(4_000);
    for _ in 0..4 {
        lab.mesh.disagreed(lab.now_ms, fp(1), fp(mesh_lab::SOURCE));
        lab.run(SOUND_MS);
    }
    lab.run(500);
    assert!(lab.accused(1, Misdeed::Equivocation).is_some() && lab.mesh.state().bans.is_empty());
    assert_eq!(lab.primary(), Some(fp(mesh_lab::SOURCE)));
}

#[test]
fn a_relay_whose_children_complain_tries_another_parent_and_not_too_often() {
    let mut lab = Lab::new(relay()).with(&[1], 5, Conduct::Honest).with(&[2], 20, Conduct::Honest);
    lab.run(4_000);
    let complain = |lab: &mut Lab| {
        for _ in 0..20 {
            let primary = lab.primary().unwrap();
            lab.mesh.doubted(lab.now_ms, primary);
            lab.run(100);
        }
    };
    complain(&mut lab);
    assert_eq!(lab.primary(), Some(fp(2)));
    assert!(lab.accused(1, Misdeed::Equivocation).is_some() && lab.mesh.state().bans.is_empty());
    let switches = lab.switches().len();
    complain(&mut lab);
    assert_eq!(lab.switches().len(), switches, "children may lie");
    let mut member = Lab::new(config(1)).with(&[1], 5, Conduct::Honest).with(&[2], 20, Conduct::Honest);
    member.run(4_000);
    complain(&mut member);
    assert!(member.accusations().is_empty(), "a member sees for itself");
}

#[test]
fn wild_numbers_do_not_make_a_relay_deaf() {
    let mut lab = Lab::new(relay()).with(&[1], 5, Conduct::Honest).with(&[2], 20, Conduct::Honest);
    lab.run(3_000);
    let liar = lab.mesh.state().standbys[0];
    for n in 0..4_000 {
        let key = Key { epoch: u64::MAX - n % 7, seq: u64::MAX - n };
        let wild = Arrival { key, layer: Layer::BASE, media: Media::Picture, bytes: 10, age_ms: None };
        if lab.mesh.arrived(lab.now_ms, liar, &wild) == Verdict::Open {
            lab.mesh.opened(lab.now_ms, liar, &wild);
        }
    }
    let before = lab.pictures.len();
    lab.run(8_000);
    assert!(lab.pictures.len() - before >= 55, "{}", lab.pictures.len() - before);
    assert_eq!(lab.primary(), Some(fp(1)));
}

#[test]
fn strangers_and_the_unanswered_are_nobody() {
    let mut lab = Lab::new(config(1)).with(&[1], 5, Conduct::Honest);
    lab.run(1_000);
    let chunk = |seq| {
        let key = Key { epoch: 1, seq };
        Arrival { key, layer: Layer::BASE, media: Media::Picture, bytes: 10, age_ms: None }
    };
    assert_eq!(lab.mesh.arrived(1_000, fp(77), &chunk(1_000_000)), Verdict::Stranger);
    lab.mesh.disagreed(1_000, fp(77), fp(1));
    lab.mesh.failed(1_000, fp(77), chunk(5).key);
    lab.mesh.lost(1_000, fp(77));
    lab.mesh.refused(1_000, fp(77), edge_alm::mesh::Reason::Full);
    lab.drive();
    assert_eq!(lab.primary(), Some(fp(1)));
    assert_eq!(lab.mesh.arrived(1_000, fp(1), &chunk(1_000_000)), Verdict::Open, "the stranger marked nothing");
}

#[test]
fn a_copy_may_be_the_one_after_the_first_failed() {
    let mut lab = Lab::new(config(1)).with(&[1], 5, Conduct::Honest).with(&[2], 6, Conduct::Honest);
    lab.run(2_000);
    let key = Key { epoch: 1, seq: 1_000_000 };
    let chunk = Arrival { key, layer: Layer::BASE, media: Media::Picture, bytes: 10, age_ms: None };
    assert_eq!(lab.mesh.arrived(2_000, fp(1), &chunk), Verdict::Open);
    assert_eq!(lab.mesh.arrived(2_000, fp(2), &chunk), Verdict::Duplicate, "a copy is being opened");
    lab.mesh.failed(2_000, fp(1), key);
    assert_eq!(lab.mesh.arrived(2_000, fp(2), &chunk), Verdict::Open);
    lab.mesh.released(2_000, key);
    assert_eq!(lab.mesh.arrived(2_000, fp(1), &chunk), Verdict::Open);
    lab.mesh.opened(2_000, fp(1), &chunk);
    assert_eq!(lab.mesh.arrived(2_000, fp(2), &chunk), Verdict::Duplicate);
    assert!(!lab.log.iter().any(|(_, action)| matches!(action, Action::Accuse(_))), "one failure is no crime");
}

#[test]
fn an_offer_that_is_not_said_again_is_forgotten_and_a_ticket_is_not() {
    let mut lab = Lab::new(config(1)).with(&[1], 5, Conduct::Honest);
    let told = |lab: &mut Lab, at_unix_ms: u64| {
        let offer = Offer { measured_at_unix_ms: at_unix_ms, ..offer(&[2]) };
        lab.mesh.offer(lab.now_ms, Origin::Peer(fp(1)), offer);
    };
    let knows = |lab: &Lab, n: u8| {
        let state = lab.mesh.state();
        state.cold.contains(&fp(n)) || state.links.iter().any(|link| link.peer == fp(n))
    };
    lab.kill(1);
    lab.run(40_000);
    told(&mut lab, 1_000);
    assert!(knows(&lab, 2));
    lab.mesh.measured(lab.now_ms + 40_000, fp(2), 9);
    told(&mut lab, 2_000);
    lab.mesh.measured(lab.now_ms + 80_000, fp(2), 9);
    assert!(knows(&lab, 2), "it was said again");
    lab.mesh.measured(lab.now_ms + 90_000, fp(2), 9);
    assert!(!knows(&lab, 2));
    lab.run(140_000);
    let asked = |(at_ms, action): &(u64, Action)| {
        *at_ms > 50_000 && matches!(action, Action::Subscribe { peer, .. } if *peer == fp(1))
    };
    assert!(lab.log.iter().any(asked), "the ticket is tried on and on");
}
