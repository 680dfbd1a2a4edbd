//! The deterministic topology of large localities, and the trees that form when viewers join one after the other.

use std::hint::black_box;
use std::time::Instant;

use edge_alm::mesh::Offer;
use edge_alm::mesh::plan::{Candidate, Plan, Request, Vouched, delay_ms, plan};
use edge_alm::scaling::depth_bound;
use edge_alm::seats::{Claim, Share, Yields};
use edge_alm::topology::score::quantise;
use edge_alm::topology::{Advert, Commitment, Grant, Observation, Snapshot, Verification, compute, forwarding};
use edge_wire::control::Role;
use edge_wire::id::Fingerprint;
use edge_wire::layer::Policy;
use serde_json::{Value, json};

const PEERS: [usize; 2] = [1_000, 10_000];
const NEIGHBOURS: usize = 100;
const TOPOLOGY_S_MAX: f64 = 2.0;
const ROUNDS: usize = 5;

const VIEWERS: [usize; 4] = [10, 100, 1_000, 10_000];
/// Uplink over stream rate, which is the fan-out.
const FANOUTS: [u32; 2] = [2, 10];
const STREAM_KBPS: u32 = 2_500;
const PLAN_US_MAX: f64 = 1_000.0;
/// As many offers as one peer keeps.
const KNOWN_MAX: usize = edge_alm::mesh::OFFERS_MAX;
const PLANS: usize = 101;

/// Runs everything and prints the tables; half a minute.
pub(crate) fn run() -> Value {
    json!({ "topology": topologies(), "quantise": sweep(), "join": joins() })
}

fn topologies() -> Value {
    println!("topology, {NEIGHBOURS} neighbours a peer, median of {ROUNDS}");
    println!(" peers  paths     edges  unrooted  compute s  cpu s  plan s  reached");
    let mut rows = Vec::new();
    let mut exponents = Vec::new();
    for paths in [1, 2] {
        let took: Vec<Took> = PEERS.iter().map(|peers| topology(*peers, paths, &mut rows)).collect();
        let exponent = (took[1].cpu_s / took[0].cpu_s).log10() / (PEERS[1] as f64 / PEERS[0] as f64).log10();
        println!("  growth of CPU time from {} to {} peers: n^{exponent:.2}", PEERS[0], PEERS[1]);
        println!("  {}", verdict(took[1].wall_s <= TOPOLOGY_S_MAX, &format!("at most {TOPOLOGY_S_MAX} s")));
        exponents.push(exponent);
    }
    json!({ "neighbours": NEIGHBOURS, "seconds_max": TOPOLOGY_S_MAX, "growth_exponents": exponents, "rows": rows })
}

fn topology(peers: usize, paths: usize, rows: &mut Vec<Value>) -> Took {
    let snapshot = snapshot(peers, paths);
    let compute_s = median((0..ROUNDS).map(|_| seconds(|| compute(&snapshot))).collect());
    let cpu_s = median((0..ROUNDS).map(|_| cpu_seconds(|| compute(&snapshot))).collect());
    let topology = compute(&snapshot);
    let source = snapshot.adverts[0].peer.as_str();
    let plan_s = seconds(|| forwarding::plan(&topology, &snapshot, source));
    let reached = forwarding::plan(&topology, &snapshot, source).hops.len();
    let (edges, unrooted) = (topology.edges.len(), topology.unrooted.len());
    println!(
        "{peers:>6}  {paths:>5}  {edges:>8}  {unrooted:>8}  {compute_s:>9.3}  {cpu_s:>5.3}  {plan_s:>6.3}  {reached:>7}"
    );
    rows.push(json!({
        "peers": peers, "paths": paths, "edges": edges, "unrooted": unrooted,
        "compute_s": compute_s, "compute_cpu_s": cpu_s, "forwarding_plan_s": plan_s, "hops": reached,
    }));
    Took { wall_s: compute_s, cpu_s }
}

struct Took {
    wall_s: f64,
    cpu_s: f64,
}

/// Every peer vouches for, and reached, so many others that are picked at random.
fn snapshot(peers: usize, paths: usize) -> Snapshot {
    let mut random = Random(peers as u64);
    let ids: Vec<String> = (0..peers).map(|_| format!("peer-{:016x}", random.next())).collect();
    let mut snapshot = Snapshot { locality_id: "bench".to_owned(), epoch_id: 1, ..Snapshot::default() };
    for id in &ids {
        snapshot.adverts.push(advert(id, paths, &mut random));
        for _ in 0..NEIGHBOURS {
            let other = &ids[random.below(peers)];
            let rtt_ms = random.below(300) as u32;
            let chain_depth = random.below(5) as u8;
            snapshot.grants.push(Grant { granter: id.clone(), grantee: other.clone(), chain_depth });
            snapshot.observations.push(Observation { from: id.clone(), to: other.clone(), rtt_ms });
        }
    }
    snapshot
}

