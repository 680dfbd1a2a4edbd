//! Partitions split and heal; a dead host is silent at once, takes its processes along and can be revived.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::net::UdpSocket;
use std::os::unix::process::ExitStatusExt;

use common::{lab, ms, reaches, socket};
use edge_netlab::Host;

const KILLED: Option<i32> = Some(9);

#[test]
fn a_partition_splits_and_heals_or_skipped() {
    let Some(alone) = lab("partition", 4, ms(2)) else { return };
    let lab = &alone.lab;
    let sockets: Vec<UdpSocket> = lab.hosts().map(|host| socket(lab, host)).collect();
    lab.partition(&[Host(0), Host(1)]);
    let open = |from: usize, to: usize| reaches(&sockets[from], &sockets[to]);
    assert!(open(0, 1) && open(3, 2));
    assert!(!open(0, 2) && !open(3, 1));
    lab.heal();
    assert!(open(0, 2) && open(3, 1));
}

#[test]
fn a_host_dies_with_its_processes_and_is_revived_without_them_or_skipped() {
    let Some(alone) = lab("death", 3, ms(2)) else { return };
    let lab = &alone.lab;
    let (one, other) = (socket(lab, Host(0)), socket(lab, Host(1)));
    let mut program = lab.spawn(lab.command(Host(1), "sleep").arg("600")).unwrap();
    assert!(program.try_wait().unwrap().is_none() && reaches(&one, &other));
    lab.kill(Host(1));
    assert_eq!(program.wait().unwrap().signal(), KILLED);
    assert!(!reaches(&one, &other) && !reaches(&other, &one));
    lab.revive(Host(1));
    assert!(reaches(&one, &other) && reaches(&other, &one));
}

#[test]
fn hosts_reach_each_other_only_through_the_emulator_or_skipped() {
    let Some(alone) = lab("isolation", 2, ms(1)) else { return };
    let lab = &alone.lab;
    let inside = lab.within(Host(0), || UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
    let outside = UdpSocket::bind("127.0.0.1:0").unwrap();
    outside.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
    assert!(!reaches(&inside, &outside), "not even loopback is shared");
    assert!(inside.send_to(b"x", "192.0.2.1:9").is_err(), "there is no way out");
}
