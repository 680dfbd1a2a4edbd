//! The limit: a process that sends the same frames over bare QUIC and does nothing else.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use edge_net::MAX_MESSAGE;
use edge_node::process;
use quinn::{Connection, Endpoint};
use tokio::sync::broadcast;
use tokio::task::JoinSet;

use super::roles::{self, FRAMES_PER_SECOND, KEY_EVERY, loopback};
use super::{Bare, Outcome};
use crate::net::bare::configs;

/// Frames that may wait for one connection.
const MAX_WAITING: usize = 64;

pub(super) async fn send(count: usize) -> Outcome<()> {
    let endpoint = Endpoint::server(configs()?.0, loopback())?;
    println!("{}", endpoint.local_addr()?);
    let (frames, _) = broadcast::channel::<Bytes>(MAX_WAITING);
    for _ in 0..count {
        let conn = endpoint.accept().await.ok_or("endpoint closed")?.await?;
        tokio::spawn(serve(conn, frames.subscribe()));
    }
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / FRAMES_PER_SECOND);
    let mut bytes = 0;
    for number in 0.. {
        ticks.tick().await;
        let (chunk, _) = roles::frame(number, number % KEY_EVERY);
        bytes += chunk.ciphertext.len() as u64 * count as u64;
        // Without connections there is nothing to measure.
        let _ = frames.send(chunk.ciphertext);
        if number % u64::from(FRAMES_PER_SECOND) == 0 {
            println!("{}", serde_json::to_string(&Bare { cpu_s: process::cpu_s(), bytes })?);
        }
    }
    Ok(())
}

async fn serve(conn: Connection, mut frames: broadcast::Receiver<Bytes>) -> Outcome<()> {
    loop {
        let frame = frames.recv().await?;
        let mut stream = conn.open_uni().await?;
        stream.write_chunk(frame).await?;
        stream.finish()?;
    }
}

pub(super) async fn watch(server: SocketAddr, count: usize, addr: IpAddr) -> Outcome<()> {
    let mut readers = JoinSet::new();
    for _ in 0..count {
        let endpoint = Endpoint::client(SocketAddr::new(addr, 0))?;
        let conn = endpoint.connect_with(configs()?.1, server, "peer.invalid")?.await?;
        readers.spawn(async move {
            let _endpoint = endpoint;
            loop {
                conn.accept_uni().await?.read_to_end(MAX_MESSAGE).await?;
            }
            #[allow(unreachable_code, reason = "names the error type")]
            Outcome::Ok(())
        });
    }
    while let Some(ended) = readers.join_next().await {
        ended??;
    }
    Ok(())
}
