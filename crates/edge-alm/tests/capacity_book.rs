//! A book holds the newest advertisement of each advertiser, and whoever lies, replays or floods changes nothing in it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{EPOCH, NOW, STREAM, advert, extension, peer, statement};
use edge_alm::advert::{
    Accept, Advert, Book, Error, JSON_LEN_MAX, Novelty, OfferError, PREVIOUS_EPOCH_MS, STALE_AFTER_MS, Screened,
};
use edge_identity::{KeyBundle, PublicBundle, bundle};
use edge_wire::id::{Epoch, Fingerprint, StreamId};

const NEIGHBOUR: Fingerprint = Fingerprint([0xaa; 32]);
const OTHER: Fingerprint = Fingerprint([0xbb; 32]);

fn book() -> Book {
    Book::new(STREAM, EPOCH, Accept::Bound)
}

fn offer(book: &mut Book, now: u64, advert: &Advert, keys: &KeyBundle) -> Result<Novelty, OfferError> {
    book.offer(now, NEIGHBOUR, advert.json(), |_| Some(keys.public()))
}

fn measured(book: &Book, now: u64) -> Vec<u64> {
    book.fresh(now).map(|offer| offer.advert.statement().capacity.measured_at_unix_ms).collect()
}

fn signed(keys: &KeyBundle, at: u64, sequence: u64, epoch: Epoch) -> Advert {
    let mut said = statement(keys, at);
    said.epoch = epoch;
    Advert::sign(said, extension(keys, sequence), keys).unwrap()
}

#[test]
fn the_newest_one_of_each_advertiser_is_held() {
    let (one, two) = (peer(1), peer(2));
    let mut book = book();
    assert_eq!(offer(&mut book, NOW, &advert(&one, NOW), &one).unwrap(), Novelty::First);
    assert_eq!(offer(&mut book, NOW, &advert(&two, NOW - 1), &two).unwrap(), Novelty::First);
    let newer = advert(&one, NOW + 7);
    assert_eq!(offer(&mut book, NOW + 7, &newer, &one).unwrap(), Novelty::Newer);
    assert_eq!(offer(&mut book, NOW + 7, &newer, &one).unwrap(), Novelty::Known);
    assert_eq!(offer(&mut book, NOW + 8, &advert(&one, NOW + 6), &one).unwrap(), Novelty::Older);
    assert_eq!(offer(&mut book, NOW + 8, &advert(&one, NOW + 7), &one).unwrap(), Novelty::Older);
    let mut all = measured(&book, NOW + 8);
    all.sort_unstable();
    assert_eq!(all, [NOW - 1, NOW + 7]);
    let held = book.get(NOW + 8, one.fingerprint()).unwrap();
    assert_eq!((&held.advert.json()[..], held.advertiser), (newer.json(), one.fingerprint()));
}

#[test]
fn of_the_same_time_the_higher_sequence_number_wins() {
    let keys = peer(1);
    let mut book = book();
    offer(&mut book, NOW, &signed(&keys, NOW, 1, EPOCH), &keys).unwrap();
    assert_eq!(offer(&mut book, NOW, &signed(&keys, NOW, 2, EPOCH), &keys).unwrap(), Novelty::Newer);
    assert_eq!(offer(&mut book, NOW, &signed(&keys, NOW, 1, EPOCH), &keys).unwrap(), Novelty::Older);
}

#[test]
fn what_is_stale_counts_no_more_and_leaves_room() {
    let keys = peer(1);
    let mut book = book();
    offer(&mut book, NOW, &advert(&keys, NOW), &keys).unwrap();
    assert_eq!(measured(&book, NOW + STALE_AFTER_MS - 1).len(), 1);
    assert_eq!(measured(&book, NOW + STALE_AFTER_MS).len(), 0);
    assert!(book.get(NOW + STALE_AFTER_MS, keys.fingerprint()).is_none());
    book.expire(NOW + STALE_AFTER_MS);
    let again = advert(&keys, NOW + STALE_AFTER_MS);
    assert_eq!(offer(&mut book, NOW + STALE_AFTER_MS, &again, &keys).unwrap(), Novelty::First);
}

