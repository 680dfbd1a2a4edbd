//! The end of a stream, as its publisher signs it. Specified in `docs/spec/control.md`.
//!
//! It states the last epoch that had media: a publisher that comes back goes on in a later one, so that an old
//! statement can be told from the present one.

use edge_crypto::sign::Signature;
use edge_identity::bundle::{KeyBundle, MAX_LEN, PublicBundle};
use edge_wire::id::{Epoch, Fingerprint, StreamId};
use edge_wire::{Reader, Writer, domain};

/// Why a notice is not believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Its fields do not parse.
    #[error("malformed notice of a stream's end")]
    Content(#[from] edge_wire::Error),
    /// Its bundle does not parse.
    #[error("malformed bundle in the notice of a stream's end")]
    Bundle(#[from] edge_identity::bundle::Error),
    /// Somebody else than the publisher signed it.
    #[error("the stream's end is told by {signer}, who is not its publisher")]
    NotThePublisher {
        /// Who did.
        signer: Fingerprint,
    },
    /// The signature does not fit.
    #[error("the notice of the stream's end is not signed by the publisher")]
    Signature(#[source] edge_crypto::Error),
}

/// What a publisher says of a stream that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// The stream, or the sub-stream of one description.
    pub stream: StreamId,
    /// The last epoch that had media.
    pub epoch: Epoch,
    /// When it ended, in ms since 1970, by the publisher's clock.
    pub at_unix_ms: u64,
}

impl Ending {
    /// The signed notice: `epoch || at || bundle || signature`.
    pub fn sign(&self, publisher: &KeyBundle) -> Result<Vec<u8>, edge_crypto::Error> {
        let signature = publisher.sign(&self.preimage(publisher.fingerprint()))?;
        let mut out = Writer::new();
        out.u64(self.epoch.0).u64(self.at_unix_ms).bytes16(&publisher.public().to_bytes()).raw(&signature.to_bytes());
        Ok(out.finish())
    }

    /// Reads a notice about `stream`, which `publisher` must have signed with both halves of its identity.
    pub fn verify(stream: StreamId, publisher: Fingerprint, notice: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(notice);
        let (epoch, at_unix_ms) = (Epoch(reader.u64("epoch")?), reader.u64("at")?);
        let bundle = reader.bytes16("bundle", MAX_LEN)?;
        let signature = reader.take("signature", Signature::LEN)?;
        reader.finish()?;
        let bundle = PublicBundle::parse(bundle)?;
        let signer = bundle.fingerprint();
        if signer != publisher {
            return Err(Error::NotThePublisher { signer });
        }
        let this = Self { stream, epoch, at_unix_ms };
        let signature = Signature::from_slice(signature).map_err(Error::Signature)?;
        bundle.verifying().verify(&this.preimage(publisher), &signature).map_err(Error::Signature)?;
        Ok(this)
    }

    fn preimage(&self, publisher: Fingerprint) -> Vec<u8> {
        let mut out = Writer::new();
        out.raw(domain::STREAM_ENDED).raw(&publisher.0).raw(&self.stream.0).u64(self.epoch.0).u64(self.at_unix_ms);
        out.finish()
    }
}
