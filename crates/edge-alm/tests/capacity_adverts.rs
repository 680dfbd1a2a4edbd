//! An advertisement says exactly what was signed, in one JSON form, and nothing else is believed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{NOW, advert, extension, peer, statement};
use data_encoding::BASE64;
use edge_alm::advert::{
    ADDRESSES_MAX, Advert, CHAIN_MAX, Capacity, Commitment, Error, JSON_LEN_MAX, Layout, PublicKeys, Statement,
};
use edge_alm::path::{RawPath, SubStreamPath};
use edge_wire::id::Fingerprint;
use edge_wire::layer::Policy;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use serde_json::{Value, json};

fn text(advert: &Advert) -> String {
    String::from_utf8(advert.json().to_vec()).unwrap()
}

fn value(advert: &Advert) -> Value {
    serde_json::from_slice(advert.json()).unwrap()
}

fn is_decode_error(json: &str) -> bool {
    matches!(Advert::parse(json.as_bytes()), Err(Error::WireDecode(_)))
}

#[test]
fn what_was_signed_verifies_and_is_passed_on_byte_for_byte() {
    let keys = peer(1);
    let made = advert(&keys, NOW);
    let received = Advert::parse(made.json()).unwrap();
    assert_eq!(received, made);
    let verified = received.verify(PublicKeys::Bundle(keys.public())).unwrap();
    assert_eq!(verified.statement(), &statement(&keys, NOW));
    assert_eq!(verified.extension(), Some(&extension(&keys, 1)));
    assert_eq!(verified.extension().unwrap().depth(), Some(2));
    assert_eq!(&verified.json()[..], made.json());
    assert_eq!(verified.digest(), made.digest());
}

#[test]
fn a_directory_without_the_bundle_authenticates_the_statement_only() {
    let keys = peer(1);
    let verified = advert(&keys, NOW).verify(PublicKeys::Hybrid(keys.public().verifying())).unwrap();
    assert_eq!(verified.extension(), None);
    assert!(matches!(advert(&keys, NOW).verify(PublicKeys::Ed25519Only), Err(Error::PqcPubkeyMissing)));
}

#[test]
fn an_absent_post_quantum_key_is_told_before_a_broken_signature() {
    let keys = peer(1);
    let broken =
        text(&advert(&keys, NOW)).replace("\"signature_ed25519_base64\":\"", "\"signature_ed25519_base64\":\"*");
    let broken = Advert::parse(broken.as_bytes()).unwrap();
    assert!(matches!(broken.clone().verify(PublicKeys::Ed25519Only), Err(Error::PqcPubkeyMissing)));
    assert!(matches!(broken.verify(PublicKeys::Bundle(keys.public())), Err(Error::SignatureInvalid)));
}

#[test]
fn the_fields_come_in_one_order_without_spaces() {
    let keys = peer(1);
    let json = text(&advert(&keys, NOW));
    let order = [
        "{\"advertiser_key_id\":\"relay-1\",\"capacity\":{\"uplink_mbps\":12.1,\"max_streams\":3,",
        "\"max_subscribers_per_stream\":9,\"measured_at_unix_ms\":1750000000000,",
        "\"max_layer_supported\":{\"max_spatial\":2,\"max_temporal\":3,\"max_quality\":1},",
        "\"sub_stream_commitments\":[]},\"stream_id\":[7,7,",
        "\"epoch\":72623859790382856,\"signature_ed25519_base64\":\"",
        "\"signature_ml_dsa_65_base64\":\"",
        "\"edge\":{\"sequence\":1,\"subscribers\":4,\"delay_ms\":35,\"yields_leaf\":0,\"yields_carrier\":0,\"chain\":[\"01",
        "\"addresses\":[\"192.0.2.7:4433\",\"[2001:db8::7]:4433\"],\"transport_key\":\"",
        "\"signature_base64\":\"",
    ];
    let found: Vec<usize> = order.iter().map(|part| json.find(part).expect(part)).collect();
    assert!(found.is_sorted());
    assert!(!json.contains(' '));
}