#[test]
fn cheap_reasons_come_before_any_signature() {
    let keys = peer(1);
    let mut book = book();
    let good = String::from_utf8(advert(&keys, NOW).json().to_vec()).unwrap();
    // Every one of these has broken signatures as well, and none of them is told so.
    let broken = |from: &str, to: &str| {
        let json = good.replace("_base64\":\"", "_base64\":\"A");
        assert!(json.contains(from), "{from}");
        json.replacen(from, to, 1)
    };
    let mut tell =
        |json: &str, now: u64| book.offer(now, NEIGHBOUR, json.as_bytes(), |_| Some(keys.public())).unwrap_err();

    let long = format!("{good}{}", " ".repeat(JSON_LEN_MAX));
    assert!(matches!(tell(&long, NOW), OfferError::Advert(Error::WireDecode(_))));
    assert!(matches!(tell(&broken("\"relay-1\"", "\"relay-9\""), NOW), OfferError::UnknownAdvertiser));
    assert!(matches!(tell(&broken("[7,7,", "[7,8,"), NOW), OfferError::OtherStream));
    assert!(matches!(tell(&broken("72623859790382856", "7"), NOW), OfferError::OtherEpoch { got: Epoch(7) }));
    let same = broken("x", "x").clone();
    assert!(matches!(tell(&same, NOW + 30_000), OfferError::Advert(Error::Stale { .. })));
    assert!(matches!(tell(&same, NOW - 5_001), OfferError::Advert(Error::Ahead { .. })));
    assert!(matches!(tell(&broken("12.1", "1e7"), NOW), OfferError::Advert(Error::OutOfRange { .. })));
    assert!(matches!(tell(&broken("12.1", "-1"), NOW), OfferError::Advert(Error::OutOfRange { .. })));
    assert!(matches!(tell(&broken("12.1", "1e39"), NOW), OfferError::Advert(Error::WireDecode(_))));
    let last = keys.fingerprint().to_string();
    assert!(matches!(tell(&broken(&last, &"03".repeat(32)), NOW), OfferError::ForeignChain));
    assert!(matches!(tell(&same, NOW), OfferError::Advert(Error::SignatureInvalid)));
    assert!(measured(&book, NOW).is_empty());
}

#[test]
fn an_unknown_advertiser_is_refused() {
    let keys = peer(1);
    let told = book().offer(NOW, NEIGHBOUR, advert(&keys, NOW).json(), |_| None);
    assert!(matches!(told, Err(OfferError::UnknownAdvertiser)));
}

#[test]
fn a_future_time_never_pins_an_advert() {
    let keys = peer(1);
    let mut book = book();
    let far = advert(&keys, NOW + 5_001);
    assert!(matches!(offer(&mut book, NOW, &far, &keys), Err(OfferError::Advert(Error::Ahead { .. }))));
    assert_eq!(offer(&mut book, NOW + 1, &far, &keys).unwrap(), Novelty::First);
}

/// The bundle of somebody who gives out another peer's signing keys as its own.
fn borrowed(keys: &KeyBundle, name_of: &KeyBundle) -> PublicBundle {
    let public = bundle::PublicKeys {
        verifying: keys.public().verifying().clone(),
        transport: *name_of.public().transport(),
        x25519: *name_of.public().x25519(),
        mlkem: name_of.public().mlkem().clone(),
    };
    PublicBundle::new(name_of.key_id().clone(), public).unwrap()
}

fn renamed(keys: &KeyBundle, thief: &KeyBundle) -> Vec<u8> {
    let plain = Advert::sign_plain(statement(keys, NOW), keys.signing_key()).unwrap();
    let json = String::from_utf8(plain.json().to_vec()).unwrap();
    json.replace(keys.key_id().as_str(), thief.key_id().as_str()).into_bytes()
}

