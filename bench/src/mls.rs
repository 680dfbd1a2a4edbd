//! Group keys at 128 members with a warm tree: bytes on the wire and the committer's CPU time.
//!
//! CPU time is what the kernel charged to this thread (`/proc/thread-self/schedstat`, ns), so a busy machine does not
//! count; where that file is missing it is elapsed time. Everything runs on one thread.

use std::error::Error;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use edge_crypto::random::System;
use edge_group::{
    Delta, Group, Incarnation, KeyPackageOffer, Op, PendingJoin, SignedWelcome, VerifiedOffer, WelcomeTree,
};
use edge_identity::KeyBundle;
use edge_wire::id::{KeyId, StreamId};
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const MEMBERS: usize = 128;
const BATCH: usize = 25;
const ROUNDS: usize = 9;
const STREAM: StreamId = StreamId([0x6d; 32]);
const COMMIT_BYTES_MAX: usize = 25_000;
const BATCH_CPU_MS_MAX: f64 = 40.0;

/// Builds two groups and measures them; about ten seconds.
pub(crate) fn run() -> Value {
    match table() {
        Ok(report) => report,
        Err(error) => json!({ "error": error.to_string() }),
    }
}

#[allow(clippy::print_stdout)]
fn table() -> Outcome<Value> {
    let cold = Bench::new(Tree::Cold)?.measure()?;
    let warm = Bench::new(Tree::Warm)?.measure()?;
    println!("MLS, {MEMBERS} members, suite 0x004D, committer CPU on one thread (median of {ROUNDS})");
    println!("{:<34} {:>12} {:>12}", "", "cold tree", "warm tree");
    for key in warm.as_object().into_iter().flat_map(|rows| rows.keys()) {
        println!("{key:<34} {:>12} {:>12}", cell(&cold, key), cell(&warm, key));
    }
    Ok(json!({ "members": MEMBERS, "batch": BATCH, "rounds": ROUNDS, "cold": cold, "warm": warm, "bars": bars(&warm) }))
}

fn bars(warm: &Value) -> Value {
    let commits = ["join_commit_bytes", "leave_commit_bytes", "rotate_commit_bytes"];
    let largest = commits.iter().filter_map(|key| warm[*key].as_u64()).max().unwrap_or(u64::MAX);
    let batch_ms = warm["batch_total_cpu_ms"].as_f64().unwrap_or(f64::MAX);
    json!({
        "commit_bytes": { "max": COMMIT_BYTES_MAX, "got": largest, "met": largest <= COMMIT_BYTES_MAX as u64 },
        "batch_cpu_ms": { "max": BATCH_CPU_MS_MAX, "got": batch_ms, "met": batch_ms <= BATCH_CPU_MS_MAX },
    })
}

fn cell(report: &Value, key: &str) -> String {
    report[key].to_string()
}

/// Whether every member has refreshed its path of the tree once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tree {
    Cold,
    Warm,
}

struct Bench {
    keys: KeyBundle,
    group: Group,
    /// The member that came last; the others are names in the tree.
    last: Group,
    now_unix_s: u64,
}

impl Bench {
    /// Joiners come one by one and refresh at once when the tree is to be warm: each sees the tree as it is then, so no
    /// member has to follow all the others.
    fn new(tree: Tree) -> Outcome<Self> {
        let now_unix_s = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let keys = bundle("publisher")?;
        let mut group = Group::create(STREAM, Incarnation([1; 8]), &keys, now_unix_s)?;
        if tree == Tree::Cold {
            let ops: Outcome<Vec<Op>> = (1..MEMBERS - 1).map(|index| op(index, now_unix_s)).collect();
            let staged = group.stage(&Delta::Batch(ops?))?;
            group.merge(staged)?;
            let last = admit(&keys, &mut group, MEMBERS - 1, now_unix_s)?;
            return Ok(Self { keys, group, last, now_unix_s });
        }
        let mut last = None;
        for index in 1..MEMBERS {
            let mut member = admit(&keys, &mut group, index, now_unix_s)?;
            let refresh = member.stage_refresh()?;
            group.accept_foreign(refresh.emission().commit())?;
            member.merge(refresh)?;
            last = Some(member);
        }
        Ok(Self { keys, group, last: last.ok_or("no member")?, now_unix_s })
    }

