//! The session: one member's view of one group.

use std::collections::VecDeque;
use std::fmt;

use edge_crypto::Secret;
use edge_identity::{KeyBundle, PublicBundle};
use edge_seal::EpochDek;
use edge_wire::domain;
use edge_wire::id::{Epoch, KeyId, StreamId};
use openmls::prelude::{GroupId, MlsGroup, OpenMlsProvider};
use openmls_basic_credential::SignatureKeyPair;

use crate::gate::{self, Member};
use crate::mls::{self, Store};
use crate::stage::{Emission, WelcomeTree};
use crate::{Error, suite};

/// Key packages remembered as used, per group.
pub(crate) const MAX_USED: usize = 4096;

/// Tells one group for a stream from the next one for the same stream, whose epochs start again at 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Incarnation(pub [u8; 8]);

impl Incarnation {
    /// Takes a group id apart, which must be `stream` and 8 bytes.
    pub(crate) fn of_group_id(group_id: &[u8], stream: StreamId) -> Result<Self, Error> {
        let rest = group_id.strip_prefix(&stream.0).ok_or(Error::WrongGroup)?;
        rest.try_into().map(Self).map_err(|_| Error::WrongGroup)
    }

    pub(crate) fn group_id(self, stream: StreamId) -> GroupId {
        GroupId::from_slice(&[&stream.0[..], &self.0].concat())
    }
}

/// One member as the roster shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberInfo {
    /// The member's name.
    pub key_id: KeyId,
    /// Its place in the ratchet tree.
    pub leaf: u32,
}

/// Where a session stands and who is who in it.
pub(crate) struct Place {
    pub(crate) stream: StreamId,
    pub(crate) incarnation: Incarnation,
    pub(crate) own: KeyId,
    pub(crate) committer: PublicBundle,
    pub(crate) first_epoch: Epoch,
}

/// One member's session in the group of one stream. It holds private keys: not cloneable, wiped on drop.
pub struct Group {
    pub(crate) store: Store,
    pub(crate) mls: MlsGroup,
    pub(crate) signer: SignatureKeyPair,
    pub(crate) place: Place,
    /// SHA-256 of the staged commit.
    pub(crate) staged: Option<[u8; 32]>,
    /// The latest commit that this session gave out or accepted; resent after a crash.
    pub(crate) latest: Option<Emission>,
    pub(crate) used_key_packages: VecDeque<[u8; 32]>,
    pub(crate) welcome_tree: WelcomeTree,
    pub(crate) evicted: Option<Epoch>,
}

impl Group {
    /// Creates the group of `stream` at epoch 0 with its publisher, who is its committer, as the only member.
    /// `incarnation` is fresh randomness.
    pub fn create(stream: StreamId, incarnation: Incarnation, own: &KeyBundle, now_unix_s: u64) -> Result<Self, Error> {
        gate::check([&Member::from(own.public())])?;
        let store = Store::new()?;
        let signer = store.new_signer()?;
        let mls = MlsGroup::new_with_group_id(
            store.provider(),
            &signer,
            &mls::create_config(now_unix_s),
            incarnation.group_id(stream),
            mls::credential(own.key_id(), &signer),
        )
        .map_err(|error| Error::CreateFailed(Error::cause(error)))?;
        let place = Place {
            stream,
            incarnation,
            own: own.key_id().clone(),
            committer: own.public().clone(),
            first_epoch: Epoch(0),
        };
        Ok(Self::new(store, mls, signer, place))
    }

    pub(crate) fn new(store: Store, mls: MlsGroup, signer: SignatureKeyPair, place: Place) -> Self {
        Self {
            store,
            mls,
            signer,
            place,
            staged: None,
            latest: None,
            used_key_packages: VecDeque::new(),
            welcome_tree: WelcomeTree::default(),
            evicted: None,
        }
    }

    /// The media key of the present epoch.
    pub fn dek(&self) -> Result<EpochDek, Error> {
        self.check_member()?;
        let crypto = self.store.provider().crypto();
        let exported = self.mls.export_secret(crypto, domain::EPOCH_DEK_EXPORTER, &[], 32);
        let bytes = exported.map_err(|error| Error::ExportFailed(Error::cause(error)))?;
        suite::secret32(bytes).map(EpochDek::new)
    }

    /// What members compare, as a safety code, to know that they are in the same group and epoch.
    pub fn epoch_authenticator(&self) -> Result<Secret<32>, Error> {
        self.check_member()?;
        suite::secret32(self.mls.epoch_authenticator().as_slice().to_vec())
    }

    /// The present epoch: the one whose key seals. After an eviction the epoch without this member.
    pub fn epoch(&self) -> Epoch {
        self.evicted.unwrap_or(Epoch(self.mls.epoch().as_u64()))
    }

    /// The epoch in which this member came in; chunks of older epochs are not for it.
    pub fn first_epoch(&self) -> Epoch {
        self.place.first_epoch
    }

    /// The stream that this group is for.
    pub fn stream(&self) -> StreamId {
        self.place.stream
    }

    /// Which of the stream's groups this is.
    pub fn incarnation(&self) -> Incarnation {
        self.place.incarnation
    }

    /// The peer that orders commits; accepted commits are verified against it.
    pub fn committer(&self) -> &PublicBundle {
        &self.place.committer
    }

    /// All members with this one, in tree order.
    pub fn roster(&self) -> Vec<MemberInfo> {
        let info = |member: openmls::prelude::Member| {
            Some(MemberInfo { key_id: mls::key_id(&member.credential)?, leaf: member.index.u32() })
        };
        self.mls.members().filter_map(info).collect()
    }

    /// The ratchet tree of the present epoch, for joiners whose Welcome travels without it: take it right after the
    /// merge, and keep it while that Welcome may still be under way.
    pub fn export_tree(&self) -> Result<Vec<u8>, Error> {
        self.check_member()?;
        mls::encode(&self.mls.export_ratchet_tree())
    }

    /// Refuses everything after an eviction.
    pub(crate) fn check_member(&self) -> Result<(), Error> {
        match self.evicted {
            Some(epoch) => Err(Error::Evicted { epoch: epoch.0 }),
            None => Ok(()),
        }
    }

    pub(crate) fn own_leaf_key(&self) -> Result<[u8; 32], Error> {
        self.check_member()?;
        self.signer.public().try_into().map_err(|_| edge_crypto::Error::Key("Ed25519").into())
    }

    pub(crate) fn leaf_keys(&self, key_id: &KeyId) -> impl Iterator<Item = Vec<u8>> {
        let named = move |member: &openmls::prelude::Member| mls::key_id(&member.credential).as_ref() == Some(key_id);
        self.mls.members().filter(named).map(|member| member.signature_key)
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("stream", &self.place.stream)
            .field("own", &self.place.own)
            .field("epoch", &self.epoch())
            .finish_non_exhaustive()
    }
}
