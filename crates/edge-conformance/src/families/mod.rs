//! The families by name.

mod chunk;
mod group;
mod identity;
mod kex;
mod plan;
mod relay;
mod seal;

use crate::Support;
use crate::case::{Case, Reason};

/// Families whose vectors exist and that nothing here computes.
const UNSUPPORTED: &[&str] = &[
    "aggregation_meta",
    "capacity_canonical",
    "capacity_layout_collision",
    "capacity_signed",
    "compress_request",
    "consent_decay",
    "domain_separators",
    "equivocation_proof",
    "fountain",
    "fountain_compress_request",
    "fountain_holding_claim",
    "has_room",
    "heal_traces",
    "holding_claim",
    "join_planner",
    "member_commitment",
    "merkle_root",
    "scaling",
    "schema_versions",
    "signed_claim",
    "swarm_rarity",
    "topology",
    "topology_scores",
    "trust_bootstrap",
    "wholeness_witness",
    "witness_preimage",
    "witness_rules",
];

/// What can be done with a family.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Check {
    /// Compute each case by this function.
    Checked(fn(&Case<'_>) -> Result<(), Reason>),
    /// Count its cases.
    Unsupported,
    /// Count its cases, and say that no specification names it.
    Unknown,
}

impl Check {
    pub(crate) fn support(self) -> Support {
        match self {
            Self::Checked(_) => Support::Checked,
            Self::Unsupported => Support::Unsupported,
            Self::Unknown => Support::Unknown,
        }
    }
}

/// The check of the family called `name`.
pub(crate) fn find(name: &str) -> Check {
    Check::Checked(match name {
        "addressing" => identity::addressing,
        "announce_attestation" => identity::announce_attestation,
        "chunk_seal" => seal::chunk_seal,
        "chunk_wire" => chunk::chunk_wire,
        "fanout_plan" => plan::fanout_plan,
        "hybrid_signature" => identity::hybrid_signature,
        "inner_seal" => seal::inner_seal,
        "key_grant" => identity::key_grant,
        "layer_policy" => chunk::layer_policy,
        "link_kex_classical" => kex::classical,
        "link_kex_hybrid" => kex::hybrid,
        "mls_exporter" => group::mls_exporter,
        "multi_tier" => relay::multi_tier,
        "nonce_properties" => seal::nonce_properties,
        "outer_seal" => seal::outer_seal,
        "reachability" => plan::reachability,
        "relay_trace" => relay::relay_trace,
        "replay_window" => relay::replay_window,
        "xwing_hpke" => group::xwing_hpke,
        name if UNSUPPORTED.contains(&name) => return Check::Unsupported,
        _ => return Check::Unknown,
    })
}
