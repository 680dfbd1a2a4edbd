//! The joiner's side: mint a key package, wait, accept one Welcome.

use edge_identity::KeyBundle;
use edge_wire::id::{Epoch, Fingerprint, KeyId, StreamId};
use openmls::prelude::tls_codec::Deserialize as _;
use openmls::prelude::{
    KeyPackage, MlsMessageBodyIn, MlsMessageOut, ProcessedWelcome, RatchetTreeIn, StagedWelcome, Welcome, WelcomeError,
};
use openmls_basic_credential::SignatureKeyPair;

use crate::gate::{self, Member};
use crate::mls::{self, LIFETIME_S, Store};
use crate::session::{Group, Incarnation, Place};
use crate::suite::SUITE;
use crate::{Error, KeyPackageOffer, MAX_MEMBERS, MAX_TREE_LEN, MAX_WELCOME_LEN, VerifiedWelcome};

/// The private half of one offered key package. It accepts one Welcome and is gone.
///
/// ```compile_fail
/// fn twice(join: edge_group::PendingJoin, welcome: edge_group::VerifiedWelcome) {
///     let _ = join.accept(&welcome, None, 0);
///     let _ = join.accept(&welcome, None, 0);
/// }
/// ```
pub struct PendingJoin {
    store: Store,
    signer: SignatureKeyPair,
    stream: StreamId,
    key_id: KeyId,
    fingerprint: Fingerprint,
    not_after_unix_s: u64,
}

impl PendingJoin {
    /// Mints a key package for `stream`, valid from now on, and binds it to the joiner's identity.
    pub fn new(stream: StreamId, own: &KeyBundle, now_unix_s: u64) -> Result<(Self, KeyPackageOffer), Error> {
        gate::check([&Member::from(own.public())])?;
        let store = Store::new()?;
        let signer = store.new_signer()?;
        let minted = KeyPackage::builder()
            .key_package_lifetime(mls::lifetime(now_unix_s))
            .leaf_node_capabilities(mls::capabilities())
            .build(SUITE, store.provider(), &signer, mls::credential(own.key_id(), &signer))
            .map_err(|error| Error::KeyPackageBuildFailed(Error::cause(error)))?;
        let key_package = mls::encode(&MlsMessageOut::from(minted.into_key_package()))?;
        let not_after_unix_s = now_unix_s.saturating_add(LIFETIME_S);
        let offer = KeyPackageOffer::sign(stream, own, not_after_unix_s, key_package)?;
        let (key_id, fingerprint) = (own.key_id().clone(), own.fingerprint());
        Ok((Self { store, signer, stream, key_id, fingerprint, not_after_unix_s }, offer))
    }

    /// The fingerprint that the Welcome must be addressed to.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Joins: opens the Welcome with the private half, which is used up whatever comes of it. `tree` is the ratchet
    /// tree of the Welcome's epoch when it does not travel inside.
    pub fn accept(self, welcome: &VerifiedWelcome, tree: Option<&[u8]>, now_unix_s: u64) -> Result<Group, Error> {
        if welcome.stream != self.stream {
            return Err(Error::WrongGroup);
        }
        if now_unix_s >= self.not_after_unix_s {
            return Err(Error::WelcomeRejected);
        }
        let MlsMessageBodyIn::Welcome(message) = decode_welcome(&welcome.welcome)? else {
            return Err(Error::WelcomeMalformed);
        };
        let tree = tree.map(decode_tree).transpose()?;
        let (staged, incarnation) = self.open(message, welcome, tree)?;
        check_roster(&staged, welcome)?;
        let mls = staged.into_group(self.store.provider()).map_err(welcome_failed)?;
        let place = Place {
            stream: self.stream,
            incarnation,
            own: self.key_id,
            committer: welcome.inviter.bundle().clone(),
            first_epoch: welcome.epoch,
        };
        Ok(Group::new(self.store, mls, self.signer, place))
    }

    fn open(
        &self,
        message: Welcome,
        envelope: &VerifiedWelcome,
        tree: Option<RatchetTreeIn>,
    ) -> Result<(StagedWelcome, Incarnation), Error> {
        let provider = self.store.provider();
        let opened =
            ProcessedWelcome::new_from_welcome(provider, &mls::join_config(), message).map_err(welcome_failed)?;
        let info = opened.unverified_group_info();
        let incarnation = Incarnation::of_group_id(info.group_id().as_slice(), self.stream)?;
        let staged = opened.into_staged_welcome(provider, tree).map_err(welcome_failed)?;
        match Epoch(staged.group_context().epoch().as_u64()) == envelope.epoch {
            true => Ok((staged, incarnation)),
            false => Err(Error::WelcomeMalformed),
        }
    }
}

impl std::fmt::Debug for PendingJoin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PendingJoin")
            .field("stream", &self.stream)
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

/// The group must be made by who signed the envelope, and every member must have a name.
fn check_roster(staged: &StagedWelcome, envelope: &VerifiedWelcome) -> Result<(), Error> {
    let sender = staged.welcome_sender().map_err(|error| Error::WelcomeFailed(Error::cause(error)))?;
    if mls::key_id(sender.credential()).as_ref() != Some(envelope.inviter.key_id()) {
        return Err(Error::InviterUnknown);
    }
    let members = staged.members().count();
    if members > MAX_MEMBERS {
        return Err(Error::TooMany { what: "members", got: members, bound: MAX_MEMBERS });
    }
    match staged.members().all(|member| mls::key_id(&member.credential).is_some()) {
        true => Ok(()),
        false => Err(Error::WelcomeMalformed),
    }
}

fn decode_welcome(bytes: &[u8]) -> Result<MlsMessageBodyIn, Error> {
    mls::decode(bytes, MAX_WELCOME_LEN).map_err(|_| Error::WelcomeMalformed)
}

fn decode_tree(bytes: &[u8]) -> Result<RatchetTreeIn, Error> {
    match bytes.len() > MAX_TREE_LEN {
        true => Err(Error::WelcomeMalformed),
        false => RatchetTreeIn::tls_deserialize_exact(bytes).map_err(|_| Error::WelcomeMalformed),
    }
}

fn welcome_failed<S: std::error::Error + Send + Sync + 'static>(error: WelcomeError<S>) -> Error {
    match error {
        WelcomeError::NoMatchingKeyPackage | WelcomeError::JoinerSecretNotFound => Error::WelcomeRejected,
        WelcomeError::MissingRatchetTree => Error::TreeMissing,
        error => Error::WelcomeFailed(Error::cause(error)),
    }
}