    fn measure(mut self) -> Outcome<Value> {
        let (join, _) = offered("joiner", self.now_unix_s)?;
        let join = Delta::Join(Box::new(join));
        let leave = Delta::Leave(KeyId::new("member-064")?);
        let (join_ms, join_bytes, welcome_bytes) = self.staged(&join)?;
        let (leave_ms, leave_bytes, _) = self.staged(&leave)?;
        let (rotate_ms, rotate_bytes, _) = self.staged(&Delta::Rotate)?;
        self.group.set_welcome_tree(WelcomeTree::Inside);
        let (_, _, welcome_tree_bytes) = self.staged(&join)?;
        self.group.set_welcome_tree(WelcomeTree::Apart);
        let receive_ms = self.receive()?;
        let tree_bytes = self.group.export_tree()?.len();
        let joiner_ms = self.join_time()?;
        let batch = self.batch()?;
        Ok(json!({
            "join_stage_cpu_ms": join_ms, "join_commit_bytes": join_bytes,
            "leave_stage_cpu_ms": leave_ms, "leave_commit_bytes": leave_bytes,
            "rotate_stage_cpu_ms": rotate_ms, "rotate_commit_bytes": rotate_bytes,
            "member_receive_cpu_ms": receive_ms, "joiner_cpu_ms": joiner_ms,
            "welcome_bytes": welcome_bytes, "welcome_with_tree_bytes": welcome_tree_bytes, "tree_bytes": tree_bytes,
            "batch_commit_cpu_ms": batch.commit_ms, "batch_commit_bytes": batch.commit_bytes,
            "batch_welcome_bytes": batch.welcome_bytes, "batch_verify_offers_cpu_ms": batch.verify_ms,
            "batch_sign_cpu_ms": batch.sign_ms,
            "batch_total_cpu_ms": rounded(batch.verify_ms + batch.commit_ms + batch.sign_ms), "snapshot_bytes": batch.snapshot_bytes,
        }))
    }

    /// Stages and discards: CPU of the commit's making, its bytes, and its Welcome's.
    fn staged(&mut self, delta: &Delta) -> Outcome<(f64, usize, usize)> {
        let (mut times, mut bytes) = (Vec::new(), (0, 0));
        for _ in 0..ROUNDS {
            let (staged, cpu_ms) = timed(|| self.group.stage(delta));
            let staged = staged?;
            let emission = staged.emission();
            bytes = (emission.commit().len(), emission.welcome().map_or(0, <[u8]>::len));
            self.group.discard(staged)?;
            times.push(cpu_ms);
        }
        Ok((median(times), bytes.0, bytes.1))
    }

