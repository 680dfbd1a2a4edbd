//! One case: typed access to its fields, and comparison of what was computed with what it expects.

use std::fmt::Debug;

use data_encoding::HEXLOWER;
use edge_crypto::Secret;
use edge_crypto::hash::sha256;
use edge_wire::layer::{Layer, Policy};
use serde_json::Value;

/// Bytes of a value that a reason shows.
const SHOWN_MAX: usize = 24;

/// Why a case failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Reason {
    #[error("{field}: {rule}")]
    Field { field: String, rule: &'static str },
    #[error("{what}: expected {expected}, computed {computed}")]
    Differs { what: String, expected: String, computed: String },
    #[error("{what} was accepted")]
    Accepted { what: String },
    #[error("{what} was refused")]
    Refused { what: String, source: Box<dyn std::error::Error + Send + Sync> },
}

/// A JSON object with the name it has in its case.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case<'a>(&'a Value);

impl<'a> Case<'a> {
    pub(crate) fn new(value: &'a Value) -> Self {
        Self(value)
    }

    pub(crate) fn value(&self, field: &str) -> Result<&'a Value, Reason> {
        self.optional(field).ok_or_else(|| bad(field, "is missing"))
    }

    /// The field, unless it is missing or null.
    pub(crate) fn optional(&self, field: &str) -> Option<&'a Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    pub(crate) fn object(&self, field: &str) -> Result<Self, Reason> {
        match self.value(field)? {
            value @ Value::Object(_) => Ok(Self(value)),
            _ => Err(bad(field, "is not an object")),
        }
    }

    pub(crate) fn values(&self, field: &str) -> Result<&'a [Value], Reason> {
        self.value(field)?.as_array().map(Vec::as_slice).ok_or_else(|| bad(field, "is not a list"))
    }

    pub(crate) fn objects(&self, field: &str) -> Result<impl Iterator<Item = Self>, Reason> {
        Ok(self.values(field)?.iter().map(Self))
    }

    pub(crate) fn texts(&self, field: &str) -> Result<Vec<&'a str>, Reason> {
        let wrong = || bad(field, "holds something that is not text");
        self.values(field)?.iter().map(|value| value.as_str().ok_or_else(wrong)).collect()
    }

    pub(crate) fn text(&self, field: &str) -> Result<&'a str, Reason> {
        self.value(field)?.as_str().ok_or_else(|| bad(field, "is not text"))
    }

    pub(crate) fn number(&self, field: &str) -> Result<u64, Reason> {
        integer(self.value(field)?).ok_or_else(|| bad(field, "is not an unsigned 64-bit integer"))
    }

    pub(crate) fn numbers(&self, field: &str) -> Result<Vec<u64>, Reason> {
        let wrong = || bad(field, "holds something that is not an unsigned 64-bit integer");
        self.values(field)?.iter().map(|value| integer(value).ok_or_else(wrong)).collect()
    }

    pub(crate) fn float(&self, field: &str) -> Result<f64, Reason> {
        self.value(field)?.as_f64().ok_or_else(|| bad(field, "is not a number"))
    }

    pub(crate) fn size(&self, field: &str) -> Result<usize, Reason> {
        usize::try_from(self.number(field)?).map_err(|_| bad(field, "is too large"))
    }

    pub(crate) fn byte(&self, field: &str) -> Result<u8, Reason> {
        u8::try_from(self.number(field)?).map_err(|_| bad(field, "is not a byte"))
    }

    pub(crate) fn flag(&self, field: &str) -> Result<bool, Reason> {
        self.value(field)?.as_bool().ok_or_else(|| bad(field, "is not true or false"))
    }

    pub(crate) fn bytes(&self, field: &str) -> Result<Vec<u8>, Reason> {
        let text = match self.value(field)? {
            Value::Object(long) => long.get("hex").and_then(Value::as_str),
            value => value.as_str(),
        };
        let text = text.ok_or_else(|| bad(field, "is not a byte string"))?;
        HEXLOWER.decode(text.as_bytes()).map_err(|_| bad(field, "is not lower-case hexadecimal"))
    }

    pub(crate) fn array<const N: usize>(&self, field: &str) -> Result<[u8; N], Reason> {
        self.bytes(field)?.try_into().map_err(|_| bad(field, "has the wrong length"))
    }

    pub(crate) fn secret<const N: usize>(&self, field: &str) -> Result<Secret<N>, Reason> {
        self.array(field).map(Secret::from)
    }

    pub(crate) fn layer(&self, field: &str) -> Result<Layer, Reason> {
        self.triple(field).map(|[spatial, temporal, quality]| Layer::new(spatial, temporal, quality))
    }

    pub(crate) fn policy(&self, field: &str) -> Result<Policy, Reason> {
        self.triple(field).map(|[spatial, temporal, quality]| Policy::new(spatial, temporal, quality))
    }

    fn triple(&self, field: &str) -> Result<[u8; 3], Reason> {
        let wrong = || bad(field, "is not a list of three bytes");
        let bytes: Option<Vec<u8>> = self.numbers(field)?.into_iter().map(|value| u8::try_from(value).ok()).collect();
        bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(wrong)
    }

    /// Compares bytes with a field that holds them, or their length and digest.
    pub(crate) fn expect_bytes(&self, field: &str, computed: &[u8]) -> Result<(), Reason> {
        let Value::Object(_) = self.value(field)? else {
            return same_bytes(field, &self.bytes(field)?, computed);
        };
        let long = self.object(field)?;
        same(&format!("{field}.len"), &long.size("len")?, &computed.len())?;
        match long.optional("sha256").is_some() {
            true => same_bytes(&format!("{field}.sha256"), &long.bytes("sha256")?, &sha256(&[computed])),
            false => same_bytes(&format!("{field}.hex"), &long.bytes("hex")?, computed),
        }
    }

    /// As [`expect_bytes`](Self::expect_bytes), for a field that a file may leave out.
    pub(crate) fn expect_bytes_if_given(&self, field: &str, computed: &[u8]) -> Result<(), Reason> {
        match self.optional(field).is_some() {
            true => self.expect_bytes(field, computed),
            false => Ok(()),
        }
    }

    /// Compares a digest field with the digest of bytes, if the file gives one.
    pub(crate) fn expect_digest_if_given(&self, field: &str, computed: &[u8]) -> Result<(), Reason> {
        self.expect_bytes_if_given(field, &sha256(&[computed]))
    }

    pub(crate) fn expect_number(&self, field: &str, computed: u64) -> Result<(), Reason> {
        same(field, &self.number(field)?, &computed)
    }

    pub(crate) fn expect_text(&self, field: &str, computed: &str) -> Result<(), Reason> {
        same(field, &self.text(field)?, &computed)
    }

    pub(crate) fn expect_flag(&self, field: &str, computed: bool) -> Result<(), Reason> {
        same(field, &self.flag(field)?, &computed)
    }

    pub(crate) fn expect_texts(&self, field: &str, computed: &[&str]) -> Result<(), Reason> {
        same(field, &self.texts(field)?.as_slice(), &computed)
    }
}

