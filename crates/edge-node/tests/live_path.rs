//! A publisher, two tiers of relays and viewers on real sockets: what is published is seen, and only by members.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code, unreachable_pub)]

mod common;

use common::{Node, PATIENCE, bundle, carry, publish, publish_as, publish_with, tickets, view, view_with};
use edge_codec::container::wav;
use edge_node::admission::Refusal;
use edge_node::event::{Event, OutsiderStats, RelayStats, Stats, WatchStats};
use edge_node::publisher::{Command, Source};
use edge_node::ticket::Ticket;
use edge_node::uplink::Layers;
use edge_node::{Error, outsider, viewer};
use edge_wire::layer::Policy;

async fn two_tiers(ticket: &str) -> (Node, Node, String) {
    let mut first = carry("relay-1", ticket);
    let (_, ticket) = tickets(&mut first).await;
    let mut second = carry("relay-2", &ticket);
    let (_, ticket) = tickets(&mut second).await;
    (first, second, ticket)
}

fn watched(stats: Stats) -> WatchStats {
    match stats {
        Stats::Watch(stats) => stats,
        other => panic!("not a viewer's: {other:?}"),
    }
}

fn carried(stats: Stats) -> RelayStats {
    match stats {
        Stats::Relay(stats) => stats,
        other => panic!("not a relay's: {other:?}"),
    }
}

