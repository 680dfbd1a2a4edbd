//! Links with state, and relays.

use edge_link::replay::{Outcome, Window};
use edge_link::{Receiver, Sender};
use edge_seal::{EpochDek, open_inner, seal_inner};
use edge_wire::chunk::Sealed;
use edge_wire::id::LinkSeq;

use crate::case::{Case, Reason, bad, must, same, same_bytes};

pub(crate) fn replay_window(case: &Case<'_>) -> Result<(), Reason> {
    let mut window = must("width", Window::new(case.size("width")?))?;
    let outcome = |number| match window.admit(number) {
        Outcome::Fresh => "Fresh",
        Outcome::Duplicate => "Duplicate",
        Outcome::StaleBelowWindow => "StaleBelowWindow",
    };
    let outcomes: Vec<&str> = case.numbers("seqs")?.into_iter().map(outcome).collect();
    case.expect_texts("outcomes", &outcomes)
}

pub(crate) fn multi_tier(case: &Case<'_>) -> Result<(), Reason> {
    let hops: Vec<Case<'_>> = case.objects("hops")?.collect();
    let first = hops.first().ok_or_else(|| bad("hops", "is empty"))?.bytes("wire")?;
    let header = must("the first chunk", Sealed::parse(&first))?.header;
    let dek = EpochDek::new(case.secret("epoch_dek")?);
    let plaintext = case.bytes("plaintext")?;
    let published = must("inner seal", seal_inner(&dek, header, &plaintext))?;
    case.expect_bytes("inner_ciphertext", &published.ciphertext)?;

    let mut carried = published.clone();
    for hop in &hops {
        let (link_id, seq) = (hop.bytes("link_id")?, LinkSeq(hop.number("link_seq")?));
        let mut wire = Vec::new();
        let mut sender = Sender::start_at(hop.secret("transit_key")?, &link_id, seq);
        same("link_seq", &seq, &must("outer seal", sender.seal_into(&carried, &mut wire))?)?;
        hop.expect_bytes("wire", &wire)?;

        let mut receiver = Receiver::new(hop.secret("transit_key")?, &link_id);
        let chunk = must("the sealed chunk", Sealed::parse(&wire))?;
        carried = must("outer open", receiver.open(seq, &chunk))?;
        same("chunk after a hop", &published, &carried)?;
    }
    same_bytes("plaintext at the end", &plaintext, &must("inner open", open_inner(&dek, &carried))?)
}