/// A field that cannot be used.
pub(crate) fn bad(field: &str, rule: &'static str) -> Reason {
    Reason::Field { field: field.to_owned(), rule }
}

/// Compares any two values.
pub(crate) fn same<T: PartialEq + Debug + ?Sized>(what: &str, expected: &T, computed: &T) -> Result<(), Reason> {
    match expected == computed {
        true => Ok(()),
        false => Err(Reason::Differs {
            what: what.to_owned(),
            expected: format!("{expected:?}"),
            computed: format!("{computed:?}"),
        }),
    }
}

/// Compares byte strings; a reason shows their beginnings.
pub(crate) fn same_bytes(what: &str, expected: &[u8], computed: &[u8]) -> Result<(), Reason> {
    match expected == computed {
        true => Ok(()),
        false => Err(Reason::Differs { what: what.to_owned(), expected: shown(expected), computed: shown(computed) }),
    }
}

/// Names a step whose failure fails the case.
pub(crate) fn must<T, E>(what: &str, result: Result<T, E>) -> Result<T, Reason>
where
    E: std::error::Error + Send + Sync + 'static,
{
    result.map_err(|source| Reason::Refused { what: what.to_owned(), source: Box::new(source) })
}

/// Demands that a step failed.
pub(crate) fn must_not<T, E>(what: &str, result: &Result<T, E>) -> Result<(), Reason> {
    match result {
        Ok(_) => Err(Reason::Accepted { what: what.to_owned() }),
        Err(_) => Ok(()),
    }
}

fn integer(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}

fn shown(bytes: &[u8]) -> String {
    let head = bytes.get(..SHOWN_MAX).unwrap_or(bytes);
    let more = if head.len() < bytes.len() { "…" } else { "" };
    format!("{}{more} ({} bytes)", HEXLOWER.encode(head), bytes.len())
}
