//! Video: CPU time a picture and quality of the layer modes, beside one layer at the same rate in the same run.

mod descriptions;

use std::fs;
use std::time::Instant;

use edge_codec::pattern;
use edge_codec::video::{Decoder, Encoder, EncoderConfig, Frame, LayerFrame, Mode, Recovery};
use serde_json::{Value, json};

const PICTURES: u32 = 150;
const FRAME_US: u64 = 33_333;
const SMALL: (u32, u32, u32) = (640, 360, 600);
const LARGE: (u32, u32, u32) = (1280, 720, 2_500);
const SMALL_MODES: [Mode; 5] = [Mode::L1T1, Mode::L1T2, Mode::L1T3, Mode::L2T3, Mode::L3T3];
const LARGE_MODES: [Mode; 4] = [Mode::L1T1, Mode::L1T3, Mode::L2T3, Mode::L3T3];
/// The picture that each kind of recovery is measured at: half a second after the long-term reference was refreshed.
const RECOVERY_AT: u32 = 107;

/// Runs everything; about half a minute. One thread each way, on a synthetic speaker before a textured wall.
pub(crate) fn run() -> Value {
    println!("{PICTURES} pictures at 30 a second, speed 9, one thread; PSNR of luma at full size");
    println!(
        "{:>10} {:>5} {:>7} {:>7} {:>7} {:>9} {:>8} {:>6} {:>6}",
        "size", "mode", "kbit/s", "dB", "vs L1T1", "encode ms", "p95 wall", "key", "decode"
    );
    let mut rows = Vec::new();
    for (size, modes) in [(SMALL, &SMALL_MODES[..]), (LARGE, &LARGE_MODES[..])] {
        let source = speaker(size.0, size.1);
        let mut single_db = None;
        for mode in modes {
            let row = measure(&source, size, *mode);
            let single = *single_db.get_or_insert(row.db);
            rows.push(row.print(size, *mode, single));
        }
    }
    let descriptions = descriptions::run(&speaker(SMALL.0, SMALL.1));
    json!({
        "pictures": PICTURES, "rows": rows, "recovery": recovery(), "descriptions": descriptions,
        "pattern_360p_ms": pattern_ms(),
    })
}

struct Row {
    kbps: f64,
    db: f64,
    encode_ms: f64,
    wall_ms: Vec<f64>,
    key_ms: f64,
    decode_ms: f64,
}

impl Row {
    fn print(&self, (width, height, target): (u32, u32, u32), mode: Mode, single_db: f64) -> Value {
        let mut sorted = self.wall_ms.clone();
        sorted.sort_by(f64::total_cmp);
        let p95 = sorted[sorted.len() * 95 / 100];
        let (kbps, db, mean, key, decode) = (self.kbps, self.db, self.encode_ms, self.key_ms, self.decode_ms);
        println!(
            "{:>10} {mode:>5} {kbps:>7.0} {db:>7.2} {:>+7.2} {mean:>9.2} {p95:>8.2} {key:>6.1} {decode:>6.2}",
            format!("{width}x{height}"),
            db - single_db
        );
        json!({
            "width": width, "height": height, "mode": mode.to_string(), "target_kbps": target,
            "kbps": kbps, "psnr_db": db, "psnr_vs_single_db": db - single_db,
            "encode_cpu_ms": mean, "encode_wall_p95_ms": p95, "key_wall_ms": key, "decode_cpu_ms": decode,
        })
    }
}

fn measure(source: &[Frame], (width, height, kbps): (u32, u32, u32), mode: Mode) -> Row {
    let mut encoder = Encoder::new(config(width, height, kbps, mode)).expect("encoder");
    let mut decoder = Decoder::new(1).expect("decoder");
    let (mut encode_ms, mut decode_ms, mut bytes) = (0.0, 0.0, 0);
    let (mut wall_ms, mut shown) = (Vec::new(), Vec::new());
    for frame in source {
        let (start, wall) = (cpu_ms(), Instant::now());
        let layers = encoder.encode(frame).expect("encoded");
        wall_ms.push(wall.elapsed().as_secs_f64() * 1e3);
        encode_ms += cpu_ms() - start;
        let unit = unit(&layers);
        bytes += unit.len();
        let start = cpu_ms();
        shown.extend(decoder.decode(&unit, frame.pts_us).expect("decoded"));
        decode_ms += cpu_ms() - start;
    }
    Row {
        kbps: bytes as f64 * 8.0 / (f64::from(PICTURES) / 30.0) / 1_000.0,
        db: psnr(source, &shown),
        key_ms: wall_ms.remove(0),
        wall_ms,
        encode_ms: encode_ms / f64::from(PICTURES),
        decode_ms: decode_ms / f64::from(PICTURES),
    }
}

