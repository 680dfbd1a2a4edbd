//! Recovery on request: key frames, switch pictures and long-term references, each as cheap as it should be.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod video_support;

use edge_codec::video::{Decoder, Encoder, LayerFrame, Mode, Recovery, unit_id};
use video_support::{FRAME_US, SIZE, clip, decode_all, encode, quiet, unit};

fn bytes(layers: &[LayerFrame]) -> usize {
    layers.iter().map(|layer| layer.data.len()).sum()
}

#[test]
fn the_next_picture_obeys_the_strongest_request() {
    for mode in [Mode::L1T3, Mode::L3T3] {
        let requests = [(21, Recovery::Switch), (21, Recovery::KeyFrame), (21, Recovery::LongTermReference)];
        let stream = encode(&quiet(SIZE, mode), 24, &requests);
        let keys: Vec<_> = stream.iter().filter(|layers| layers[0].key).map(|layers| layers[0].frame_number).collect();
        assert_eq!(keys, [0, 21]);
        assert_eq!(stream[21][0].temporal, 0);
        assert!(stream[21][0].references.is_empty());
        assert_eq!(decode_all(&stream[21..], 0), decode_all(&stream, 0)[21..]);
    }
}

/// Everything between the long-term reference and the recovery picture is lost; what follows is bit-exact.
#[test]
fn a_long_term_reference_restores_all_layers_after_a_loss() {
    for mode in [Mode::L1T1, Mode::L1T3, Mode::L2T3, Mode::L3T3] {
        let stream = encode(&quiet(SIZE, mode), 60, &[(47, Recovery::LongTermReference)]);
        let (top, recovery) = (mode.spatial_layers() - 1, &stream[47]);
        let long_term = recovery[0].references[0] / 4;
        assert_eq!((recovery[0].references.len(), recovery[0].temporal, recovery[0].key), (1, 0, false));
        assert!((29..40).contains(&long_term), "{mode}: refreshed after a second, at {long_term}");
        let whole = decode_all(&stream, top);
        let mut decoder = Decoder::new(1).unwrap();
        let kept = stream.iter().enumerate().filter(|(number, _)| *number <= long_term as usize + 1 || *number >= 47);
        for (number, layers) in kept {
            let frames = decoder.decode(&unit(layers, top), 0).unwrap();
            assert_eq!(frames[0].i420(), whole[number].i420(), "{mode} picture {number}");
        }
    }
}

/// A still scene with one moving square: what a long-term reference is for.
fn last_of_still_scene(recovery: Recovery) -> Vec<LayerFrame> {
    let mut encoder = Encoder::new(quiet((640, 360), Mode::L1T3)).unwrap();
    let scene = clip((640, 360), 1).remove(0);
    let picture = |number: u64| {
        let mut frame = scene.clone().at(number * FRAME_US, 0);
        let (luma, ..) = frame.planes_mut();
        let rows = luma.chunks_exact_mut(640).skip(100).take(40);
        rows.for_each(|row| row[number as usize * 4..][..40].fill(200));
        frame
    };
    (0..47).for_each(|number| drop(encoder.encode(&picture(number)).unwrap()));
    encoder.request(recovery);
    encoder.encode(&picture(47)).unwrap()
}

#[test]
fn a_long_term_picture_is_cheaper_than_a_key_frame() {
    let cheap = bytes(&last_of_still_scene(Recovery::LongTermReference));
    let dear = bytes(&last_of_still_scene(Recovery::KeyFrame));
    assert!(cheap * 2 < dear, "{cheap} of {dear}");
}

#[test]
fn a_young_long_term_reference_gives_a_key_frame() {
    let stream = encode(&quiet(SIZE, Mode::L1T3), 6, &[(4, Recovery::LongTermReference)]);
    assert!(stream[4][0].key);
}

/// Upper layers are left out for a while and taken up at the requested picture.
#[test]
fn a_switch_picture_lets_upper_layers_start() {
    for mode in [Mode::L2T1, Mode::L2T3, Mode::L3T1, Mode::L3T3] {
        let stream = encode(&quiet(SIZE, mode), 50, &[(33, Recovery::Switch)]);
        let top = mode.spatial_layers() - 1;
        let whole = decode_all(&stream, top);
        let base = decode_all(&stream, 0);
        let switch = &stream[33];
        assert!(switch.iter().all(|layer| layer.switch && !layer.key && layer.temporal == 0));
        switch.iter().skip(1).for_each(|layer| assert_eq!(layer.references, [layer.unit_id - 1]));
        let mut decoder = Decoder::new(1).unwrap();
        for (number, layers) in stream.iter().enumerate() {
            let (top, expected) = if (10..33).contains(&number) { (0, &base) } else { (top, &whole) };
            let frames = decoder.decode(&unit(layers, top), 0).unwrap();
            assert_eq!(frames[0].i420(), expected[number].i420(), "{mode} picture {number}");
        }
    }
}

/// The slots of the upper layers then hold the small key picture: the size must not be taken from there.
#[test]
fn upper_layers_start_after_a_key_frame_of_which_only_the_base_came() {
    for mode in [Mode::L2T3, Mode::L3T3] {
        let stream = encode(&quiet(SIZE, mode), 40, &[(20, Recovery::KeyFrame), (30, Recovery::Switch)]);
        let top = mode.spatial_layers() - 1;
        let whole = decode_all(&stream, top);
        let mut decoder = Decoder::new(1).unwrap();
        for (number, layers) in stream.iter().enumerate() {
            let small = (20..30).contains(&number);
            let frames = decoder.decode(&unit(layers, if small { 0 } else { top }), 0).unwrap();
            assert!(small || frames[0].i420() == whole[number].i420(), "{mode} picture {number}");
        }
    }
}

/// A switch costs nothing where there is nothing to switch.
#[test]
fn a_switch_request_means_nothing_with_one_size() {
    let stream = encode(&quiet(SIZE, Mode::L1T3), 12, &[(5, Recovery::Switch)]);
    assert!(stream.iter().skip(1).all(|layers| !layers[0].switch));
    assert_eq!(stream[8][0].temporal, 0);
}

#[test]
fn requests_are_kept_until_a_picture_comes() {
    let mut encoder = Encoder::new(quiet(SIZE, Mode::L2T3)).unwrap();
    let frames = clip(SIZE, 40);
    for frame in &frames[..39] {
        encoder.encode(frame).unwrap();
    }
    encoder.request(Recovery::LongTermReference);
    encoder.request(Recovery::Switch);
    let layers = encoder.encode(&frames[39]).unwrap();
    assert!(layers[0].references.iter().all(|unit| *unit < unit_id(36, 0)));
    assert_eq!(layers[1].references, [unit_id(39, 0)]);
}
