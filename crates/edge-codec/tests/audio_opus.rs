//! Opus packets: sizes, losses and refusals.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod audio_support;

use audio_support::{packets, voice};
use edge_codec::audio::{
    Application, Cause, Concealed, Concealer, Decoder, Encoder, EncoderConfig, Error, FrameDuration, has_fec,
    packet_duration_us,
};

fn rms(pcm: &[i16]) -> f64 {
    let power: f64 = pcm.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    (power / pcm.len().max(1) as f64).sqrt()
}

fn error_db(reference: &[i16], got: &[i16]) -> f64 {
    let noise: f64 = reference.iter().zip(got).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    let power: f64 = reference.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    10.0 * (power / noise.max(1.0)).log10()
}

#[test]
fn every_rate_duration_and_channel_count_round_trips() {
    use FrameDuration::*;
    for rate in [8_000, 12_000, 16_000, 24_000, 48_000] {
        for channels in [1, 2] {
            for duration in [Ms2_5, Ms5, Ms10, Ms20, Ms40, Ms60] {
                for application in [Application::Voip, Application::Audio, Application::LowDelay] {
                    let (sample_rate_hz, bitrate_kbps, frame_duration) = (rate, None, duration);
                    let expected_loss_percent = 5;
                    let config = EncoderConfig {
                        sample_rate_hz,
                        channels,
                        application,
                        bitrate_kbps,
                        frame_duration,
                        expected_loss_percent,
                    };
                    let mut decoder = Decoder::new(rate, channels).unwrap();
                    for packet in packets(config, 3) {
                        assert_eq!(packet_duration_us(&packet).unwrap(), duration.micros());
                        assert_eq!(decoder.decode(&packet).unwrap().len(), config.samples());
                    }
                }
            }
        }
    }
}

#[test]
fn live_voice_keeps_the_sound_at_its_bit_rate() {
    let count = 100;
    let sent = voice(960 * count, 48_000, 1);
    let packets = packets(EncoderConfig::VOICE, count);
    let mut decoder = Decoder::new(48_000, 1).unwrap();
    let heard: Vec<i16> = packets.iter().flat_map(|packet| decoder.decode(packet).unwrap()).collect();
    let delay = usize::from(Encoder::new(EncoderConfig::VOICE).unwrap().pre_skip().unwrap());
    assert_eq!(delay, 312, "6.5 ms");
    let fidelity = error_db(&sent[48_000..90_000], &heard[48_000 + delay..90_000 + delay]);
    let misplaced = error_db(&sent[48_000..90_000], &heard[48_000 + delay + 96..90_000 + delay + 96]);
    assert!(fidelity > 5.0 && misplaced < fidelity - 3.0, "{fidelity} dB, {misplaced} dB 2 ms later");
    let kbps = packets.iter().map(Vec::len).sum::<usize>() * 8 / (count * 20);
    assert!((24..=36).contains(&kbps), "{kbps} kbit/s");
}

#[test]
fn a_lost_frame_is_recovered_from_the_packet_after_it_better_than_by_guessing() {
    let packets = packets(EncoderConfig::VOICE, 300);
    let mut whole = Decoder::new(48_000, 1).unwrap();
    let reference: Vec<Vec<i16>> = packets.iter().map(|packet| whole.decode(packet).unwrap()).collect();
    let (mut fec, mut guess) = (Decoder::new(48_000, 1).unwrap(), Decoder::new(48_000, 1).unwrap());
    let (mut lost, mut by_fec, mut by_guess) = (Vec::new(), Vec::new(), Vec::new());
    for at in 0..packets.len() {
        if at % 10 == 9 && packets.get(at + 1).is_some_and(|next| has_fec(next)) {
            lost.extend_from_slice(&reference[at]);
            by_fec.extend(fec.decode_fec(&packets[at + 1]).unwrap());
            by_guess.extend(guess.conceal(FrameDuration::Ms20).unwrap());
        } else {
            fec.decode(&packets[at]).unwrap();
            guess.decode(&packets[at]).unwrap();
        }
    }
    assert!(lost.len() >= 10 * 960, "{} frames were recovered", lost.len() / 960);
    let (fec_db, guess_db) = (error_db(&lost, &by_fec), error_db(&lost, &by_guess));
    assert!(fec_db > 8.0 && fec_db > guess_db + 3.0, "fec {fec_db} dB, guess {guess_db} dB");
}