fn bothered(stats: Stats) -> OutsiderStats {
    match stats {
        Stats::Outsider(stats) => stats,
        other => panic!("not an outsider's: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_behind_two_relays_sees_every_frame_and_an_outsider_none() {
    let mut publisher = publish(3, 1);
    let (ticket, relay_ticket) = tickets(&mut publisher).await;
    let (first, second, via) = two_tiers(&relay_ticket).await;
    let folder = tempfile::tempdir().unwrap();
    let (movie, picture) = (folder.path().join("seen.webm"), folder.path().join("last.png"));
    let viewer = view_with("viewer", &ticket, &via, |options| {
        options.out = Some(movie.clone());
        options.picture = Some(picture.clone());
    });
    let outsider_options = outsider::Options { bundle: bundle("outsider"), ticket: via.parse().unwrap() };
    let outsider = Node::start(|reporter, shutdown| outsider::run(outsider_options, reporter, shutdown));

    let seen = watched(viewer.finish().await.0);
    assert_eq!(seen.base_frames_lost, 0, "{seen:?}");
    assert!(seen.frames_decoded >= 85, "{seen:?}");
    assert_eq!(seen.chunks_relabelled, 0);
    assert!(seen.audio_played > 100, "{seen:?}");
    assert!(seen.layers_received.iter().all(|count| *count > 0), "{seen:?}");
    assert!(std::fs::metadata(&movie).unwrap().len() > 10_000);
    assert!(std::fs::metadata(&picture).unwrap().len() > 1_000);

    let stranger = bothered(outsider.finish().await.0);
    assert!(stranger.chunks_offered >= 100, "{stranger:?}");
    assert_eq!(stranger.chunks_opened, 0);
    assert!(stranger.admission.starts_with("refused"), "{stranger:?}");

    let (first, second) = (carried(first.finish().await.0), carried(second.finish().await.0));
    assert!(first.chunks_forwarded > 0 && second.chunks_forwarded > first.chunks_forwarded);
    publisher.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_viewer_opens_nothing_of_the_next_epoch_and_the_others_lose_nothing() {
    let mut publisher = publish(5, 2);
    let (ticket, relay_ticket) = tickets(&mut publisher).await;
    let mut relay = carry("relay", &relay_ticket);
    let (_, via) = tickets(&mut relay).await;
    let stays = view("stays", &ticket, &via);
    let mut goes = view_with("goes", &ticket, &via, |options| {
        options.after_removal = viewer::AfterRemoval::KeepTrying;
    });
    goes.wait(|event| matches!(event, Event::FirstFrame { .. }).then_some(())).await;
    publisher.commands.as_ref().unwrap().send(Command::Remove("goes".into())).await.unwrap();
    let (renewed, _) = tickets(&mut publisher).await;
    assert_ne!(renewed, ticket, "the old ticket must not serve any more");

    let late = view("late", &ticket, &via);
    let refused = tokio::time::timeout(PATIENCE, late.task).await.unwrap().unwrap();
    assert!(matches!(refused, Err(Error::NotAdmitted(_))), "{refused:?}");

    let removed = watched(goes.finish().await.0);
    assert!(removed.chunks_offered_after_removal > 0, "{removed:?}");
    assert_eq!(removed.frames_opened_after_removal, 0, "{removed:?}");
    let present = watched(stays.finish().await.0);
    assert_eq!((present.base_frames_lost, present.frames_lost_across_rekey), (0, 0), "{present:?}");
    publisher.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_latecomer_starts_at_once_and_everybody_reads_the_same_safety_code() {
    let mut publisher = publish(6, 1);
    let (ticket, relay_ticket) = tickets(&mut publisher).await;
    let mut relay = carry("relay", &relay_ticket);
    let (_, via) = tickets(&mut relay).await;
    let mut early = view("early", &ticket, &via);
    early.wait(|event| matches!(event, Event::FirstFrame { .. }).then_some(())).await;
    let late = view("late", &ticket, &via);

    let (stats, late_events) = late.finish().await;
    assert_eq!(watched(stats).base_frames_lost, 0);
    let (stats, early_events) = early.finish().await;
    let stats = watched(stats);
    assert_eq!((stats.base_frames_lost, stats.frames_lost_across_rekey), (0, 0), "{stats:?}");
    let codes = |events: &[Event]| -> Vec<(u64, String)> {
        let code = |event: &Event| match event {
            Event::Epoch { epoch, safety_code, .. } => Some((*epoch, safety_code.clone())),
            _ => None,
        };
        events.iter().filter_map(code).collect()
    };
    let (of_late, of_early) = (codes(&late_events), codes(&early_events));
    let common: Vec<_> = of_late.iter().filter(|(epoch, _)| of_early.iter().any(|(other, _)| other == epoch)).collect();
    assert!(!common.is_empty());
    assert!(common.iter().all(|code| of_early.contains(code)));
    publisher.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_that_asks_for_the_base_gets_only_the_base() {
    let mut publisher = publish(3, 1);
    let (ticket, relay_ticket) = tickets(&mut publisher).await;
    let mut relay = carry("relay", &relay_ticket);
    let (_, via) = tickets(&mut relay).await;
    let viewer = view_with("dot", &ticket, &via, |options| options.layers = Layers::UpTo(Policy::BLINKING_DOT));
    let seen = watched(viewer.finish().await.0);
    assert_eq!(seen.layers_received[1..], [0, 0], "{seen:?}");
    assert!(seen.frames_decoded >= 20, "{seen:?}");
    assert_eq!(seen.top_layer, (0, 0));
    publisher.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_without_a_join_secret_admits_nobody() {
    let mut publisher = publish(1, 0);
    let (_, relay_ticket) = tickets(&mut publisher).await;
    let viewer = view("viewer", &relay_ticket, &relay_ticket);
    let outcome = tokio::time::timeout(PATIENCE, viewer.task).await.unwrap().unwrap();
    assert!(matches!(outcome, Err(Error::NoSecret)), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_restarts_keeps_its_stream_and_moves_to_an_unused_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let own = bundle("publisher");
    let last_epoch = |events: &[Event]| {
        let epoch = |event: &Event| match event {
            Event::Epoch { epoch, .. } => Some(*epoch),
            _ => None,
        };
        events.iter().rev().find_map(epoch)
    };
    let mut first = publish_as(own.clone(), 2, 1, Some(folder.path().to_owned()));
    let (ticket, _) = tickets(&mut first).await;
    let viewer = view("viewer", &ticket, &ticket);
    assert_eq!(watched(viewer.finish().await.0).base_frames_lost, 0);
    let used = last_epoch(&first.finish().await.1).expect("an epoch");

    let mut second = publish_as(own, 2, 2, Some(folder.path().to_owned()));
    let (again, _) = tickets(&mut second).await;
    let (before, after): (Ticket, Ticket) = (ticket.parse().unwrap(), again.parse().unwrap());
    assert_eq!(before.stream, after.stream);
    let viewer = view("newcomer", &again, &again);
    let (stats, events) = viewer.finish().await;
    assert!(watched(stats).frames_decoded >= 50);
    let admitted = events.iter().find_map(|event| match event {
        Event::Admitted { epoch, .. } => Some(*epoch),
        _ => None,
    });
    assert!(admitted.expect("admitted") > used, "{admitted:?} after {used}");
    second.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_that_ends_leaves_the_group_and_may_come_back_with_its_ticket() {
    let mut publisher = publish(6, 1);
    let (ticket, relay_ticket) = tickets(&mut publisher).await;
    let mut relay = carry("relay", &relay_ticket);
    let (_, via) = tickets(&mut relay).await;
    let own = bundle("guest");
    let mut guest = view_with("guest", &ticket, &via, |options| options.bundle = own.clone());
    guest.wait(|event| matches!(event, Event::FirstFrame { .. }).then_some(())).await;
    guest.stop.send_replace(true);
    guest.finish().await;
    publisher
        .wait(|event| match event {
            Event::Epoch { removed, .. } if removed == &["guest"] => Some(()),
            _ => None,
        })
        .await;
    let again = view_with("guest", &ticket, &via, |options| options.bundle = own);
    assert!(watched(again.finish().await.0).frames_decoded > 0);
    publisher.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_comes_back_with_the_ticket_of_before_a_removal_and_a_stranger_does_not() {
    let mut publisher = publish(8, 2);
    let (ticket, relay_ticket) = tickets(&mut publisher).await;
    let mut relay = carry("relay", &relay_ticket);
    let (_, via) = tickets(&mut relay).await;
    let own = bundle("member");
    let mut member = view_with("member", &ticket, &via, |options| options.bundle = own.clone());
    let mut goes = view("goes", &ticket, &via);
    member.wait(|event| matches!(event, Event::FirstFrame { .. }).then_some(())).await;
    goes.wait(|event| matches!(event, Event::FirstFrame { .. }).then_some(())).await;
    publisher.commands.as_ref().unwrap().send(Command::Remove("goes".into())).await.unwrap();
    tickets(&mut publisher).await;
    // Its process dies without a word, so it is still a member.
    member.task.abort();

    let mut again = view_with("member", &ticket, &via, |options| options.bundle = own);
    again.wait(|event| matches!(event, Event::FirstFrame { .. }).then_some(())).await;
    let stranger = view("stranger", &ticket, &via);
    let refused = tokio::time::timeout(PATIENCE, stranger.task).await.unwrap().unwrap();
    assert!(matches!(refused, Err(Error::NotAdmitted(Refusal::Ticket))), "{refused:?}");
    again.finish().await;
    publisher.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_pictures_and_a_wav_file_are_seen_and_heard() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let pattern = edge_codec::pattern::Video::new(320, 180, (30, 1)).unwrap();
    let pictures: Vec<u8> = (0..60).flat_map(|number| pattern.frame(number).i420().to_vec()).collect();
    std::fs::write(path("in.raw"), pictures).unwrap();
    let mut sound = wav::Writer::new(std::fs::File::create(path("in.wav")).unwrap(), wav::Format::MONO_48K).unwrap();
    let mut samples = vec![0; 96_000];
    edge_codec::pattern::Tone::new(1).fill(&mut samples);
    sound.write(&samples).unwrap();
    sound.finish_file().unwrap();

    let mut publisher = publish_with(bundle("publisher"), 2, 1, |options| {
        let name = path("in.raw").display().to_string();
        options.source = Source::Raw { name, width: 320, height: 180, rate: (30, 1) };
        options.audio = Some(path("in.wav").display().to_string());
    });
    let (ticket, _) = tickets(&mut publisher).await;
    let viewer = view_with("viewer", &ticket, &ticket, |options| options.out = Some(path("out.wav")));
    let seen = watched(viewer.finish().await.0);
    assert_eq!((seen.frames_decoded, seen.base_frames_lost), (60, 0), "{seen:?}");
    publisher.finish().await;
    let mut heard = wav::Reader::new(std::fs::File::open(path("out.wav")).unwrap()).unwrap();
    let loudest = std::iter::from_fn(|| heard.read(960).unwrap()).flatten().map(i16::unsigned_abs).max();
    assert!(loudest.unwrap() > 1_000, "{loudest:?}");
}