#[test]
fn an_advert_shown_under_another_name_is_refused() {
    let (keys, thief) = (peer(1), peer(2));
    let thief_bundle = borrowed(&keys, &thief);
    let mut strict = book();
    let told = strict.offer(NOW, NEIGHBOUR, &renamed(&keys, &thief), |_| Some(&thief_bundle));
    assert!(matches!(told, Err(OfferError::Unbound)));
    let bound = String::from_utf8(advert(&keys, NOW).json().to_vec()).unwrap();
    let bound = bound.replace(keys.key_id().as_str(), thief.key_id().as_str());
    let bound = bound.replace(&keys.fingerprint().to_string(), &thief_bundle.fingerprint().to_string());
    let told = strict.offer(NOW, NEIGHBOUR, bound.as_bytes(), |_| Some(&thief_bundle));
    assert!(matches!(told, Err(OfferError::Advert(Error::SignatureInvalid))));
    assert_eq!(offer(&mut strict, NOW, &advert(&keys, NOW), &keys).unwrap(), Novelty::First);
}

#[test]
fn one_key_serves_one_name_and_the_bound_one_wins() {
    let (keys, thief) = (peer(1), peer(2));
    let thief_bundle = borrowed(&keys, &thief);
    let mut open = Book::new(STREAM, EPOCH, Accept::Any);
    // The signed bytes do not hold the name, so this verifies.
    let told = open.offer(NOW, NEIGHBOUR, &renamed(&keys, &thief), |_| Some(&thief_bundle));
    assert_eq!(told.unwrap(), Novelty::First);
    let plain = Advert::sign_plain(statement(&keys, NOW + 1), keys.signing_key()).unwrap();
    assert!(matches!(offer(&mut open, NOW, &plain, &keys), Err(OfferError::SharedKey)));
    assert_eq!(offer(&mut open, NOW, &advert(&keys, NOW), &keys).unwrap(), Novelty::First);
    assert!(open.get(NOW, thief_bundle.fingerprint()).is_none());
    let told = open.offer(NOW, OTHER, &renamed(&keys, &thief), |_| Some(&thief_bundle));
    assert!(matches!(told, Err(OfferError::SharedKey)));
    assert_eq!(open.fresh(NOW).map(|it| it.advertiser).collect::<Vec<_>>(), [keys.fingerprint()]);
}

#[test]
fn a_refused_advert_is_not_refused_under_its_true_keys() {
    let (keys, thief) = (peer(1), peer(2));
    let made = advert(&keys, NOW);
    let wrong = bundle::PublicKeys {
        verifying: thief.public().verifying().clone(),
        transport: *thief.public().transport(),
        x25519: *thief.public().x25519(),
        mlkem: thief.public().mlkem().clone(),
    };
    let wrong = PublicBundle::new(keys.key_id().clone(), wrong).unwrap();
    let mut book = Book::new(STREAM, EPOCH, Accept::Any);
    let mut chained = extension(&keys, 1);
    chained.chain.clear();
    let made_unchained = Advert::sign(statement(&keys, NOW), chained, &keys).unwrap();
    for _ in 0..3 {
        let told = book.offer(NOW, NEIGHBOUR, made_unchained.json(), |_| Some(&wrong));
        assert!(matches!(told, Err(OfferError::Advert(Error::SignatureInvalid))), "remembered, so it costs no token");
    }
    assert_eq!(book.offer(NOW, NEIGHBOUR, made_unchained.json(), |_| Some(keys.public())).unwrap(), Novelty::First);
    assert_eq!(book.offer(NOW, NEIGHBOUR, made.json(), |_| Some(keys.public())).unwrap(), Novelty::Older);
}

