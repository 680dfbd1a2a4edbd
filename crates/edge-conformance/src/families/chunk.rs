//! Parsing of chunks and admission of layers.

use edge_wire::chunk::{self, PREFIX_LEN, Profile, Sealed};

use crate::case::{Case, Reason, bad, same_bytes};

pub(crate) fn chunk_wire(case: &Case<'_>) -> Result<(), Reason> {
    let wire = case.bytes("wire")?;
    for (field, profile) in [("profile_4_2_1", Profile::Release421), ("profile_strict", Profile::Strict)] {
        let expected = case.object(field)?;
        match Sealed::parse_as(&wire, profile) {
            Ok(chunk) => same_chunk(&expected, &chunk)?,
            Err(error) => same_error(&expected, error)?,
        }
    }
    match Sealed::parse(&wire) {
        Ok(chunk) if wire.len() >= PREFIX_LEN => same_bytes("re-encoded wire", &wire, &chunk.to_bytes()),
        _ => Ok(()),
    }
}

pub(crate) fn layer_policy(case: &Case<'_>) -> Result<(), Reason> {
    case.expect_flag("admits", case.policy("policy")?.admits(case.layer("layer")?))
}

fn same_chunk(expected: &Case<'_>, chunk: &Sealed<'_>) -> Result<(), Reason> {
    if expected.optional("error").is_some() {
        return Err(Reason::Accepted { what: "the chunk".to_owned() });
    }
    let header = chunk.header;
    expected.expect_bytes("stream_id", &header.stream.0)?;
    expected.expect_number("epoch", header.epoch.0)?;
    expected.expect_number("chunk_seq", header.seq.0)?;
    expected.expect_number("codec_id", u64::from(header.codec.0))?;
    crate::case::same("layer", &expected.layer("layer")?, &header.layer)?;
    expected.expect_bytes("ciphertext", chunk.ciphertext)
}

fn same_error(expected: &Case<'_>, error: chunk::Error) -> Result<(), Reason> {
    let chunk::Error::WireTooShort { got, need } = error else { return crate::case::must("the chunk", Err(error)) };
    if expected.optional("error").is_none() {
        return crate::case::must("the chunk", Err(error));
    }
    let count = |len: usize| u64::try_from(len).map_err(|_| bad("wire", "is too long"));
    expected.expect_text("error", "WireTooShort")?;
    expected.expect_number("got", count(got)?)?;
    expected.expect_number("need", count(need)?)
}