#[test]
fn any_order_spaces_and_unknown_fields_are_read() {
    let keys = peer(1);
    let mut fields = value(&advert(&keys, NOW));
    fields["later"] = json!({ "deep": [[[1]]] });
    // A map of this JSON library is ordered by name, which is not the order of the wire.
    let pretty = serde_json::to_string_pretty(&fields).unwrap();
    let read = Advert::parse(format!("\n{pretty} \n").as_bytes()).unwrap();
    assert!(read.verify(PublicKeys::Bundle(keys.public())).is_ok());

    fields["capacity"].as_object_mut().unwrap().remove("sub_stream_commitments");
    let read = Advert::parse(fields.to_string().as_bytes()).unwrap();
    assert!(read.verify(PublicKeys::Bundle(keys.public())).is_ok());
}

#[test]
fn a_change_of_any_signed_field_breaks_a_signature() {
    let keys = peer(1);
    let mut made = statement(&keys, NOW);
    made.capacity.sub_stream_commitments = [[0_u8], [1]].map(|path| commitment(&path, 2.5)).to_vec();
    let fields = value(&Advert::sign(made, extension(&keys, 1), &keys).unwrap());
    let changes = [
        ("/advertiser_key_id", json!("relay-2")),
        ("/capacity/uplink_mbps", json!(12.2)),
        ("/capacity/max_streams", json!(4)),
        ("/capacity/max_subscribers_per_stream", json!(8)),
        ("/capacity/measured_at_unix_ms", json!(NOW + 1)),
        ("/capacity/max_layer_supported/max_spatial", json!(3)),
        ("/capacity/max_layer_supported/max_temporal", json!(2)),
        ("/capacity/max_layer_supported/max_quality", json!(0)),
        ("/capacity/sub_stream_commitments", json!([])),
        ("/capacity/sub_stream_commitments/0/sub_stream_path", json!([0, 0])),
        ("/capacity/sub_stream_commitments/0/uplink_budget_mbps", json!(2.6)),
        ("/capacity/sub_stream_commitments/1/max_subscribers", json!(3)),
        ("/stream_id/31", json!(8)),
        ("/epoch", json!(72_623_859_790_382_857_u64)),
        ("/edge/sequence", json!(2)),
        ("/edge/subscribers", json!(3)),
        ("/edge/delay_ms", json!(1)),
        ("/edge/yields_leaf", json!(99)),
        ("/edge/yields_carrier", json!(99)),
        ("/edge/chain", json!([])),
        ("/edge/addresses", json!(["192.0.2.7:4433"])),
        ("/edge/addresses/0", json!("192.0.2.8:4433")),
        ("/edge/addresses/1", json!("[2001:db8::7]:4434")),
        ("/edge/transport_key", json!("00".repeat(32))),
    ];
    for (at, to) in changes {
        let mut changed = fields.clone();
        *changed.pointer_mut(at).unwrap() = to;
        let read = Advert::parse(changed.to_string().as_bytes()).unwrap();
        assert!(matches!(read.verify(PublicKeys::Bundle(keys.public())), Err(Error::SignatureInvalid)), "{at}");
    }
    let mut swapped = fields.clone();
    swapped["capacity"]["sub_stream_commitments"].as_array_mut().unwrap().reverse();
    let read = Advert::parse(swapped.to_string().as_bytes()).unwrap();
    assert!(matches!(read.verify(PublicKeys::Bundle(keys.public())), Err(Error::SignatureInvalid)));
}

