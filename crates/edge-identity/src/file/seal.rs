//! The bytes of a key file.

use argon2::{Algorithm, Argon2, Params};
use edge_crypto::aead::{self, NONCE_LEN};
use edge_crypto::hash::{equal, hkdf_sha256, sha256};
use edge_crypto::kem::{MLKEM_SEED_LEN, MlKemPrivate, X25519Private};
use edge_crypto::sign::{Ed25519Private, SigningKey};
use edge_crypto::{Random, Secret};
use edge_wire::id::{Fingerprint, KeyId};
use edge_wire::{Reader, Writer, domain};
use zeroize::Zeroizing;

use super::{Error, MAX_LEN, Passphrase};
use crate::KeyBundle;
use crate::bundle::Secrets;

const MAGIC: &[u8; 8] = b"EDGE-KEY";
const VERSION: u8 = 1;
const PLAIN: u8 = 0;
const ENCRYPTED: u8 = 1;
const SALT_LEN: usize = 16;
const CHECKSUM_LEN: usize = 32;
const MAX_BODY_LEN: usize = 2 + KeyId::MAX_LEN + 4 * 32 + MLKEM_SEED_LEN + 32;

/// The body's key belongs to one salt, which is drawn afresh for every file, so its nonce need not vary.
const NONCE: [u8; NONCE_LEN] = [0; NONCE_LEN];

/// How the secrets in a key file are protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// By the file's permissions only.
    Permissions,
    /// Also by a passphrase.
    Passphrase,
}

/// What a passphrase costs to try, as Argon2id counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    /// What this program writes.
    const DEFAULT: Self = Self { memory_kib: 64 * 1024, passes: 3, lanes: 1 };
    /// What this program reads: no more than a desktop spares, no less than makes guessing slow.
    const MEMORY_KIB: std::ops::RangeInclusive<u32> = 8 * 1024..=1024 * 1024;
    const PASSES: std::ops::RangeInclusive<u32> = 1..=16;
    const LANES: std::ops::RangeInclusive<u32> = 1..=16;

    fn read(reader: &mut Reader<'_>) -> Result<Self, edge_wire::Error> {
        Ok(Self { memory_kib: reader.u32("memory")?, passes: reader.u32("passes")?, lanes: reader.u32("lanes")? })
    }

    fn check(self) -> Result<Self, Error> {
        let sane = Self::MEMORY_KIB.contains(&self.memory_kib)
            && Self::PASSES.contains(&self.passes)
            && Self::LANES.contains(&self.lanes);
        if sane { Ok(self) } else { Err(Error::Cost) }
    }
}

/// The whole file.
pub(super) fn encode(
    bundle: &KeyBundle,
    passphrase: Option<&Passphrase>,
    random: &mut dyn Random,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    // Room for everything at once: growing would leave copies of secrets behind.
    let mut out = Writer::with_capacity(MAX_LEN);
    out.raw(MAGIC).u8(VERSION);
    let body = body(bundle);
    match passphrase {
        None => {
            out.u8(PLAIN).bytes16(&body);
        }
        Some(passphrase) => {
            let mut salt = [0; SALT_LEN];
            random.fill(&mut salt);
            let key = key(passphrase, Cost::DEFAULT, &salt)?;
            let Cost { memory_kib, passes, lanes } = Cost::DEFAULT;
            let sealed = key.seal(NONCE, &body).map_err(crate::bundle::Error::from)?;
            out.u8(ENCRYPTED).u32(memory_kib).u32(passes).u32(lanes).raw(&salt).bytes16(&sealed);
        }
    }
    let mut file = Zeroizing::new(out.finish());
    let checksum = sha256(&[&file]);
    file.extend_from_slice(&checksum);
    Ok(file)
}

/// The bundle in the file.
pub(super) fn decode(file: &[u8], passphrase: Option<&Passphrase>) -> Result<KeyBundle, Error> {
    match (Parsed::parse(file)?, passphrase) {
        (Parsed::Plain { body }, None) => parse_body(body),
        (Parsed::Encrypted { cost, salt, sealed }, Some(passphrase)) => {
            let key = key(passphrase, cost, salt)?;
            let body = Zeroizing::new(key.open(NONCE, sealed).map_err(|_| Error::WrongPassphrase)?);
            parse_body(&body)
        }
        (Parsed::Plain { .. }, Some(_)) => Err(Error::NotEncrypted),
        (Parsed::Encrypted { .. }, None) => Err(Error::PassphraseNeeded),
    }
}

/// How the file is protected.
pub(super) fn protection(file: &[u8]) -> Result<Protection, Error> {
    Ok(match Parsed::parse(file)? {
        Parsed::Plain { .. } => Protection::Permissions,
        Parsed::Encrypted { .. } => Protection::Passphrase,
    })
}

