//! The families by name.

mod capacity;
mod chunk;
mod decay;
mod fountain;
mod group;
mod heal;
mod identity;
mod kex;
mod plan;
mod planner;
mod relay;
mod seal;
mod topology;

use crate::Support;
use crate::case::{Case, Reason};

/// Families whose vectors exist and that nothing here computes.
const UNSUPPORTED: &[&str] = &[
    "aggregation_meta",
    "compress_request",
    "domain_separators",
    "equivocation_proof",
    "fountain_compress_request",
    "fountain_holding_claim",
    "holding_claim",
    "member_commitment",
    "merkle_root",
    "schema_versions",
    "signed_claim",
    "swarm_rarity",
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
        "capacity_canonical" => capacity::canonical,
        "capacity_layout_collision" => capacity::layout_collision,
        "capacity_signed" => capacity::signed,
        "has_room" => planner::has_room,
        "join_planner" => planner::join_planner,
        "scaling" => planner::scaling,
        "heal_traces" => heal::traces,
        "fountain" => fountain::wrap,
        "consent_decay" => decay::tiers,
        "topology" => topology::trees,
        "topology_scores" => topology::scores,
        name if UNSUPPORTED.contains(&name) => return Check::Unsupported,
        _ => return Check::Unknown,
    })
}