#[test]
fn both_halves_of_both_signatures_count() {
    let keys = peer(1);
    let fields = value(&advert(&keys, NOW));
    let flip = |field: &Value, at: usize| {
        let mut bytes = BASE64.decode(field.as_str().unwrap().as_bytes()).unwrap();
        bytes[at] ^= 1;
        json!(BASE64.encode(&bytes))
    };
    let cut = |field: &Value| {
        let bytes = BASE64.decode(field.as_str().unwrap().as_bytes()).unwrap();
        json!(BASE64.encode(&bytes[1..]))
    };
    let halves = [
        ("/signature_ed25519_base64", 40),
        ("/signature_ml_dsa_65_base64", 40),
        ("/edge/signature_base64", 40),
        ("/edge/signature_base64", 140),
    ];
    for (pointer, at) in halves {
        let field = fields.pointer(pointer).unwrap();
        let unpadded = field.as_str().unwrap().trim_end_matches('=').to_owned();
        let spaced = format!("{} ", field.as_str().unwrap());
        for to in [flip(field, at), cut(field), json!(""), json!(format!("{unpadded}=====")), json!(spaced)] {
            let mut changed = fields.clone();
            *changed.pointer_mut(pointer).unwrap() = to;
            let read = Advert::parse(changed.to_string().as_bytes()).unwrap();
            assert!(
                matches!(read.verify(PublicKeys::Bundle(keys.public())), Err(Error::SignatureInvalid)),
                "{pointer}"
            );
        }
    }
}

#[test]
fn the_halves_cannot_trade_a_byte() {
    let keys = peer(1);
    let mut fields = value(&advert(&keys, NOW));
    let decode = |field: &Value| BASE64.decode(field.as_str().unwrap().as_bytes()).unwrap();
    let mut all = decode(&fields["signature_ed25519_base64"]);
    all.extend(decode(&fields["signature_ml_dsa_65_base64"]));
    fields["signature_ed25519_base64"] = json!(BASE64.encode(&all[..63]));
    fields["signature_ml_dsa_65_base64"] = json!(BASE64.encode(&all[63..]));
    let read = Advert::parse(fields.to_string().as_bytes()).unwrap();
    assert!(matches!(read.verify(PublicKeys::Bundle(keys.public())), Err(Error::SignatureInvalid)));
}

#[test]
fn an_extension_belongs_to_one_bundle() {
    let keys = peer(1);
    let mut other = edge_identity::bundle::PublicKeys {
        verifying: keys.public().verifying().clone(),
        transport: *peer(2).public().transport(),
        x25519: *keys.public().x25519(),
        mlkem: keys.public().mlkem().clone(),
    };
    let same_name = edge_identity::PublicBundle::new(keys.key_id().clone(), other.clone()).unwrap();
    assert!(matches!(advert(&keys, NOW).verify(PublicKeys::Bundle(&same_name)), Err(Error::SignatureInvalid)));
    other.transport = *keys.public().transport();
    let other_name = edge_identity::PublicBundle::new(peer(2).key_id().clone(), other).unwrap();
    assert!(matches!(advert(&keys, NOW).verify(PublicKeys::Bundle(&other_name)), Err(Error::SignatureInvalid)));
}

#[test]
fn a_signature_in_one_layout_says_nothing_in_the_other() {
    let keys = peer(1);
    let made = advert(&keys, NOW);
    let wide = Layout::CapV2Wide.canonical(made.statement()).unwrap();
    let narrow = Layout::CapV2Narrow.canonical(made.statement()).unwrap();
    assert_eq!((wide.len(), narrow.len()), (79, 16 + 4 + 7 + 4 + 8));
    assert_eq!(wide[..16], narrow[..16]);
    assert!(matches!(made.verify_narrow(PublicKeys::Bundle(keys.public())), Err(Error::SignatureInvalid)));

    let mut fields = value(&advert(&keys, NOW));
    let signature = keys.sign(&narrow).unwrap();
    fields["signature_ed25519_base64"] = json!(BASE64.encode(&signature.ed25519));
    fields["signature_ml_dsa_65_base64"] = json!(BASE64.encode(signature.ml_dsa.as_slice()));
    let read = Advert::parse(fields.to_string().as_bytes()).unwrap();
    let said = read.clone().verify_narrow(PublicKeys::Bundle(keys.public())).unwrap();
    assert_eq!((said.uplink_mbps, said.advertiser), (12, keys.key_id().clone()));
    assert!(matches!(read.verify(PublicKeys::Bundle(keys.public())), Err(Error::SignatureInvalid)));
}

