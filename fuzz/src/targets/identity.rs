//! `edge-identity`: public bundles, signatures, key files, announce attestations, key grants.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use edge_crypto::hash::sha256;
use edge_crypto::random::Seeded;
use edge_crypto::sign::{Signature, VerifyingKey};
use edge_identity::PublicBundle;
use edge_identity::attest::Announce;
use edge_identity::file::{self, Existing, Passphrase};
use edge_identity::grant::{self, Grant};
use zeroize::Zeroizing;

use super::{COPIES, SMALL, built, own};
use crate::{Cost, Target, Verdict};

pub(super) const TARGETS: &[Target] = &[
    Target { name: "public_bundle", cost: Cost::Crypto, alloc_max: SMALL, run: public_bundle, seeds: bundles },
    Target { name: "hybrid_signature", cost: Cost::Crypto, alloc_max: SMALL, run: signature, seeds: signatures },
    Target { name: "key_file", cost: Cost::Crypto, alloc_max: COPIES, run: key_file, seeds: plain_files },
    Target { name: "key_file_encrypted", cost: Cost::Decode, alloc_max: COPIES, run: encrypted, seeds: sealed_parts },
    Target { name: "announce_json", cost: Cost::Crypto, alloc_max: SMALL, run: announce, seeds: announces },
    Target { name: "grant_json", cost: Cost::Crypto, alloc_max: SMALL, run: grant_json, seeds: grants },
];

fn public_bundle(input: &[u8]) -> Verdict {
    let parsed = PublicBundle::parse(input);
    if let Ok(bundle) = &parsed {
        assert_eq!(bundle.to_bytes(), input, "a parsed bundle writes back to its bytes");
    }
    parsed.into()
}

const MESSAGE: &[u8] = b"what the key signed";

/// Only the very signature passes: neither half may be changed, shortened or lengthened.
fn signature(input: &[u8]) -> Verdict {
    static KEY: OnceLock<(VerifyingKey, Vec<u8>)> = OnceLock::new();
    let make = || (built(own().signing_key().verifying_key()), built(own().sign(MESSAGE)).to_bytes());
    let (key, signed) = KEY.get_or_init(make);
    let verdict = Verdict::from(Signature::from_slice(input).and_then(|signature| key.verify(MESSAGE, &signature)));
    // The Ed25519 half is deterministic; the other half is hedged, so an equal prefix is what can be said.
    assert!(verdict == Verdict::Refused || input.get(..64) == signed.get(..64), "a changed signature verifies");
    verdict
}

fn key_file(input: &[u8]) -> Verdict {
    let path = written(input);
    let _ = file::protection(path);
    file::load(path, None).into()
}

const MAGIC_AND_VERSION: &[u8] = b"EDGE-KEY\x01";
/// Encrypted, with the least work that a reader accepts: 8 MiB, one pass, one lane.
const ENCRYPTED_CHEAPLY: &[u8] = &[1, 0, 0, 0x20, 0, 0, 0, 0, 1, 0, 0, 0, 1];

/// The input is salt and sealed body. It counts as accepted when it gets as far as the seal: a body that opens would
/// need the costlier header that a writer chooses.
fn encrypted(input: &[u8]) -> Verdict {
    let path = written(&[MAGIC_AND_VERSION, ENCRYPTED_CHEAPLY, input].concat());
    match file::load(path, Some(&passphrase())) {
        Err(file::Error::WrongPassphrase) => Verdict::Accepted,
        other => other.into(),
    }
}

fn passphrase() -> Passphrase {
    built(Passphrase::new(Zeroizing::new("fuzz".to_owned())))
}

/// Writes a key file with a right checksum, so that mutations get past it.
fn written(content: &[u8]) -> &'static Path {
    let path = scratch();
    let open = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let mut out = built(open);
    built(out.write_all(content).and_then(|()| out.write_all(&sha256(&[content]))));
    path
}

fn scratch() -> &'static Path {
    static FOLDER: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let make = || {
        let folder = built(tempfile::tempdir());
        let path = folder.path().join("key");
        (folder, path)
    };
    &FOLDER.get_or_init(make).1
}

fn announce(input: &[u8]) -> Verdict {
    let parsed = Announce::parse(input);
    if let Ok(announce) = &parsed {
        assert_eq!(Announce::parse(&built(announce.to_json())).ok().as_ref(), Some(announce));
        let _ = announce.clone().verify(own().public().verifying().ed25519());
    }
    parsed.into()
}

/// The first byte names the algorithm, which travels beside the record.
fn grant_json(input: &[u8]) -> Verdict {
    let Some((kind, json)) = input.split_first() else { return Verdict::Refused };
    let algorithm = if kind % 2 == 0 { grant::CLASSICAL_ALGORITHM } else { grant::HYBRID_ALGORITHM };
    let parsed = Grant::parse(algorithm, json);
    match &parsed {
        Ok(Grant::Classical(grant)) => drop(grant.unwrap(own().x25519())),
        Ok(Grant::Hybrid(grant)) => drop(grant.unwrap(own().x25519(), own().mlkem())),
        Err(_) => {}
    }
    parsed.into()
}

fn bundles() -> Vec<Vec<u8>> {
    vec![own().public().to_bytes()]
}

fn signatures() -> Vec<Vec<u8>> {
    vec![built(own().sign(MESSAGE)).to_bytes()]
}

/// A key file without its checksum, as [`key_file`] takes it.
fn file_content(passphrase: Option<&Passphrase>) -> Vec<u8> {
    let path = scratch().with_extension("seed");
    built(file::save(&path, own(), passphrase, Existing::Replace, &mut Seeded::new(2)));
    let mut bytes = built(std::fs::read(&path));
    bytes.truncate(bytes.len().saturating_sub(32));
    bytes
}

fn plain_files() -> Vec<Vec<u8>> {
    vec![file_content(None), file_content(Some(&passphrase()))]
}

fn sealed_parts() -> Vec<Vec<u8>> {
    let skip = MAGIC_AND_VERSION.len() + ENCRYPTED_CHEAPLY.len();
    vec![file_content(Some(&passphrase())).split_off(skip)]
}

fn announces() -> Vec<Vec<u8>> {
    let federation = built(edge_crypto::sign::Ed25519Private::generate(&mut Seeded::new(3)));
    let announce = built(Announce::sign(&federation, *own().public().transport(), own().key_id().clone(), 7));
    vec![built(announce.to_json())]
}

fn grants() -> Vec<Vec<u8>> {
    let (dek, random) = (edge_crypto::Secret::from([9; 32]), &mut Seeded::new(4));
    let to = grant::Recipient { x25519: own().public().x25519(), mlkem: own().public().mlkem() };
    let classical = Grant::Classical(built(grant::Classical::wrap(&dek, to.x25519, random)));
    let hybrid = Grant::Hybrid(built(grant::Hybrid::wrap(&dek, to, random)));
    let of = |kind: u8, grant: &Grant| [&[kind][..], &built(grant.to_json())].concat();
    vec![of(0, &classical), of(1, &hybrid)]
}