fn advert(id: &str, paths: usize, random: &mut Random) -> Advert {
    let committed = if paths == 1 { 0 } else { paths as u8 };
    Advert {
        peer: id.to_owned(),
        uplink_mbps: random.below(2_000) as f32,
        measured_at_unix_ms: 1,
        subscribers_max: 64,
        commitments: (0..committed).map(|path| Commitment { path: vec![path], subscribers_max: 64 }).collect(),
        verification: Verification::HybridSignatureValid,
        preimage: Vec::new(),
    }
}

/// Every binary32 pattern, against integers alone.
fn sweep() -> Value {
    let start = Instant::now();
    let halves = [0..=0x7fff_ffff_u32, 0x8000_0000..=u32::MAX];
    let wrong: usize = std::thread::scope(|scope| {
        let threads = halves.map(|half| scope.spawn(|| half.filter(|bits| differs(*bits)).count()));
        threads.into_iter().map(|thread| thread.join().expect("a sweep ends")).sum()
    });
    let seconds = start.elapsed().as_secs_f64();
    println!("quantisation of all 2^32 uplinks: {wrong} differ from integers, {seconds:.1} s");
    json!({ "patterns": 1_u64 << 32, "wrong": wrong, "seconds": seconds })
}

fn differs(bits: u32) -> bool {
    quantise(f32::from_bits(bits)) != quantised_by_integers(bits)
}

/// A product of 24-bit mantissa and 1000, rounded to 24 bits, to the even one between two, and shifted into place.
fn quantised_by_integers(bits: u32) -> u64 {
    let (exponent, fraction) = (bits >> 23, u64::from(bits & 0x7f_ffff));
    // Below 2^-127 nothing reaches 1/1000; with the sign bit or all ones in the exponent it is no positive number.
    if exponent == 0 || exponent >= 0xff {
        return 0;
    }
    let product = (fraction | 1 << 23) * 1000;
    let lost = 64 - product.leading_zeros() - 24;
    let (rest, half) = (product & ((1 << lost) - 1), 1 << (lost - 1));
    let kept = product >> lost;
    let rounded = (kept + u64::from(rest > half || rest == half && kept & 1 == 1)) << lost;
    match exponent as i32 - 150 {
        power @ 0.. => u64::try_from(u128::from(rounded) << power.min(64)).unwrap_or(u64::MAX),
        power => rounded.checked_shr(power.unsigned_abs()).unwrap_or(0),
    }
}

fn joins() -> Value {
    println!("joins at {STREAM_KBPS} kbit/s, one after the other; the source has the same uplink as everybody");
    println!("viewers  uplink  knows    depth  at most  children  within limits  last join µs  p99 µs");
    let mut rows = Vec::new();
    for fanout in FANOUTS {
        for known_max in [usize::MAX, KNOWN_MAX] {
            rows.extend(
                VIEWERS
                    .iter()
                    .filter(|it| **it > known_max || known_max == usize::MAX)
                    .map(|viewers| join(*viewers, fanout, known_max)),
            );
        }
    }
    json!({ "stream_kbps": STREAM_KBPS, "plan_us_max": PLAN_US_MAX, "rows": rows })
}

fn join(viewers: usize, fanout: u32, known_max: usize) -> Value {
    let mut tree = Tree::new(fanout, known_max);
    for _ in 1..viewers {
        tree.join();
    }
    // The last viewer plans again and again; its plan is carried out once.
    let mut times_us: Vec<f64> = (0..PLANS).map(|_| tree.plan_us()).collect();
    tree.join();
    times_us.sort_by(f64::total_cmp);
    let (typical_us, p99_us) = (times_us[PLANS / 2], times_us[PLANS * 99 / 100]);
    let bound = depth_bound(u64::from(fanout), viewers as u64).expect("a fan-out of two or more") as usize + 1;
    let (depth, children, within) = (tree.depth(), tree.most_children(), tree.is_within_limits());
    let knows = if known_max == usize::MAX { "all".to_owned() } else { known_max.to_string() };
    println!(
        "{viewers:>7}  {fanout:>5}x  {knows:>5}  {depth:>7}  {bound:>7}  {children:>8}  {within:>13}  \
         {typical_us:>12.1}  {p99_us:>6.1}  {}",
        verdict(depth <= bound && within && typical_us <= PLAN_US_MAX, "depth, limits, time")
    );
    json!({
        "viewers": viewers, "uplink_over_rate": fanout, "known_offers": knows, "depth": depth, "depth_max": bound,
        "most_children": children, "within_limits": within, "stranded": tree.stranded,
        "plan_us": typical_us, "plan_us_p99": p99_us,
    })
}