#[test]
fn concealment_never_is_louder_than_the_sound_and_ends_in_silence() {
    for application in [Application::Voip, Application::Audio, Application::LowDelay] {
        for kbps in [12, 32, 64] {
            let config = EncoderConfig { application, bitrate_kbps: Some(kbps), ..EncoderConfig::VOICE };
            let mut decoder = Decoder::new(48_000, 1).unwrap();
            let heard: Vec<i16> =
                packets(config, 50).iter().flat_map(|packet| decoder.decode(packet).unwrap()).collect();
            let loudest = heard[24_000..].chunks(960).map(rms).fold(0.0, f64::max);
            let mut concealer = Concealer::default();
            let filled: Vec<_> = (0..12).map(|_| concealer.next(&mut decoder, 20_000)).collect();
            for (pcm, _) in &filled {
                assert_eq!(pcm.len(), 960);
                assert!(rms(pcm) <= loudest * 1.05, "{application:?} {kbps}: {} over {loudest}", rms(pcm));
            }
            assert!(rms(&filled[0].0) > loudest * 0.05, "the first guess is not silence");
            let guesses = filled.iter().filter(|(_, how)| *how == Concealed::Guess).count();
            assert_eq!(guesses, 7, "120 ms and one frame that fades out");
            assert_eq!(filled[6].0.last(), Some(&0));
            assert!(filled[7..].iter().all(|(pcm, _)| pcm.iter().all(|sample| *sample == 0)));
        }
    }
}

#[test]
fn a_cold_decoder_conceals_with_silence() {
    let mut decoder = Decoder::new(16_000, 2).unwrap();
    for (duration, samples) in [(FrameDuration::Ms2_5, 80), (FrameDuration::Ms20, 640), (FrameDuration::Ms60, 1_920)] {
        assert_eq!(decoder.conceal(duration).unwrap(), vec![0; samples]);
    }
}

#[test]
fn bad_configurations_name_the_value() {
    let refused = |config: EncoderConfig| Encoder::new(config).err().expect("refused").to_string();
    assert!(refused(EncoderConfig { sample_rate_hz: 44_100, ..EncoderConfig::VOICE }).contains("44100"));
    assert!(refused(EncoderConfig { channels: 3, ..EncoderConfig::VOICE }).contains('3'));
    assert!(refused(EncoderConfig { channels: 0, ..EncoderConfig::VOICE }).contains('0'));
    assert!(refused(EncoderConfig { bitrate_kbps: Some(u32::MAX), ..EncoderConfig::VOICE }).contains("4294967295"));
    assert!(refused(EncoderConfig { expected_loss_percent: 101, ..EncoderConfig::VOICE }).contains("101"));
    assert!(matches!(Decoder::new(48_000, 9), Err(Error::InvalidConfig { field: "channels", .. })));
    let mut encoder = Encoder::new(EncoderConfig::VOICE).unwrap();
    assert_eq!(encoder.encode(&[0; 959]), Err(Error::PcmSizeMismatch { expected: 960, actual: 959 }));
    assert_eq!(encoder.encode(&[]), Err(Error::PcmSizeMismatch { expected: 960, actual: 0 }));
    encoder.set_expected_loss(30).unwrap();
    encoder.set_bitrate(24).unwrap();
    assert_eq!((encoder.config().expected_loss_percent, encoder.config().bitrate_kbps), (30, Some(24)));
    assert!(encoder.set_bitrate(0).is_err() && encoder.set_expected_loss(255).is_err());
}

#[test]
fn an_empty_or_malformed_packet_is_an_error_and_never_a_panic() {
    let mut decoder = Decoder::new(48_000, 1).unwrap();
    assert_eq!(decoder.decode(&[]), Err(Error::DecodeFailed(Cause::Empty)));
    assert_eq!(decoder.decode_fec(&[]), Err(Error::DecodeFailed(Cause::Empty)));
    assert!(matches!(decoder.decode(&vec![0xff; 70_000]), Err(Error::DecodeFailed(Cause::TooLong { len: 70_000 }))));
    let packets = packets(EncoderConfig::VOICE, 10);
    for packet in &packets {
        for len in 0..packet.len() {
            let _ = decoder.decode(&packet[..len]);
            let _ = decoder.decode_fec(&packet[..len]);
        }
        for bit in 0..packet.len() * 8 {
            let mut changed = packet.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let _ = decoder.decode(&changed);
            let _ = decoder.decode_fec(&changed);
        }
    }
    assert_eq!(decoder.decode(&packets[9]).unwrap().len(), 960, "still works");
}

#[test]
fn a_packet_without_a_copy_says_so() {
    let config = EncoderConfig { application: Application::LowDelay, ..EncoderConfig::VOICE };
    let packets = packets(config, 4);
    let mut decoder = Decoder::new(48_000, 1).unwrap();
    decoder.decode(&packets[0]).unwrap();
    assert_eq!(decoder.decode_fec(&packets[2]), Err(Error::DecodeFailed(Cause::NoFec)));
}