#[test]
fn a_flood_under_a_name_spends_the_tokens_of_who_tells_it() {
    let keys = peer(1);
    let mut book = book();
    let good = String::from_utf8(advert(&keys, NOW).json().to_vec()).unwrap();
    let junk = |number: u64| good.replacen("\"sequence\":1", &format!("\"sequence\":{}", number + 2), 1);
    let mut tell = |number: u64, now: u64| {
        book.offer(now, NEIGHBOUR, junk(number).as_bytes(), |_| Some(keys.public())).unwrap_err()
    };
    assert!(matches!(tell(0, NOW), OfferError::Advert(Error::SignatureInvalid)));
    assert!(matches!(tell(1, NOW), OfferError::Advert(Error::SignatureInvalid)));
    assert!(matches!(tell(2, NOW), OfferError::RateLimited));
    assert!(matches!(tell(0, NOW), OfferError::Advert(Error::SignatureInvalid)), "known to be bad");
    assert!(matches!(tell(2, NOW + 999), OfferError::RateLimited));
    assert!(matches!(tell(2, NOW + 1_000), OfferError::Advert(Error::SignatureInvalid)));
    assert!(matches!(tell(3, NOW + 1_000), OfferError::RateLimited));
    let told = book.offer(NOW + 1_000, OTHER, good.as_bytes(), |_| Some(keys.public()));
    assert_eq!(told.unwrap(), Novelty::First, "another neighbour is heard");
}

#[test]
fn a_neighbour_cannot_make_up_advertisers_without_end() {
    let mut book = book();
    let keys = peer(1);
    let json = String::from_utf8(advert(&keys, NOW).json().to_vec()).unwrap();
    let mut limited = 0;
    for seed in 0..300_u64 {
        let public = bundle::PublicKeys {
            verifying: keys.public().verifying().clone(),
            transport: edge_crypto::hash::sha256(&[&seed.to_be_bytes()]),
            x25519: *keys.public().x25519(),
            mlkem: keys.public().mlkem().clone(),
        };
        let made_up = PublicBundle::new(keys.key_id().clone(), public).unwrap();
        let json = json.replace(&keys.fingerprint().to_string(), &made_up.fingerprint().to_string());
        let told = book.offer(NOW, NEIGHBOUR, json.as_bytes(), |_| Some(&made_up)).unwrap_err();
        limited += usize::from(matches!(told, OfferError::RateLimited));
    }
    assert_eq!(limited, 300 - 256);
}

#[test]
fn a_neighbour_that_fills_the_book_makes_room_for_what_others_tell() {
    let mut book = book().with_room(6);
    let made_up: Vec<KeyBundle> = (10..16).map(peer).collect();
    for (age, keys) in made_up.iter().enumerate() {
        offer(&mut book, NOW, &advert(keys, NOW - 10 + age as u64), keys).unwrap();
    }
    let more = peer(16);
    assert!(matches!(offer(&mut book, NOW, &advert(&more, NOW), &more), Err(OfferError::Full)), "its share is used up");
    let honest: Vec<KeyBundle> = (1..4).map(peer).collect();
    for keys in &honest {
        let taken = book.offer(NOW, OTHER, advert(keys, NOW).json(), |_| Some(keys.public()));
        assert_eq!(taken.unwrap(), Novelty::First);
    }
    let held = |keys: &[KeyBundle]| keys.iter().filter(|keys| book.get(NOW, keys.fingerprint()).is_some()).count();
    assert_eq!((held(&honest), held(&made_up[..3]), held(&made_up[3..])), (3, 0, 3), "its oldest went");
}