#[test]
fn numbers_are_exact_and_finite() {
    let keys = peer(1);
    let json = text(&advert(&keys, NOW));
    let with = |from: &str, to: &str| json.replacen(from, to, 1);
    assert!(json.contains("12.1") && json.contains("\"max_streams\":3"));

    for uplink in ["0", "-0.0", "1e3", "1E-3", "12", "3.4028235e38"] {
        assert!(Advert::parse(with("12.1", uplink).as_bytes()).is_ok(), "{uplink}");
    }
    for uplink in
        ["1e39", "-1e39", "1e400", "null", "NaN", "Infinity", "\"12.1\"", "true", "[12.1]", "1e", "01", "+1", ".5"]
    {
        assert!(is_decode_error(&with("12.1", uplink)), "{uplink}");
    }
    for streams in ["7.0", "1e3", "-1", "65536", "null", "\"3\"", "18446744073709551616"] {
        assert!(is_decode_error(&with("\"max_streams\":3", &format!("\"max_streams\":{streams}"))), "{streams}");
    }
    for epoch in ["18446744073709551616", "-1", "7.0", "1e3"] {
        assert!(is_decode_error(&with("72623859790382856", epoch)), "{epoch}");
    }
    let largest = Advert::parse(with("72623859790382856", "18446744073709551615").as_bytes()).unwrap();
    assert_eq!(largest.statement().epoch.0, u64::MAX);
    let odd = Advert::parse(with("72623859790382856", "9007199254740993").as_bytes()).unwrap();
    assert_eq!(odd.statement().epoch.0, 9_007_199_254_740_993);
    let zero = Advert::parse(with("12.1", "-0.0").as_bytes()).unwrap();
    assert_eq!(zero.statement().capacity.uplink_mbps.to_bits(), (-0.0_f32).to_bits());
}

#[test]
fn malformed_json_is_refused() {
    let keys = peer(1);
    let json = text(&advert(&keys, NOW));
    let fields = value(&advert(&keys, NOW));
    let with = |from: &str, to: &str| {
        assert!(json.contains(from), "{from}");
        json.replacen(from, to, 1)
    };
    let bad = [
        format!("{json}x"),
        format!("{json}{json}"),
        format!("[{json}]"),
        "null".to_owned(),
        with("\"epoch\":", "\"epoch\":1,\"epoch\":"),
        with("\"max_streams\":3", "\"max_streams\":3,\"max_streams\":3"),
        with("\"sequence\":1", "\"sequence\":1,\"sequence\":1"),
        with(
            "\"max_layer_supported\":{\"max_spatial\":2,\"max_temporal\":3,\"max_quality\":1}",
            "\"max_layer_supported\":[2,3,1]",
        ),
        with("\"stream_id\":[7,", "\"stream_id\":["),
        with("\"stream_id\":[7,", "\"stream_id\":[7,7,"),
        with("\"stream_id\":[7,", "\"stream_id\":[256,"),
        with("\"stream_id\":[7,", "\"stream_id\":[-7,"),
        with("\"relay-1\"", "\"\""),
        with("\"relay-1\"", "7"),
        with("\"relay-1\"", "\"a\\u0000b\""),
        with("\"relay-1\"", &format!("\"{}\"", "a".repeat(257))),
        with("\"sub_stream_commitments\":[]", "\"sub_stream_commitments\":null"),
        with("\"sub_stream_commitments\":[]", "\"sub_stream_commitments\":[[[0],1.0,1]]"),
        with("\"192.0.2.7:4433\"", "\"192.0.2.7\""),
        with("\"192.0.2.7:4433\"", "\"192.0.2.7:0\""),
        with("\"192.0.2.7:4433\"", "\"example.org:4433\""),
        with("[2001:db8::7]", "[2001:DB8::7]"),
        with("[2001:db8::7]", "[fe80::7%3]"),
        with("\"192.0.2.7:4433\"", &["\"192.0.2.7:4433\""; ADDRESSES_MAX].join(",")),
        with("\"0101", "\"01"),
        with("\"0101", "\"G101"),
        with(&"01".repeat(32), &"02".repeat(32)),
    ];
    for json in bad {
        assert!(is_decode_error(&json), "{}", &json[..json.len().min(900)]);
    }
    for name in fields.as_object().unwrap().keys().filter(|name| *name != "edge") {
        let mut fields = fields.clone();
        fields.as_object_mut().unwrap().remove(name);
        assert!(is_decode_error(&fields.to_string()), "without {name}");
    }
    for name in fields["edge"].as_object().unwrap().keys() {
        let mut fields = fields.clone();
        fields["edge"].as_object_mut().unwrap().remove(name);
        assert!(is_decode_error(&fields.to_string()), "without edge.{name}");
    }
    let spaces = " ".repeat(JSON_LEN_MAX);
    assert!(is_decode_error(&format!("{json}{spaces}")));
    let fits = JSON_LEN_MAX - json.len();
    assert!(Advert::parse(format!("{json}{}", &spaces[..fits]).as_bytes()).is_ok());
}