    fn receive(&mut self) -> Outcome<f64> {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let staged = self.group.stage(&Delta::Rotate)?;
            let commit = staged.emission().commit().to_vec();
            let own = self.group.merge(staged)?;
            let (applied, cpu_ms) = timed(|| self.last.process(&commit));
            if applied?.dek != own {
                return Err("member and committer differ in the epoch key".into());
            }
            times.push(cpu_ms);
        }
        Ok(median(times))
    }

    /// What one joiner spends on its Welcome, the tree fetched apart; the group is as it was afterwards.
    fn join_time(&mut self) -> Outcome<f64> {
        let mut times = Vec::new();
        for round in 0..3 {
            let name = format!("visitor-{round}");
            let (offer, (joiner, pending)) = offered(&name, self.now_unix_s)?;
            let staged = self.group.stage(&Delta::Join(Box::new(offer)))?;
            let wire = first_welcome(staged.emission(), &self.keys)?;
            self.group.merge(staged)?;
            let tree = self.group.export_tree()?;
            let (inviter, own, now) = (self.keys.fingerprint(), joiner.fingerprint(), self.now_unix_s);
            let (joined, cpu_ms) = timed(|| -> Result<Group, edge_group::Error> {
                let welcome = SignedWelcome::parse(&wire)?.verify(inviter, own)?;
                pending.accept(&welcome, Some(&tree), now)
            });
            joined?;
            times.push(cpu_ms);
            let leave = self.group.stage(&Delta::Leave(KeyId::new(name)?))?;
            self.group.merge(leave)?;
        }
        Ok(median(times))
    }

    /// Everything the committer does for a batch of joins, step by step. The commit's time is the median of making it,
    /// and merging it once.
    fn batch(&mut self) -> Outcome<Batch> {
        let mut wires = Vec::new();
        for index in 0..BATCH {
            let joiner = bundle(&format!("batch-{index:02}"))?;
            wires.push(PendingJoin::new(STREAM, &joiner, self.now_unix_s)?.1.to_bytes());
        }
        let now = self.now_unix_s;
        let (offers, verify_ms) = timed(|| -> Result<Vec<VerifiedOffer>, edge_group::Error> {
            wires.iter().map(|wire| KeyPackageOffer::parse(wire)?.verify(STREAM, now)).collect()
        });
        let batch = Delta::Batch(offers?.into_iter().map(|offer| Op::Join(Box::new(offer))).collect());
        let (stage_ms, commit_bytes, welcome_bytes) = self.staged(&batch)?;
        let staged = self.group.stage(&batch)?;
        let snapshot_bytes = self.group.snapshot()?.len();
        let emission = staged.emission().clone();
        let (signed, sign_ms) = timed(|| emission.accepted(&self.keys).and(emission.welcomes(&self.keys)));
        signed?;
        let (merged, merge_ms) = timed(|| self.group.merge(staged));
        merged?;
        let commit_ms = rounded(stage_ms + merge_ms);
        Ok(Batch { verify_ms, commit_ms, commit_bytes, welcome_bytes, sign_ms, snapshot_bytes })
    }
}

struct Batch {
    verify_ms: f64,
    commit_ms: f64,
    commit_bytes: usize,
    welcome_bytes: usize,
    sign_ms: f64,
    snapshot_bytes: usize,
}

fn bundle(name: &str) -> Outcome<KeyBundle> {
    Ok(KeyBundle::generate(Some(KeyId::new(name)?), &mut System)?)
}

fn offered(name: &str, now_unix_s: u64) -> Outcome<(VerifiedOffer, (KeyBundle, PendingJoin))> {
    let joiner = bundle(name)?;
    let (pending, offer) = PendingJoin::new(STREAM, &joiner, now_unix_s)?;
    Ok((offer.verify(STREAM, now_unix_s)?, (joiner, pending)))
}

fn op(index: usize, now_unix_s: u64) -> Outcome<Op> {
    Ok(Op::Join(Box::new(offered(&format!("member-{index:03}"), now_unix_s)?.0)))
}

fn admit(keys: &KeyBundle, group: &mut Group, index: usize, now_unix_s: u64) -> Outcome<Group> {
    let (offer, (joiner, pending)) = offered(&format!("member-{index:03}"), now_unix_s)?;
    let staged = group.stage(&Delta::Join(Box::new(offer)))?;
    let wire = first_welcome(staged.emission(), keys)?;
    group.merge(staged)?;
    let welcome = SignedWelcome::parse(&wire)?.verify(keys.fingerprint(), joiner.fingerprint())?;
    Ok(pending.accept(&welcome, Some(&group.export_tree()?), now_unix_s)?)
}

fn first_welcome(emission: &edge_group::Emission, keys: &KeyBundle) -> Outcome<Vec<u8>> {
    let welcomes = emission.welcomes(keys)?;
    Ok(welcomes.first().ok_or("a join without a Welcome")?.to_bytes())
}

/// Runs `work` and says what CPU time it took, in ms.
fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let (cpu_ns, started) = (thread_cpu_ns(), Instant::now());
    let result = work();
    let elapsed_ms = started.elapsed().as_secs_f64() * 1e3;
    let cpu_ms = cpu_ns.zip(thread_cpu_ns()).map(|(before, after)| (after.saturating_sub(before)) as f64 / 1e6);
    (result, rounded(cpu_ms.unwrap_or(elapsed_ms)))
}

fn thread_cpu_ns() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    stat.split_whitespace().next()?.parse().ok()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn rounded(ms: f64) -> f64 {
    (ms * 100.0).round() / 100.0
}
