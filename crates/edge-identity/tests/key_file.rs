//! A key file is private, whole, bound to its passphrase, and every other state of it is its own error.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::error::Error as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use edge_crypto::hash::sha256;
use edge_crypto::random::Seeded;
use edge_identity::KeyBundle;
use edge_identity::file::{self, Error, Existing, MAX_LEN, MAX_PASSPHRASE_LEN, Passphrase, Protection};
use tempfile::TempDir;
use zeroize::Zeroizing;

fn bundle(seed: u64) -> KeyBundle {
    KeyBundle::generate(None, &mut Seeded::new(seed)).unwrap()
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(Zeroizing::new(text.to_owned())).unwrap()
}

fn saved(passphrase: Option<&Passphrase>) -> (TempDir, PathBuf, KeyBundle) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.key");
    let bundle = bundle(1);
    file::save(&path, &bundle, passphrase, Existing::Refuse, &mut Seeded::new(2)).unwrap();
    (folder, path, bundle)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn names_in(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Recomputes the checksum, so that a change is found by something else.
fn rewrite(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut content = fs::read(path).unwrap();
    content.truncate(content.len() - 32);
    change(&mut content);
    let checksum = sha256(&[&content]);
    fs::write(path, [&content[..], &checksum].concat()).unwrap();
}

#[test]
fn what_was_saved_is_loaded() {
    let secret = passphrase("correct horse");
    for phrase in [None, Some(&secret)] {
        let (_folder, path, bundle) = saved(phrase);
        let loaded = file::load(&path, phrase).unwrap();
        assert_eq!(loaded.public(), bundle.public());
        loaded.public().verifying().verify(b"m", &bundle.sign(b"m").unwrap()).unwrap();
        assert_eq!(loaded.x25519().secret(), bundle.x25519().secret());
        assert_eq!(loaded.mlkem().secret(), bundle.mlkem().secret());
        assert_eq!(loaded.transport_seed(), bundle.transport_seed());
    }
}

#[test]
fn files_and_folders_are_made_private_and_nothing_is_left_behind() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a").join("b").join("edge.key");
    file::save(&path, &bundle(1), None, Existing::Refuse, &mut Seeded::new(1)).unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(mode(&folder.path().join("a")), 0o700);
    assert_eq!(names_in(path.parent().unwrap()), ["edge.key"]);
}

#[test]
fn a_file_is_replaced_only_on_request() {
    let (folder, path, first) = saved(None);
    let second = bundle(9);
    let refused = file::save(&path, &second, None, Existing::Refuse, &mut Seeded::new(3)).unwrap_err();
    assert!(matches!(&refused, Error::Exists(at) if at == &path), "{refused}");
    assert_eq!(file::load(&path, None).unwrap().public(), first.public());

    file::save(&path, &second, None, Existing::Replace, &mut Seeded::new(3)).unwrap();
    assert_eq!(file::load(&path, None).unwrap().public(), second.public());
    assert_eq!(names_in(folder.path()), ["edge.key"]);
}

#[test]
fn a_dangling_link_is_not_written_through() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.key");
    symlink(folder.path().join("elsewhere"), &path).unwrap();
    let refused = file::save(&path, &bundle(1), None, Existing::Refuse, &mut Seeded::new(1)).unwrap_err();
    assert!(matches!(refused, Error::Exists(_)));
    assert_eq!(names_in(folder.path()), ["edge.key"]);
}

#[test]
fn a_failed_replacement_leaves_the_target_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.key");
    fs::create_dir(&path).unwrap();
    let failed = file::save(&path, &bundle(1), None, Existing::Replace, &mut Seeded::new(1)).unwrap_err();
    assert!(matches!(failed, Error::Io { action: "replace", .. }));
    assert!(failed.source().is_some());
    assert_eq!(names_in(folder.path()), ["edge.key"]);
}

#[test]
fn a_file_that_others_can_access_is_refused_with_the_remedy() {
    let (_folder, path, _) = saved(None);
    for exposed in [0o640, 0o604, 0o620, 0o602, 0o610, 0o666] {
        fs::set_permissions(&path, Permissions::from_mode(exposed)).unwrap();
        let refused = file::load(&path, None).unwrap_err();
        assert!(matches!(refused, Error::Exposed { mode, .. } if mode == exposed));
        assert!(refused.to_string().ends_with(&format!("run `chmod 600 {}`", path.display())), "{refused}");
    }
    fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
    file::load(&path, None).unwrap();
}

#[test]
fn the_passphrase_decides() {
    let right = passphrase("correct horse");
    let (_folder, path, _) = saved(Some(&right));
    assert_eq!(file::protection(&path).unwrap(), Protection::Passphrase);
    assert!(matches!(file::load(&path, None), Err(Error::PassphraseNeeded)));
    assert!(matches!(file::load(&path, Some(&passphrase("correct horsE"))), Err(Error::WrongPassphrase)));

    let (_folder, plain, _) = saved(None);
    assert_eq!(file::protection(&plain).unwrap(), Protection::Permissions);
    assert!(matches!(file::load(&plain, Some(&right)), Err(Error::NotEncrypted)));
}

