//! Paths name descriptions, and every description has a nonce space of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::HashSet;

use edge_alm::path::{Descriptions, Error, RawPath, SubStreamPath, check_disjoint, stream_id};
use edge_wire::id::StreamId;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

fn path(sides: &[u8]) -> SubStreamPath {
    SubStreamPath::new(sides).unwrap()
}

#[test]
fn leaves_come_in_ascending_order() {
    let leaves =
        |count: Descriptions| -> Vec<Vec<u8>> { count.leaves().iter().map(|leaf| leaf.as_bytes().to_vec()).collect() };
    assert_eq!(leaves(Descriptions::One), [Vec::<u8>::new()]);
    assert_eq!(leaves(Descriptions::Two), [vec![0], vec![1]]);
    assert_eq!(leaves(Descriptions::Four), [vec![0, 0], vec![0, 1], vec![1, 0], vec![1, 1]]);
    for count in [Descriptions::One, Descriptions::Two, Descriptions::Four] {
        assert_eq!(check_disjoint(&count.leaves()), Ok(()));
    }
}

#[test]
fn only_short_paths_of_zeros_and_ones_are_emitted() {
    assert_eq!(path(&[]), SubStreamPath::WHOLE);
    assert_eq!(path(&[1; 8]).as_bytes(), [1; 8]);
    assert_eq!(SubStreamPath::new(&[0; 9]), Err(Error::TooDeep { got: 9 }));
    assert_eq!(SubStreamPath::new(&[0, 2]), Err(Error::Side { got: 2 }));
    assert_eq!(check_disjoint(&[path(&[0]), path(&[0])]), Err(Error::Overlap));
    assert_eq!(check_disjoint(&[path(&[0, 1]), path(&[1]), path(&[0])]), Err(Error::Overlap));
    assert_eq!(check_disjoint(&[path(&[1]), path(&[])]), Err(Error::Overlap));
}

#[test]
fn a_received_path_is_kept_as_it_came() {
    let odd = RawPath::new([7; 20]);
    assert_eq!(odd.as_bytes(), [7; 20]);
    assert!(SubStreamPath::try_from(&odd).is_err());
    let fine = RawPath::from(path(&[0, 1]));
    assert_eq!(SubStreamPath::try_from(&fine), Ok(path(&[0, 1])));
}

#[test]
fn the_stream_id_of_a_path_is_the_digest_of_label_stream_length_and_path() {
    let stream = StreamId([0x5a; 32]);
    assert_eq!(stream_id(stream, &SubStreamPath::WHOLE), stream);
    // Computed outside of this project.
    assert_eq!(
        stream_id(stream, &path(&[0])).to_string(),
        "7f8042a3f0847ac485a67bcdec9de4d8c34642154750c964eae2f7cbd27bbf93"
    );
    assert_eq!(
        stream_id(stream, &path(&[0, 1])).to_string(),
        "3df3d33e8f61427271b5a4b57271594f979ec1ef2ac6f76cbf31ee7e61e6364e"
    );
}

#[test]
fn no_two_paths_of_a_stream_share_a_stream_id() {
    let mut seen = HashSet::new();
    let mut paths = 0;
    for depth in 0..=8_u32 {
        for leaf in 0..1_u16 << depth {
            let sides: Vec<u8> = (0..depth).map(|at| u8::from(leaf >> at & 1 == 1)).collect();
            assert!(seen.insert(stream_id(StreamId([9; 32]), &path(&sides))));
            paths += 1;
        }
    }
    assert_eq!((seen.len(), paths), (511, 511));
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn disjoint_agrees_with_comparing_all_pairs(
        all in prop::collection::vec(prop::collection::vec(0..2_u8, 0..5), 0..6),
    ) {
        let paths: Vec<SubStreamPath> = all.iter().map(|sides| path(sides)).collect();
        let overlap = (0..all.len())
            .any(|a| (0..all.len()).any(|b| a != b && all[b].starts_with(&all[a])));
        prop_assert_eq!(check_disjoint(&paths).is_err(), overlap);
    }
}

fn config() -> Config {
    Config { rng_seed: RngSeed::Fixed(0x5b57), failure_persistence: None, ..Config::with_cases(256) }
}