enum Parsed<'a> {
    Plain { body: &'a [u8] },
    Encrypted { cost: Cost, salt: &'a [u8], sealed: &'a [u8] },
}

impl<'a> Parsed<'a> {
    fn parse(file: &'a [u8]) -> Result<Self, Error> {
        let rest = file.strip_prefix(MAGIC).ok_or(Error::NotAKeyFile)?;
        let version = *rest.first().ok_or(Error::Damaged)?;
        if version != VERSION {
            return Err(Error::Version { got: version });
        }
        // The checksum tells damage from a wrong passphrase, and comes before any work that a changed header asks for.
        let content_len = file.len().checked_sub(CHECKSUM_LEN).ok_or(Error::Damaged)?;
        let (content, checksum) = file.split_at(content_len);
        if !equal(&sha256(&[content]), checksum) {
            return Err(Error::Damaged);
        }
        Self::parse_content(content).map_err(|_| Error::Damaged)?.checked()
    }

    fn parse_content(content: &'a [u8]) -> Result<Self, edge_wire::Error> {
        let mut reader = Reader::new(content);
        reader.take("magic and version", MAGIC.len() + 1)?;
        let parsed = match reader.u8("protection")? {
            PLAIN => Self::Plain { body: reader.bytes16("body", MAX_BODY_LEN)? },
            ENCRYPTED => Self::Encrypted {
                cost: Cost::read(&mut reader)?,
                salt: reader.take("salt", SALT_LEN)?,
                sealed: reader.bytes16("body", MAX_BODY_LEN + aead::TAG_LEN)?,
            },
            got => return Err(edge_wire::Error::Unknown { field: "protection", got: u64::from(got) }),
        };
        reader.finish()?;
        Ok(parsed)
    }

    fn checked(self) -> Result<Self, Error> {
        match self {
            Self::Encrypted { cost, salt, sealed } => Ok(Self::Encrypted { cost: cost.check()?, salt, sealed }),
            plain => Ok(plain),
        }
    }
}

fn key(passphrase: &Passphrase, cost: Cost, salt: &[u8]) -> Result<aead::Key, Error> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32))?;
    let argon = Argon2::new(Algorithm::Argon2id, argon2::Version::V0x13, params);
    let mut stretched = Zeroizing::new([0; 32]);
    argon.hash_password_into(passphrase.expose(), salt, stretched.as_mut())?;
    let key = hkdf_sha256::<32>(stretched.as_ref(), &[], &[domain::KEY_FILE]).map_err(crate::bundle::Error::from)?;
    Ok(aead::Key::new(&key))
}

fn body(bundle: &KeyBundle) -> Zeroizing<Vec<u8>> {
    let mut out = Writer::with_capacity(MAX_BODY_LEN);
    out.bytes16(bundle.key_id().as_bytes())
        .raw(bundle.signing_key().ed25519_seed().expose())
        .raw(bundle.signing_key().ml_dsa_seed().expose())
        .raw(bundle.transport_seed().expose())
        .raw(bundle.x25519().secret().expose())
        .raw(bundle.mlkem().secret().expose())
        .raw(&bundle.fingerprint().0);
    Zeroizing::new(out.finish())
}

fn parse_body(body: &[u8]) -> Result<KeyBundle, Error> {
    let mut reader = Reader::new(body);
    let key_id = KeyId::read(&mut reader).map_err(|_| Error::Damaged)?;
    let ed25519 = secret(&mut reader)?;
    let ml_dsa = secret(&mut reader)?;
    let transport = secret(&mut reader)?;
    let x25519 = secret(&mut reader)?;
    let mlkem = secret(&mut reader)?;
    let fingerprint = Fingerprint(reader.array("fingerprint").map_err(|_| Error::Damaged)?);
    reader.finish().map_err(|_| Error::Damaged)?;
    let secrets = Secrets {
        sign: SigningKey::from_seeds(ed25519, ml_dsa).map_err(crate::bundle::Error::from)?,
        transport: Ed25519Private::from_seed(transport).map_err(crate::bundle::Error::from)?,
        x25519: X25519Private::new(x25519),
        mlkem: MlKemPrivate::new(mlkem),
    };
    let bundle = KeyBundle::new(key_id, secrets)?;
    // A file that would come up as another peer is a damaged one.
    if bundle.fingerprint() != fingerprint { Err(Error::Damaged) } else { Ok(bundle) }
}

fn secret<const N: usize>(reader: &mut Reader<'_>) -> Result<Secret<N>, Error> {
    let bytes = reader.take("seed", N).map_err(|_| Error::Damaged)?;
    Secret::from_slice(bytes).ok_or(Error::Damaged)
}