/// The tree so far, as the offers of its peers.
struct Tree {
    offers: Vec<Offer>,
    random: Random,
    known_max: usize,
    fanout: u32,
    stranded: usize,
}

impl Tree {
    fn new(fanout: u32, known_max: usize) -> Self {
        let mut tree = Self { offers: Vec::new(), random: Random(7), known_max, fanout, stranded: 0 };
        let source = tree.fingerprint();
        tree.add(source, Vec::new(), 0);
        tree
    }

    fn join(&mut self) {
        let own = self.fingerprint();
        let known = self.known();
        let primary = self.plan(own, &known).map(|plan| plan.primary);
        let primary = primary.map(|it| (it.offer.peer, delay_ms(it.offer, it.rtt_ms.unwrap_or_default())));
        let at = primary.and_then(|(peer, _)| self.offers.iter().position(|offer| offer.peer == peer));
        match at.zip(primary) {
            Some((at, (_, delay_ms))) => {
                self.offers[at].subscribers += 1;
                self.add(own, self.offers[at].chain.clone(), delay_ms);
            }
            None => self.stranded += 1,
        }
    }

    fn plan_us(&mut self) -> f64 {
        let own = self.fingerprint();
        let known = self.known();
        1e6 * seconds(|| self.plan(own, &known).map(|plan| plan.primary.offer.peer))
    }

    /// The offers that a newcomer has heard of, with a round trip to each.
    fn known(&mut self) -> Vec<(usize, u32)> {
        let all = self.offers.len();
        let heard: Vec<usize> = match all <= self.known_max {
            true => (0..all).collect(),
            false => (0..self.known_max).map(|_| self.random.below(all)).collect(),
        };
        heard.into_iter().map(|at| (at, 5 + self.random.below(150) as u32)).collect()
    }

    fn plan(&self, own: Fingerprint, known: &[(usize, u32)]) -> Option<Plan<'_>> {
        let candidates: Vec<Candidate<'_>> = known
            .iter()
            .map(|(at, rtt_ms)| Candidate {
                offer: &self.offers[*at],
                rtt_ms: Some(*rtt_ms),
                vouched: Vouched::Independently,
                failures: 0,
            })
            .collect();
        let request = Request {
            own,
            seed: 1,
            policy: Policy::UNCAPPED,
            stream_kbps: STREAM_KBPS,
            // What a viewer gets it passes on.
            claim: Claim { role: Role::Carrier, share: Share::Whole },
            primary_chain: &[],
            avoid: &[],
        };
        plan(&candidates, &request)
    }

    fn add(&mut self, peer: Fingerprint, mut chain: Vec<Fingerprint>, delay_ms: u32) {
        chain.push(peer);
        self.offers.push(Offer {
            peer,
            measured_at_unix_ms: 1,
            uplink_kbps: self.fanout * STREAM_KBPS,
            subscribers_max: self.fanout,
            subscribers: 0,
            layers: Policy::UNCAPPED,
            chain,
            delay_ms: Some(delay_ms),
            yields: Yields::default(),
        });
    }

    /// Hops from the source to the farthest viewer.
    fn depth(&self) -> usize {
        self.offers.iter().map(|offer| offer.chain.len() - 1).max().unwrap_or_default()
    }

    fn most_children(&self) -> u32 {
        self.offers.iter().map(|offer| offer.subscribers).max().unwrap_or_default()
    }

    fn is_within_limits(&self) -> bool {
        let within = |offer: &Offer| {
            offer.subscribers <= offer.subscribers_max && offer.subscribers * STREAM_KBPS <= offer.uplink_kbps
        };
        self.stranded == 0 && self.offers.iter().all(within)
    }

    fn fingerprint(&mut self) -> Fingerprint {
        let mut bytes = [0; 32];
        bytes.chunks_exact_mut(8).for_each(|word| word.copy_from_slice(&self.random.next().to_be_bytes()));
        Fingerprint(bytes)
    }
}

fn verdict(met: bool, bar: &str) -> String {
    format!("{}: {bar}", if met { "met" } else { "MISSED" })
}

fn seconds<T>(work: impl FnOnce() -> T) -> f64 {
    let start = Instant::now();
    black_box(work());
    start.elapsed().as_secs_f64()
}

/// CPU time of this thread, which neighbours on the machine do not add to.
fn cpu_seconds<T>(work: impl FnOnce() -> T) -> f64 {
    let now = || {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("a kernel with statistics");
        text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).expect("nanoseconds on a CPU")
    };
    let before = now();
    black_box(work());
    (now() - before) / 1e9
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// splitmix64, so that every run sees the same peers.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let value = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}