#[test]
fn what_nobody_can_carry_is_out_of_range() {
    let capacity = statement(&peer(1), NOW).capacity;
    let with = |change: fn(&mut Capacity)| {
        let mut changed = capacity.clone();
        change(&mut changed);
        changed.check()
    };
    assert!(with(|it| it.uplink_mbps = 1e6).is_ok());
    assert!(with(|it| it.uplink_mbps = -0.0).is_ok());
    assert!(with(|it| it.uplink_mbps = 1_000_000.1).is_err());
    assert!(with(|it| it.uplink_mbps = -1e-30).is_err());
    assert!(with(|it| it.uplink_mbps = f32::INFINITY).is_err());
    assert!(with(|it| it.uplink_mbps = f32::NAN).is_err());
    assert!(with(|it| it.sub_stream_commitments = vec![commitment(&[0; 8], 1e6); 64]).is_ok());
    assert!(with(|it| it.sub_stream_commitments = vec![commitment(&[0], 1.0); 65]).is_err());
    assert!(with(|it| it.sub_stream_commitments = vec![commitment(&[0; 9], 1.0)]).is_err());
    assert!(with(|it| it.sub_stream_commitments = vec![commitment(&[0], -1.0)]).is_err());
    assert!(with(|it| it.sub_stream_commitments = vec![commitment(&[7, 9], 1.0)]).is_ok());
}

#[test]
fn an_advert_is_fresh_for_thirty_seconds_and_from_five_ahead() {
    let capacity = statement(&peer(1), NOW).capacity;
    assert!(capacity.check_time(NOW + 29_999).is_ok() && !capacity.is_stale(NOW + 29_999));
    assert!(matches!(capacity.check_time(NOW + 30_000), Err(Error::Stale { age_ms: 30_000 })));
    assert!(capacity.check_time(NOW - 5_000).is_ok());
    assert!(matches!(capacity.check_time(NOW - 5_001), Err(Error::Ahead { ahead_ms: 5_001 })));
    assert!(!capacity.is_stale(0));
}

#[test]
fn we_never_say_what_we_may_not() {
    let keys = peer(1);
    let sign = |change: &dyn Fn(&mut Statement)| {
        let mut changed = statement(&keys, NOW);
        change(&mut changed);
        Advert::sign(changed, extension(&keys, 1), &keys)
    };
    let commit = |paths: &[&[u8]]| {
        let entries: Vec<_> = paths.iter().map(|path| commitment(path, 1.0)).collect();
        sign(&|it| it.capacity.sub_stream_commitments = entries.clone())
    };
    assert!(commit(&[&[0], &[1]]).is_ok());
    assert!(matches!(commit(&[&[0], &[0, 1]]), Err(Error::Path(_))));
    assert!(matches!(commit(&[&[0], &[0]]), Err(Error::Path(_))));
    assert!(matches!(commit(&[&[2]]), Err(Error::Path(_))));
    assert!(commit(&[&[0; 9]]).is_err());
    assert!(sign(&|it| it.capacity.uplink_mbps = f32::NAN).is_err());
    assert!(sign(&|it| it.advertiser = peer(2).key_id().clone()).is_err());

    let mut long = extension(&keys, 1);
    long.chain = (0..=CHAIN_MAX as u8).map(|at| Fingerprint([at; 32])).collect();
    assert!(Advert::sign(statement(&keys, NOW), long, &keys).is_err());
    let mut loops = extension(&keys, 1);
    loops.chain.push(loops.chain[0]);
    assert!(Advert::sign(statement(&keys, NOW), loops, &keys).is_err());
}

