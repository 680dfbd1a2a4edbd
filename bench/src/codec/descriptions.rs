//! Multiple descriptions: what independence costs at one total rate, and what is left when some do not arrive.

use edge_codec::description::{Encoders, Split};
use edge_codec::video::{Decoder, Frame, Mode};
use serde_json::{Value, json};

use super::{PICTURES, config, psnr, unit};

/// Total rates, in kbit/s.
const RATES: [u32; 3] = [300, 450, 600];
/// Which descriptions arrive, of how many.
const ARRIVALS: [(u8, &[u8]); 7] =
    [(1, &[0]), (2, &[0, 1]), (2, &[0]), (4, &[0, 1, 2, 3]), (4, &[0, 1]), (4, &[0, 2]), (4, &[0])];

/// PSNR of luma over every picture of the stream, the last shown one standing for each that is missing.
pub(super) fn run(source: &[Frame]) -> Value {
    println!(
        "\n{:>14} {:>9} {:>8} {:>10} {:>10} {:>8}",
        "L1T3, 360p", "arrive", "kbit/s", "pictures/s", "dB shown", "dB all"
    );
    let rows = RATES
        .iter()
        .flat_map(|kbps| ARRIVALS.iter().map(|(count, arrive)| row(source, *kbps, *count, arrive)).collect::<Vec<_>>());
    rows.collect::<Vec<_>>().into()
}

fn row(source: &[Frame], target: u32, count: u8, arrive: &[u8]) -> Value {
    let split = Split::new(count).expect("1, 2 or 4");
    let (width, height) = (source[0].width(), source[0].height());
    let mut encoders = Encoders::new(&config(width, height, target, Mode::L1T3), split).expect("encoders");
    let mut decoders: Vec<Decoder> = (0..count).map(|_| Decoder::new(1).expect("decoder")).collect();
    let (mut bytes, mut originals, mut shown, mut all) = (0, Vec::new(), Vec::<Frame>::new(), Vec::new());
    for frame in source {
        let picture = encoders.encode(frame).expect("encoded");
        let data = unit(&picture.layers);
        bytes += data.len();
        if arrive.contains(&picture.description) {
            let decoder = &mut decoders[usize::from(picture.description)];
            shown.extend(decoder.decode(&data, frame.pts_us).expect("decoded"));
            originals.push(frame.clone());
        }
        // Before the first one arrives nobody looks.
        all.extend(shown.last().map(|last| (frame.clone(), last.clone())));
    }
    let seconds = f64::from(PICTURES) / 30.0;
    let (kbps, rate) = (bytes as f64 * 8.0 / seconds / 1_000.0, shown.len() as f64 / seconds);
    let (every, stood): (Vec<Frame>, Vec<Frame>) = all.into_iter().unzip();
    let (shown_db, all_db) = (psnr(&originals, &shown), psnr(&every, &stood));
    let name = format!("{} of {count}", arrive.len());
    let paths = format!("{arrive:?}");
    println!("{name:>14} {paths:>9} {kbps:>8.0} {rate:>10.1} {shown_db:>10.2} {all_db:>8.2}");
    json!({
        "descriptions": count, "arrive": arrive, "target_kbps": target, "kbps": kbps, "pictures_per_s": rate,
        "psnr_shown_db": shown_db, "psnr_all_db": all_db,
    })
}
