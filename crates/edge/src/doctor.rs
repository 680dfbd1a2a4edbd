//! `edge doctor`: whether this machine can publish, relay and watch.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use edge_codec::pattern::{self, Tone};
use edge_codec::{audio, video};
use edge_crypto::random::System;
use edge_identity::bundle::KeyBundle;
use edge_identity::file;
use edge_net::{CloseCode, Endpoint, Expect, Limits};
use edge_node::clock;
use serde::Serialize;

use crate::console::{Console, chain};
use crate::{Failure, keys};

/// 2026-01-01: a clock before it was never set.
const CLOCK_MIN_S: u64 = 1_767_225_600;
/// 2100-01-01: a clock after it is wrong.
const CLOCK_MAX_S: u64 = 4_102_444_800;
/// Pictures of the codec test.
const PICTURES: u32 = 30;
const SIZE: (u32, u32) = (640, 360);
/// Time that a picture may take at 30 pictures a second.
const PICTURE_BUDGET_MS: f64 = 1000.0 / 30.0;
/// Room for about an hour of recording.
const DISK_WANTED_MIB: u64 = 1024;
const PATIENCE: Duration = Duration::from_secs(10);

/// `edge doctor`.
pub(crate) fn run(key: Option<PathBuf>, console: &Console) -> Result<ExitCode, Failure> {
    let path = key.map_or_else(keys::default_path, Ok);
    let checks = [
        ("clock", clock_check()),
        ("processor", processor()),
        ("aes", aes()),
        ("network", network()),
        ("video", of_test(video_test())),
        ("sound", of_test(sound_test())),
        (
            "key file",
            path.map_or_else(
                |error| Finding::fail(chain(error.as_ref()), "set HOME, or name a key file"),
                |path| key_file(&path),
            ),
        ),
        ("disk", disk(Path::new("."))),
    ];
    for (name, finding) in &checks {
        match console.is_json() {
            true => console.json(&Line { event: "check", name, finding }),
            false => console.line(&finding.render(name)),
        }
    }
    let failed = checks.iter().any(|(_, finding)| finding.result == Grade::Fail);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

#[derive(Serialize)]
struct Line<'a> {
    event: &'static str,
    name: &'a str,
    #[serde(flatten)]
    finding: &'a Finding,
}

/// What one check found.
#[derive(Debug, Serialize)]
struct Finding {
    result: Grade,
    detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_step: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Grade {
    Ok,
    Warn,
    Fail,
}

impl Finding {
    fn ok(detail: impl Into<String>) -> Self {
        Self { result: Grade::Ok, detail: detail.into(), next_step: None }
    }

    fn warn(detail: impl Into<String>, next_step: &str) -> Self {
        Self { result: Grade::Warn, detail: detail.into(), next_step: Some(next_step.to_owned()) }
    }

    fn fail(detail: impl Into<String>, next_step: &str) -> Self {
        Self { result: Grade::Fail, ..Self::warn(detail, next_step) }
    }

    fn render(&self, name: &str) -> String {
        let grade = match self.result {
            Grade::Ok => "ok",
            Grade::Warn => "warn",
            Grade::Fail => "fail",
        };
        let next = self.next_step.as_ref().map(|step| format!("\n      → {step}")).unwrap_or_default();
        format!("{grade:<4}  {name:<10} {}{next}", self.detail)
    }
}

fn clock_check() -> Finding {
    match clock::unix_s() {
        now @ CLOCK_MIN_S..CLOCK_MAX_S => Finding::ok(format!("{now} s since 1970")),
        now => Finding::fail(
            format!("{now} s since 1970 cannot be right"),
            "set the clock: key packages outside their time are refused",
        ),
    }
}

fn processor() -> Finding {
    match std::thread::available_parallelism() {
        Ok(cores) if cores.get() >= 2 => Finding::ok(format!("{cores} cores")),
        Ok(_) => Finding::warn("1 core", "publish small pictures, or relay only"),
        Err(error) => Finding::warn(error.to_string(), "the number of cores is not known here"),
    }
}

fn aes() -> Finding {
    #[cfg(target_arch = "x86_64")]
    let (known, fast) = (true, std::arch::is_x86_feature_detected!("aes"));
    #[cfg(target_arch = "aarch64")]
    let (known, fast) = (true, std::arch::is_aarch64_feature_detected!("aes"));
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let (known, fast) = (false, false);
    match (known, fast) {
        (_, true) => Finding::ok("AES instructions"),
        (true, false) => Finding::warn("no AES instructions", "relaying costs several times more processor time here"),
        (false, _) => Finding::warn("not known for this architecture", "measure a relay before relying on it"),
    }
}

fn network() -> Finding {
    const NEXT: &str = "allow UDP on the loopback interface and unprivileged ports for this program";
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return Finding::fail(error.to_string(), "close other programs: the system gives no more resources");
        }
    };
    match runtime.block_on(async { tokio::time::timeout(PATIENCE, round_trip()).await }) {
        Ok(Ok(took)) => {
            Finding::ok(format!("UDP, QUIC handshake and round trip in {:.0} ms", took.as_secs_f64() * 1000.0))
        }
        Ok(Err(failure)) => Finding::fail(chain(failure.as_ref()), NEXT),
        Err(_) => Finding::fail("no answer on the loopback interface", NEXT),
    }
}