/// Bytes of one picture by what it starts from.
fn recovery() -> Value {
    let source = speaker(SMALL.0, SMALL.1);
    let mut rows = Vec::new();
    println!("\n{:>14} {:>8} {:>8} {:>8} {:>8}", "bytes at 360p", "plain", "switch", "LTR", "key");
    for mode in [Mode::L1T3, Mode::L2T3, Mode::L3T3] {
        let wishes = [None, Some(Recovery::Switch), Some(Recovery::LongTermReference), Some(Recovery::KeyFrame)];
        let [plain, switch, long_term, key] = wishes.map(|wish| {
            let mut encoder = Encoder::new(config(SMALL.0, SMALL.1, SMALL.2, mode)).expect("encoder");
            for frame in &source[..RECOVERY_AT as usize] {
                encoder.encode(frame).expect("encoded");
            }
            // A plain picture of temporal layer 0 is the fair one to compare with.
            let ahead = if wish.is_none() { (4 - RECOVERY_AT % 4) % 4 } else { 0 };
            for frame in &source[RECOVERY_AT as usize..(RECOVERY_AT + ahead) as usize] {
                encoder.encode(frame).expect("encoded");
            }
            wish.into_iter().for_each(|wish| encoder.request(wish));
            unit(&encoder.encode(&source[(RECOVERY_AT + ahead) as usize]).expect("encoded")).len()
        });
        println!("{mode:>14} {plain:>8} {switch:>8} {long_term:>8} {key:>8}");
        rows.push(json!({
            "mode": mode.to_string(), "plain": plain, "switch": switch, "long_term": long_term, "key": key,
        }));
    }
    rows.into()
}

fn pattern_ms() -> f64 {
    let video = pattern::Video::new(SMALL.0, SMALL.1, (30, 1)).expect("pattern");
    let start = cpu_ms();
    let drawn: usize = (0..PICTURES).map(|number| video.frame(number).i420().len()).sum();
    let each = (cpu_ms() - start) / f64::from(PICTURES);
    println!("\ntest pattern: {each:.2} ms a 360p picture of {} bytes", drawn / PICTURES as usize);
    each
}

fn config(width: u32, height: u32, kbps: u32, mode: Mode) -> EncoderConfig {
    EncoderConfig {
        threads: 1,
        key_interval_ms: 600_000,
        switch_interval_ms: 600_000,
        ..EncoderConfig::live(width, height, kbps).with_mode(mode)
    }
}

fn unit(layers: &[LayerFrame]) -> Vec<u8> {
    layers.iter().flat_map(|layer| layer.data.iter().copied()).collect()
}

/// CPU time of this thread; wall time where the system does not tell.
fn cpu_ms() -> f64 {
    let told = fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    nanos.map_or_else(|| START.with(|start| start.elapsed().as_secs_f64() * 1e3), |nanos| nanos / 1e6)
}

thread_local! {
    static START: Instant = Instant::now();
}

fn psnr(source: &[Frame], shown: &[Frame]) -> f64 {
    assert_eq!(source.len(), shown.len());
    let pixels = || source.iter().zip(shown).flat_map(|(one, other)| one.y().iter().zip(other.y()));
    let squares: u64 = pixels().map(|(one, other)| u64::from(one.abs_diff(*other)).pow(2)).sum();
    10.0 * (255.0 * 255.0 * pixels().count() as f64 / squares.max(1) as f64).log10()
}

/// A head that moves on its own before a wall that sways as in a held camera, with sensor noise.
fn speaker(width: u32, height: u32) -> Vec<Frame> {
    let wall = pattern::Video::new(width + 64, height + 64, (30, 1)).expect("wall").frame(0);
    (0..PICTURES).map(|number| speaker_at(&wall, width, height, number)).collect()
}

fn speaker_at(wall: &Frame, width: u32, height: u32, number: u32) -> Frame {
    let time = f64::from(number) / 30.0;
    let mut frame = Frame::black(width, height).expect("sides").at(u64::from(number) * FRAME_US, 0);
    let sway = (16.0 + 12.0 * (time * 1.3).sin(), 16.0 + 8.0 * (time * 0.9).cos());
    let (centre_x, centre_y) = (f64::from(width) / 2.0 + 20.0 * (time * 2.0).sin(), f64::from(height) * 0.55);
    let head_y = centre_y + 6.0 * (time * 3.1).cos();
    let mut noise = number.wrapping_mul(0x9e37_79b1) | 1;
    let luma = frame.planes_mut().0;
    for (row, line) in luma.chunks_exact_mut(width as usize).enumerate() {
        for (column, pixel) in line.iter_mut().enumerate() {
            let (dx, dy) = (column as f64 - centre_x, row as f64 - head_y);
            let high = f64::from(height);
            let head = (dx / (high * 0.22)).powi(2) + (dy / (high * 0.3)).powi(2) < 1.0;
            let (x, y) =
                if head { (dx + high, dy + high * 0.5) } else { (column as f64 + sway.0, row as f64 + sway.1) };
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let grain = f64::from(noise >> 24) / 64.0 - 2.0;
            let light = if head { 30.0 } else { 0.0 };
            *pixel = (between(wall, x, y) + grain + light).clamp(0.0, 255.0) as u8;
        }
    }
    frame
}

/// Bilinear luma at a fractional place.
fn between(frame: &Frame, x: f64, y: f64) -> f64 {
    let (left, top) = (x.max(0.0) as usize, y.max(0.0) as usize);
    let (across, down) = (x.max(0.0).fract(), y.max(0.0).fract());
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let at = |x: usize, y: usize| f64::from(frame.y()[y.min(height - 1) * width + x.min(width - 1)]);
    let upper = at(left, top) * (1.0 - across) + at(left + 1, top) * across;
    let lower = at(left, top + 1) * (1.0 - across) + at(left + 1, top + 1) * across;
    upper * (1.0 - down) + lower * down
}