#[test]
fn an_encrypted_file_holds_no_secret_in_clear() {
    let phrase = passphrase("correct horse");
    let (_folder, path, bundle) = saved(Some(&phrase));
    let content = fs::read(&path).unwrap();
    for secret in [bundle.transport_seed(), bundle.x25519().secret(), bundle.signing_key().ed25519_seed()] {
        assert!(!content.windows(8).any(|window| window == &secret.expose()[..8]));
    }
    assert!(!format!("{phrase:?}").contains("horse"));
}

#[test]
fn every_truncation_and_every_flipped_byte_is_found() {
    for phrase in [None, Some(passphrase("correct horse"))] {
        let (_folder, path, _) = saved(phrase.as_ref());
        let good = fs::read(&path).unwrap();
        for len in 0..good.len() {
            fs::write(&path, &good[..len]).unwrap();
            let error = file::load(&path, phrase.as_ref()).unwrap_err();
            assert!(matches!(error, Error::NotAKeyFile | Error::Damaged), "cut to {len}: {error}");
        }
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x04;
            fs::write(&path, &bad).unwrap();
            let error = file::load(&path, phrase.as_ref()).unwrap_err();
            let expected = match at {
                0..8 => matches!(error, Error::NotAKeyFile),
                8 => matches!(error, Error::Version { got: 5 }),
                _ => matches!(error, Error::Damaged),
            };
            assert!(expected, "byte {at}: {error}");
        }
    }
}

#[test]
fn a_changed_header_does_not_open_even_with_a_right_checksum() {
    let phrase = passphrase("correct horse");
    // Salt, then one byte of the sealed body.
    for at in [22, 40, 60] {
        let (_folder, path, _) = saved(Some(&phrase));
        rewrite(&path, |content| content[at] ^= 1);
        assert!(matches!(file::load(&path, Some(&phrase)), Err(Error::WrongPassphrase)), "byte {at}");
    }
    // Passes, from 3 to 2: a cheaper derivation is another key.
    let (_folder, path, _) = saved(Some(&phrase));
    rewrite(&path, |content| content[17] ^= 1);
    assert!(matches!(file::load(&path, Some(&phrase)), Err(Error::WrongPassphrase)));
}

#[test]
fn unreasonable_cost_is_refused_before_it_is_paid() {
    let phrase = passphrase("correct horse");
    for (at, value) in [(10, u32::MAX), (10, 8), (14, u32::MAX), (14, 0), (18, 0), (18, 1 << 20)] {
        let (_folder, path, _) = saved(Some(&phrase));
        rewrite(&path, |content| content[at..at + 4].copy_from_slice(&value.to_be_bytes()));
        assert!(matches!(file::load(&path, Some(&phrase)), Err(Error::Cost)), "{value} at {at}");
        assert!(matches!(file::protection(&path), Err(Error::Cost)));
    }
}

#[test]
fn a_consistent_file_with_another_seed_is_damaged() {
    let (_folder, path, bundle) = saved(None);
    let seeds_at = 8 + 1 + 1 + 2 + 2 + bundle.key_id().as_bytes().len();
    rewrite(&path, |content| content[seeds_at] ^= 1);
    assert!(matches!(file::load(&path, None), Err(Error::Damaged)));
    let (_folder, path, _) = saved(None);
    rewrite(&path, |content| content[9] = 7);
    assert!(matches!(file::load(&path, None), Err(Error::Damaged)));
    let (_folder, path, _) = saved(None);
    rewrite(&path, |content| content.push(0));
    assert!(matches!(file::load(&path, None), Err(Error::Damaged)));
}

#[test]
fn what_is_no_key_file_is_named() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.key");
    let missing = file::load(&path, None).unwrap_err();
    assert!(matches!(missing, Error::Missing(_)) && missing.to_string().contains("edge keygen"));
    assert!(matches!(file::load(folder.path(), None), Err(Error::NotAFile(_))));
    let private = |content: &[u8]| {
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        file::load(&path, None).unwrap_err()
    };
    assert!(matches!(private(b""), Error::NotAKeyFile));
    assert!(matches!(private(b"-----BEGIN PRIVATE KEY-----"), Error::NotAKeyFile));
    assert!(matches!(private(&vec![b'E'; MAX_LEN + 1]), Error::NotAKeyFile));
    let nameless = file::save(Path::new("/"), &bundle(1), None, Existing::Replace, &mut Seeded::new(1));
    assert!(matches!(nameless, Err(Error::NotAFile(_))));
}

#[test]
fn passphrases_are_bounded() {
    let of = |len: usize| Passphrase::new(Zeroizing::new("x".repeat(len)));
    assert!(matches!(of(0), Err(Error::PassphraseLength)));
    assert!(matches!(of(MAX_PASSPHRASE_LEN + 1), Err(Error::PassphraseLength)));
    assert!(of(1).is_ok() && of(MAX_PASSPHRASE_LEN).is_ok());
}