#[test]
fn what_is_verified_meanwhile_is_taken_only_if_it_still_counts() {
    let keys = peer(1);
    let mut book = book();
    let screen =
        |book: &mut Book, advert: &Advert| match book.screen(NOW, NEIGHBOUR, advert.json(), |_| Some(keys.public())) {
            Ok(Screened::Unverified(candidate)) => candidate,
            other => panic!("{other:?}"),
        };
    let (old, new) = (screen(&mut book, &advert(&keys, NOW - 5)), screen(&mut book, &advert(&keys, NOW)));
    assert_eq!(book.settle(NOW, new.verify(keys.public())).unwrap(), Novelty::First);
    assert_eq!(book.settle(NOW, old.verify(keys.public())).unwrap(), Novelty::Older);
    let strangers = peer(2);
    let late = match book.screen(NOW + 3_000, NEIGHBOUR, advert(&keys, NOW + 2_000).json(), |_| Some(keys.public())) {
        Ok(Screened::Unverified(candidate)) => candidate,
        other => panic!("{other:?}"),
    };
    assert!(book.settle(NOW, late.verify(strangers.public())).is_err(), "another bundle than that of before");
    assert_eq!(measured(&book, NOW), [NOW]);
}

#[test]
fn after_a_rotation_only_parents_count_and_only_for_five_seconds() {
    let (parent, other) = (peer(1), peer(2));
    let next = Epoch(EPOCH.0 + 1);
    let mut book = book();
    offer(&mut book, NOW, &advert(&parent, NOW), &parent).unwrap();
    offer(&mut book, NOW, &advert(&other, NOW), &other).unwrap();
    book.rotate(next, NOW, &[parent.fingerprint()]);
    assert_eq!(book.epoch(), next);
    assert_eq!(book.fresh(NOW).map(|it| it.advertiser).collect::<Vec<_>>(), [parent.fingerprint()]);

    let told = offer(&mut book, NOW + 1, &advert(&other, NOW + 1), &other);
    assert!(matches!(told, Err(OfferError::OtherEpoch { got: EPOCH })));
    assert_eq!(offer(&mut book, NOW + 1, &advert(&parent, NOW + 1), &parent).unwrap(), Novelty::Newer);
    assert_eq!(offer(&mut book, NOW + 2, &signed(&other, NOW, 1, next), &other).unwrap(), Novelty::First);

    assert_eq!(measured(&book, NOW + PREVIOUS_EPOCH_MS - 1).len(), 2);
    assert_eq!(measured(&book, NOW + PREVIOUS_EPOCH_MS), [NOW]);
    let late = offer(&mut book, NOW + PREVIOUS_EPOCH_MS, &advert(&parent, NOW + 2), &parent);
    assert!(matches!(late, Err(OfferError::OtherEpoch { .. })));
    let renewed = signed(&parent, NOW, 1, next);
    assert_eq!(offer(&mut book, NOW + PREVIOUS_EPOCH_MS, &renewed, &parent).unwrap(), Novelty::Newer);
    let older_epoch = offer(&mut book, NOW + 4_000, &advert(&parent, NOW + 3_000), &parent);
    assert_eq!(older_epoch.unwrap(), Novelty::Older);
}

#[test]
fn a_jump_over_epochs_keeps_nothing() {
    let keys = peer(1);
    let mut book = book();
    offer(&mut book, NOW, &advert(&keys, NOW), &keys).unwrap();
    book.rotate(EPOCH, NOW, &[]);
    assert_eq!(measured(&book, NOW).len(), 1, "the same epoch is no rotation");
    book.rotate(Epoch(EPOCH.0 + 2), NOW, &[keys.fingerprint()]);
    assert!(measured(&book, NOW).is_empty());
    book.rotate(Epoch(u64::MAX), NOW, &[]);
    book.rotate(Epoch(0), NOW, &[]);
    assert_eq!(book.epoch(), Epoch(0));
}

#[test]
fn books_of_two_streams_share_nothing() {
    let keys = peer(1);
    let mut other = Book::new(StreamId([8; 32]), EPOCH, Accept::Bound);
    assert!(matches!(offer(&mut other, NOW, &advert(&keys, NOW), &keys), Err(OfferError::OtherStream)));
}
