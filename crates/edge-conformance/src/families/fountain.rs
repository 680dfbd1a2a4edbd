//! The fountain wrap.

use edge_crypto::hash::sha256;
use edge_fountain::content::{Config, Encoded, Manifest, STORED_BLOCK_LEN_MAX, Symbol, decode, encode};
use edge_fountain::policy::DEFAULT_MIN_VIABLE_SYMBOLS;
use edge_fountain::retention::retention_priority;

use crate::case::{Case, Reason, bad, must, same, same_bytes};

/// Longest payload that a case describes by a rule, in bytes.
const PAYLOAD_LEN_MAX: usize = 1 << 20;
/// The only rule by which payloads are described.
const PAYLOAD_RULE: &str = "byte[i] = (31*i + 11) mod 256";

pub(crate) fn wrap(case: &Case<'_>) -> Result<(), Reason> {
    oti(&case.object("oti_example")?)?;
    small(&case.object("small")?)?;
    tuple(&case.object("policy_tuple")?)?;
    case.objects("retention_priority")?.try_for_each(|case| retention(&case))
}

fn oti(case: &Case<'_>) -> Result<(), Reason> {
    let oti = config(case, 0, DEFAULT_MIN_VIABLE_SYMBOLS)?.oti();
    case.expect_bytes("oti12_hex", &oti.ok_or_else(|| bad("symbol_size", "has more than 16 bits"))?)
}

fn small(case: &Case<'_>) -> Result<(), Reason> {
    let payload = case.text("payload_ascii")?.as_bytes();
    let config = config(case, number(case, "k_repair")?, number(case, "min_viable_symbols")?)?;
    let encoded = must("payload", encode(payload, &config))?;
    case.expect_number("payload_len", encoded.original_content_length)?;
    compare(case, "symbols", &encoded.symbols)?;
    decodes_from_every_end(payload, config, &encoded)
}

fn tuple(case: &Case<'_>) -> Result<(), Reason> {
    let payload = payload_by_rule(case)?;
    let config = config(case, number(case, "k_repair")?, DEFAULT_MIN_VIABLE_SYMBOLS)?;
    let encoded = must("payload", encode(&payload, &config))?;
    let source = usize::try_from(config.n_source).unwrap_or(usize::MAX);
    compare(case, "repair_symbols", encoded.symbols.get(source..).unwrap_or(&[]))?;
    let digest = sha256(&[&encoded.symbol_hashes.concat()]);
    case.expect_bytes("sha256_of_concatenated_symbol_hashes", &digest)?;
    decodes_from_every_end(&payload, config, &encoded)
}

fn retention(case: &Case<'_>) -> Result<(), Reason> {
    let (id, n_source) = (number(case, "symbol_id")?, number(case, "n_source")?);
    case.expect_number("expect", u64::from(retention_priority(case.byte("svc")?, id, n_source)))
}

fn compare(case: &Case<'_>, field: &str, computed: &[Symbol]) -> Result<(), Reason> {
    same(field, &case.values(field)?.len(), &computed.len())?;
    for (expected, symbol) in case.objects(field)?.zip(computed) {
        expected.expect_number("symbol_id", u64::from(symbol.symbol_id))?;
        expected.expect_bytes("hex", &symbol.bytes)?;
        expected.expect_digest_if_given("sha256", &symbol.bytes)?;
    }
    Ok(())
}

/// The source symbols give the payload back, and so do the last symbols, among which are all repair symbols.
fn decodes_from_every_end(payload: &[u8], config: Config, encoded: &Encoded) -> Result<(), Reason> {
    let manifest = Manifest::new(config, encoded);
    let source = usize::try_from(config.n_source).unwrap_or(usize::MAX);
    let last = encoded.symbols.len().saturating_sub(source);
    for half in [encoded.symbols.get(..source), encoded.symbols.get(last..)] {
        let content = must("symbols", decode(half.unwrap_or(&[]), &manifest, STORED_BLOCK_LEN_MAX))?;
        same_bytes("payload", payload, &content.bytes)?;
    }
    Ok(())
}

fn payload_by_rule(case: &Case<'_>) -> Result<Vec<u8>, Reason> {
    if !case.text("payload_rule")?.starts_with(PAYLOAD_RULE) {
        return Err(bad("payload_rule", "is not a known rule"));
    }
    match case.size("payload_len")? {
        len if len <= PAYLOAD_LEN_MAX => {
            Ok((0..=u8::MAX).cycle().map(|i| i.wrapping_mul(31).wrapping_add(11)).take(len).collect())
        }
        _ => Err(bad("payload_len", "is more than a case may have")),
    }
}

fn config(case: &Case<'_>, k_repair: u32, min_viable_symbols: u32) -> Result<Config, Reason> {
    let (n_source, symbol_size) = (number(case, "n_source")?, number(case, "symbol_size")?);
    Ok(Config { n_source, k_repair, symbol_size, min_viable_symbols })
}

fn number(case: &Case<'_>, field: &str) -> Result<u32, Reason> {
    u32::try_from(case.number(field)?).map_err(|_| bad(field, "is not an unsigned 32-bit integer"))
}
