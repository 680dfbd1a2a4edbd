//! Links with state, and relays.

use bytes::Bytes;
use edge_link::replay::{Outcome, Window};
use edge_link::{Receiver, Sender};
use edge_relay::{Arena, Error, Limits, Relay, Start, Subscription};
use edge_seal::{EpochDek, open_inner, seal_inner};
use edge_wire::chunk::{CodecId, Header, InnerSealed, Sealed};
use edge_wire::id::{ChunkSeq, Epoch, KeyId, LinkSeq, StreamId};
use edge_wire::link::Hint;

use crate::case::{Case, Reason, bad, must, same, same_bytes};

/// Traces do not depend on time.
const NOW_MS: u64 = 0;

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

pub(crate) fn relay_trace(case: &Case<'_>) -> Result<(), Reason> {
    let (ops, results) = (case.values("ops")?, case.values("results")?);
    same("number of results", &ops.len(), &results.len())?;
    let mut relay = Relay::new(Limits::default());
    let arena = Arena::new();
    for (op, result) in case.objects("ops")?.zip(case.objects("results")?) {
        compare(&run(&mut relay, &arena, &op)?, &result)?;
    }
    Ok(())
}

/// What an operation did.
enum Effect {
    Done,
    Sent(Vec<Sent>),
    Refused(&'static str),
}

/// One sealed chunk for one subscriber.
struct Sent {
    subscriber: String,
    seq: LinkSeq,
    wire: Vec<u8>,
}

fn run(relay: &mut Relay, arena: &Arena, op: &Case<'_>) -> Result<Effect, Reason> {
    let stream = StreamId(op.array("stream")?);
    let done = match op.text("op")? {
        "subscribe" => {
            let wish = Subscription {
                stream,
                subscriber: subscriber(op)?,
                transit_key: op.secret("transit_key")?,
                policy: op.policy("policy")?,
                start: Start::Live,
            };
            relay.subscribe(wish, NOW_MS).map(drop)
        }
        "unsubscribe" => relay.unsubscribe(stream, &subscriber(op)?),
        "set_policy" => relay.set_policy(stream, &subscriber(op)?, op.policy("policy")?),
        "forward" => match relay.forward(stream, chunk(op, stream)?, Hint::default(), NOW_MS) {
            Ok(_) => return drain(relay, arena, stream).map(Effect::Sent),
            Err(error) => Err(error),
        },
        _ => return Err(bad("op", "is not a relay operation")),
    };
    match done {
        Ok(()) => Ok(Effect::Done),
        Err(error) => refusal(error).map(Effect::Refused),
    }
}

/// Everything that waits for the subscribers of a stream, in their order.
fn drain(relay: &mut Relay, arena: &Arena, stream: StreamId) -> Result<Vec<Sent>, Reason> {
    let handles: Vec<_> = relay.handles(stream).collect();
    let mut sent = Vec::new();
    for handle in handles {
        let name = relay.subscriber(handle).map(|(_, name)| name.to_string()).unwrap_or_default();
        while let Some(transmit) = must("polling", relay.poll(handle, NOW_MS, arena))? {
            sent.push(Sent { subscriber: name.clone(), seq: transmit.seq, wire: transmit.chunk().to_vec() });
        }
    }
    Ok(sent)
}

fn compare(effect: &Effect, result: &Case<'_>) -> Result<(), Reason> {
    match effect {
        Effect::Done => result.expect_flag("ok", true),
        Effect::Refused(error) => result.expect_text("error", error),
        Effect::Sent(sent) => {
            let mut expected: Vec<Case<'_>> = result.objects("out")?.collect();
            // The order of outputs is the relay's own affair.
            expected.sort_by_key(|out| out.text("sub").unwrap_or_default());
            same("number of outputs", &expected.len(), &sent.len())?;
            expected.iter().zip(sent).try_for_each(|(out, sent)| {
                out.expect_text("sub", &sent.subscriber)?;
                out.expect_number("link_seq", sent.seq.0)?;
                out.expect_bytes("wire", &sent.wire)
            })
        }
    }
}

/// The name that traces give an error.
fn refusal(error: Error) -> Result<&'static str, Reason> {
    match error {
        Error::StreamNotFound(_) => Ok("StreamNotFound"),
        Error::SubscriberNotFound { .. } => Ok("SubscriberNotFound"),
        other => must("the operation", Err(other)),
    }
}

fn subscriber(op: &Case<'_>) -> Result<KeyId, Reason> {
    must("sub", KeyId::new(op.text("sub")?))
}

fn chunk(op: &Case<'_>, stream: StreamId) -> Result<InnerSealed, Reason> {
    let header = Header {
        stream,
        epoch: Epoch(op.number("epoch")?),
        seq: ChunkSeq(op.number("chunk_seq")?),
        codec: CodecId(op.byte("codec_id")?),
        layer: op.layer("layer")?,
    };
    Ok(InnerSealed { header, ciphertext: Bytes::from(op.bytes("inner_ciphertext")?) })
}