/// Two endpoints of this process prove their identities to each other and exchange a message.
async fn round_trip() -> Result<Duration, Failure> {
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let bundle = || KeyBundle::generate(None, &mut System).map(Arc::new);
    let (ours, theirs) = (bundle()?, bundle()?);
    let (transport_key, expect) = (*theirs.public().transport(), Expect::Fingerprint(theirs.fingerprint()));
    let dialer = Endpoint::bind(ours, addr, &Limits::default())?;
    let listener = Endpoint::bind(theirs, addr, &Limits::default())?;
    let started = Instant::now();
    let (dialed, accepted) =
        tokio::join!(dialer.connect(listener.local_addr()?, transport_key, expect), listener.accept());
    let (dialed, accepted) = (dialed?, accepted.ok_or("the listener closed")??);
    dialed.send_control(b"ping").await?;
    let heard = accepted.recv_control().await?;
    accepted.send_control(&heard).await?;
    let echo = dialed.recv_control().await?;
    let took = started.elapsed();
    dialer.close(CloseCode::DONE, "the check is over");
    if echo.as_ref() == b"ping" { Ok(took) } else { Err("the message came back changed".into()) }
}

fn of_test(tested: Result<Finding, Failure>) -> Finding {
    tested.unwrap_or_else(|failure| {
        Finding::fail(chain(failure.as_ref()), "this build of the codec does not work here: build it again")
    })
}

/// Encodes the test pattern, decodes it, and reads the frame number out of each picture.
fn video_test() -> Result<Finding, Failure> {
    let source = pattern::Video::new(SIZE.0, SIZE.1, (30, 1))?;
    let mut encoder = video::Encoder::new(video::EncoderConfig::live(SIZE.0, SIZE.1, 600))?;
    let mut decoder = video::Decoder::new(1)?;
    let (mut encoding, mut decoding, mut right) = (Duration::ZERO, Duration::ZERO, 0);
    for number in 0..PICTURES {
        let frame = source.frame(number);
        let started = Instant::now();
        let layers = encoder.encode(&frame)?;
        encoding += started.elapsed();
        let unit: Vec<u8> = layers.iter().flat_map(|layer| layer.data.iter().copied()).collect();
        let started = Instant::now();
        let pictures = decoder.decode(&unit, source.pts_us(number))?;
        decoding += started.elapsed();
        right += pictures.iter().filter(|picture| pattern::read_frame_number(picture) == Some(number)).count();
    }
    let mean_ms = |total: Duration| total.as_secs_f64() * 1000.0 / f64::from(PICTURES);
    let (encode_ms, decode_ms) = (mean_ms(encoding), mean_ms(decoding));
    let detail = format!("AV1 {}x{}: encode {encode_ms:.1} ms, decode {decode_ms:.1} ms a picture", SIZE.0, SIZE.1);
    Ok(match right {
        right if right < PICTURES as usize => Finding::fail(
            format!("{right} of {PICTURES} pictures came back right"),
            "build again with the locked dependencies",
        ),
        _ if encode_ms > PICTURE_BUDGET_MS => Finding::warn(detail, "publish smaller pictures, or fewer a second"),
        _ => Finding::ok(detail),
    })
}

/// Encodes the tone, decodes it, and compares the loudness.
fn sound_test() -> Result<Finding, Failure> {
    let config = audio::EncoderConfig::VOICE;
    let mut encoder = audio::Encoder::new(config)?;
    let mut decoder = audio::Decoder::new(config.sample_rate_hz, config.channels)?;
    let mut tone = Tone::new(config.channels);
    let (mut put_in, mut came_out) = (0.0, 0.0);
    let energy = |pcm: &[i16]| pcm.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>();
    for _ in 0..PICTURES {
        let mut pcm = vec![0; config.samples()];
        tone.fill(&mut pcm);
        put_in += energy(&pcm);
        came_out += energy(&decoder.decode(&encoder.encode(&pcm)?.data)?);
    }
    let kept = came_out / put_in;
    Ok(match (0.5..2.0).contains(&kept) {
        true => Finding::ok("Opus at 48 kHz"),
        false => Finding::fail(
            format!("{:.0} % of the tone's energy came back", kept * 100.0),
            "build again with the locked dependencies",
        ),
    })
}

fn key_file(path: &Path) -> Finding {
    match file::protection(path) {
        Ok(file::Protection::Passphrase) => Finding::ok(format!("{}, encrypted", path.display())),
        Ok(_) => Finding::ok(format!("{}, only its owner can read it", path.display())),
        Err(file::Error::Missing(_)) => {
            Finding::warn(format!("none at {}", path.display()), "run `edge keygen`, or let the first command make one")
        }
        Err(error) => Finding::fail(chain(&error), "until then, use another key with --key PATH or --ephemeral"),
    }
}

/// The standard library does not know free space; `df` is on every Unix.
fn disk(folder: &Path) -> Finding {
    const NEXT: &str = "look at the free space before recording";
    let output = match std::process::Command::new("df").arg("-Pk").arg(folder).output() {
        Ok(output) => output,
        Err(error) => return Finding::warn(format!("df does not run: {error}"), NEXT),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let kib = text.lines().nth(1).and_then(|line| line.split_whitespace().nth(3)?.parse::<u64>().ok());
    match kib.map(|kib| kib / 1024) {
        Some(mib) if mib >= DISK_WANTED_MIB => Finding::ok(format!("{} GiB free here", mib / 1024)),
        Some(mib) => Finding::warn(format!("{mib} MiB free here"), "make room, or record elsewhere"),
        None => Finding::warn("df printed nothing that could be read", NEXT),
    }
}