#[test]
fn the_longest_advert_fits() {
    let keys = peer(1);
    let mut made = statement(&keys, NOW);
    made.capacity.uplink_mbps = 0.123_456_79;
    made.capacity.sub_stream_commitments =
        (0..4_u8).map(|leaf| commitment(SubStreamPath::new(&[leaf >> 1, leaf & 1]).unwrap().as_bytes(), 0.1)).collect();
    let mut full = extension(&keys, u64::MAX);
    full.chain = (1..CHAIN_MAX as u8).map(|at| Fingerprint([at; 32])).chain([keys.fingerprint()]).collect();
    full.addresses = vec!["[2001:db8:1111:2222:3333:4444:5555:6666]:44330".parse().unwrap(); ADDRESSES_MAX];
    let made = Advert::sign(made, full, &keys).unwrap();
    assert!(made.json().len() < 12_000, "{}", made.json().len());
    assert!(Advert::parse(made.json()).unwrap().verify(PublicKeys::Bundle(keys.public())).is_ok());
}

fn commitment(path: &[u8], uplink_budget_mbps: f32) -> Commitment {
    Commitment { sub_stream_path: RawPath::new(path), uplink_budget_mbps, max_subscribers: 2 }
}

fn config(cases: u32) -> Config {
    Config { rng_seed: RngSeed::Fixed(0xadd7), failure_persistence: None, ..Config::with_cases(cases) }
}

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn every_finite_binary32_survives_the_json_form(bits in any::<u32>(), budget in any::<u32>()) {
        let (uplink, budget) = (f32::from_bits(bits).abs() % 1e6, f32::from_bits(budget).abs() % 1e6);
        prop_assume!(uplink.is_finite() && budget.is_finite());
        let keys = peer(1);
        let mut made = statement(&keys, NOW);
        made.capacity.uplink_mbps = uplink;
        made.capacity.sub_stream_commitments = vec![commitment(&[1], budget)];
        let json = Advert::sign_plain(made, keys.signing_key()).unwrap();
        let read = Advert::parse(json.json()).unwrap();
        prop_assert_eq!(read.statement().capacity.uplink_mbps.to_bits(), uplink.to_bits());
        let verified = read.verify(PublicKeys::Hybrid(keys.public().verifying())).unwrap();
        let back = verified.statement().capacity.sub_stream_commitments[0].uplink_budget_mbps;
        prop_assert_eq!(back.to_bits(), budget.to_bits());
    }
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn no_mutation_verifies_or_panics(at in any::<prop::sample::Index>(), byte in any::<u8>(), kind in 0..3_u8) {
        let keys = peer(1);
        let made = CACHE.with(|cache| cache.get_or_init(|| advert(&peer(1), NOW)).clone());
        let mut json = made.json().to_vec();
        let at = at.index(json.len());
        match kind {
            0 => json[at] ^= byte | 1,
            1 => { json.remove(at); }
            _ => json.insert(at, byte),
        }
        let Ok(read) = Advert::parse(&json) else { return Ok(()) };
        if let Ok(verified) = read.verify(PublicKeys::Bundle(keys.public())) {
            // Spaces, escapes and fields that nobody reads are all that may change.
            prop_assert_eq!(verified.statement(), made.statement());
            prop_assert!(verified.extension().is_none() || verified.extension() == made.extension());
        }
    }
}

thread_local! {
    static CACHE: std::cell::OnceCell<Advert> = const { std::cell::OnceCell::new() };
}

#[test]
fn policies_are_covered_on_every_axis() {
    let capacity = statement(&peer(1), NOW).capacity;
    assert!(capacity.covers(Policy::new(2, 3, 1)) && capacity.covers(Policy::BLINKING_DOT));
    for policy in [Policy::new(3, 0, 0), Policy::new(0, 4, 0), Policy::new(0, 0, 2), Policy::UNCAPPED] {
        assert!(!capacity.covers(policy));
    }
}
