//! Identities: creating, finding and showing key files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::HEXLOWER;
use edge_crypto::random::System;
use edge_identity::bundle::KeyBundle;
use edge_identity::file::{self, Existing, Passphrase, Protection};
use edge_wire::id::KeyId;
use zeroize::Zeroizing;

use crate::Failure;
use crate::args::{Identity, KeyShow, Keygen};
use crate::console::Console;

/// `edge keygen`.
pub(crate) fn generate(keygen: &Keygen, console: &Console) -> Result<(), Failure> {
    let key_id = keygen.id.as_ref().map(|id| KeyId::new(id.as_str())).transpose()?;
    let bundle = KeyBundle::generate(key_id, &mut System)?;
    let path = keygen.out.clone().map_or_else(default_path, Ok)?;
    let passphrase = keygen.passphrase_file.as_deref().map(read_passphrase).transpose()?;
    let existing = if keygen.force { Existing::Replace } else { Existing::Refuse };
    file::save(&path, &bundle, passphrase.as_ref(), existing, &mut System)?;
    match console.is_json() {
        true => console.json(&description(&bundle, &path)),
        false => console.line(&format!(
            "created {} for {}\nfingerprint {}",
            path.display(),
            bundle.key_id(),
            bundle.fingerprint()
        )),
    }
    Ok(())
}

/// `edge key show`.
pub(crate) fn show(show: &KeyShow, console: &Console) -> Result<(), Failure> {
    let path = show.path.clone().map_or_else(default_path, Ok)?;
    let bundle = open(&path, show.passphrase_file.as_deref())?;
    match console.is_json() {
        true => console.json(&description(&bundle, &path)),
        false => {
            let public = bundle.public();
            console.line(&format!("key id          {}", bundle.key_id()));
            console.line(&format!("fingerprint     {}", bundle.fingerprint()));
            console.line(&format!("ed25519         {}", HEXLOWER.encode(public.verifying().ed25519())));
            console.line(&format!("transport       {}", HEXLOWER.encode(public.transport())));
            console.line(&format!("x25519          {}", HEXLOWER.encode(public.x25519())));
            console.line("ml-dsa-65       present");
            console.line("ml-kem-768      present");
        }
    }
    Ok(())
}

/// The identity that a role uses.
pub(crate) fn identity(identity: &Identity, console: &Console) -> Result<Arc<KeyBundle>, Failure> {
    if identity.ephemeral {
        return Ok(Arc::new(KeyBundle::generate(None, &mut System)?));
    }
    let path = identity.key.clone().map_or_else(default_path, Ok)?;
    let passphrase_file = identity.passphrase_file.as_deref();
    if identity.key.is_some() || path.exists() {
        return Ok(Arc::new(open(&path, passphrase_file)?));
    }
    let bundle = KeyBundle::generate(None, &mut System)?;
    let passphrase = passphrase_file.map(read_passphrase).transpose()?;
    file::save(&path, &bundle, passphrase.as_ref(), Existing::Refuse, &mut System)?;
    match console.is_json() {
        true => tracing::warn!(key_id = %bundle.key_id(), path = %path.display(), "created an identity"),
        false => console.line(&format!("created your identity {} in {}", bundle.key_id(), path.display())),
    }
    Ok(Arc::new(bundle))
}

/// Where the key lives when nobody says where.
pub(crate) fn default_path() -> Result<PathBuf, Failure> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    let data = std::env::var_os("XDG_DATA_HOME").filter(|path| !path.is_empty()).map(PathBuf::from).or_else(home);
    let data = data.ok_or(Error::NoHome)?;
    Ok(data.join("edge").join("key"))
}

fn description(bundle: &KeyBundle, path: &Path) -> serde_json::Value {
    let public = bundle.public();
    serde_json::json!({
        "key_id": bundle.key_id().as_str(),
        "fingerprint": bundle.fingerprint().to_string(),
        "path": path.display().to_string(),
        "ed25519": HEXLOWER.encode(public.verifying().ed25519()),
        "ml_dsa_65": HEXLOWER.encode(public.verifying().ml_dsa()),
        "transport": HEXLOWER.encode(public.transport()),
        "x25519": HEXLOWER.encode(public.x25519()),
        "ml_kem_768": HEXLOWER.encode(public.mlkem().as_bytes()),
    })
}

/// Opens a key file; a passphrase that the file does not need is left alone, so that one setting serves many files.
fn open(path: &Path, passphrase_file: Option<&Path>) -> Result<KeyBundle, Failure> {
    let passphrase = match (file::protection(path)?, passphrase_file) {
        (Protection::Passphrase, None) => return Err(Error::Encrypted { path: path.to_owned() }.into()),
        (Protection::Passphrase, Some(from)) => Some(read_passphrase(from)?),
        _ => None,
    };
    Ok(file::load(path, passphrase.as_ref())?)
}

fn read_passphrase(path: &Path) -> Result<Passphrase, Failure> {
    let read = std::fs::read_to_string(path);
    let text = Zeroizing::new(read.map_err(|source| Error::PassphraseFile { path: path.to_owned(), source })?);
    let first = text.lines().next().unwrap_or("");
    Ok(Passphrase::new(Zeroizing::new(first.to_owned()))?)
}

/// Why an identity could not be used.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("there is no HOME: say where the key is with --key PATH")]
    NoHome,
    #[error("{path} is encrypted: name a file with its passphrase, --passphrase-file FILE", path = path.display())]
    Encrypted { path: PathBuf },
    #[error("cannot read the passphrase from {path}", path = path.display())]
    PassphraseFile {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}
