//! Counts of sessions, in all and by source network.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Limit;
use crate::limits::Limits;

/// The counts of one endpoint. The map has at most as many entries as there are sessions.
#[derive(Debug)]
pub(crate) struct Slots {
    sessions_max: usize,
    per_ip_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    sessions: usize,
    by_network: HashMap<IpAddr, usize>,
}

/// One counted session; gives its place back when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Arc<Slots>,
    network: Option<IpAddr>,
}

impl Slots {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self { sessions_max: limits.sessions, per_ip_max: limits.sessions_per_ip, taken: Mutex::default() })
    }

    /// A place for a session that this endpoint dials.
    pub(crate) fn dial(self: &Arc<Self>) -> Result<Slot, Limit> {
        self.take(None)
    }

    /// A place for a session that came from `addr`.
    pub(crate) fn accept(self: &Arc<Self>, addr: IpAddr) -> Result<Slot, Limit> {
        self.take(Some(network(addr)))
    }

    fn take(self: &Arc<Self>, network: Option<IpAddr>) -> Result<Slot, Limit> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.sessions >= self.sessions_max {
            return Err(Limit::Sessions(self.sessions_max));
        }
        if let Some(network) = network {
            let count = taken.by_network.get(&network).copied().unwrap_or(0);
            if count >= self.per_ip_max {
                return Err(Limit::SessionsPerIp(self.per_ip_max));
            }
            taken.by_network.insert(network, count.saturating_add(1));
        }
        taken.sessions = taken.sessions.saturating_add(1);
        Ok(Slot { slots: self.clone(), network })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.sessions = taken.sessions.saturating_sub(1);
        let Some(network) = self.network else { return };
        match taken.by_network.get_mut(&network) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                taken.by_network.remove(&network);
            }
        }
    }
}

/// Whoever has one IPv6 address has its whole /64; IPv4 stays IPv4 on dual-stack sockets.
fn network(addr: IpAddr) -> IpAddr {
    match addr.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(sessions: usize, sessions_per_ip: usize) -> Arc<Slots> {
        Slots::new(&Limits { sessions, sessions_per_ip, ..Limits::default() })
    }

    #[test]
    fn places_come_back() {
        let slots = slots(2, 2);
        let first = slots.dial().unwrap();
        let _second = slots.accept([10, 0, 0, 1].into()).unwrap();
        assert_eq!(slots.dial().unwrap_err(), Limit::Sessions(2));
        drop(first);
        slots.dial().unwrap();
    }

    #[test]
    fn one_ipv6_network_counts_as_one() {
        let slots = slots(8, 1);
        let held = slots.accept("2001:db8::1".parse().unwrap()).unwrap();
        assert_eq!(slots.accept("2001:db8::2".parse().unwrap()).unwrap_err(), Limit::SessionsPerIp(1));
        let _other = slots.accept("2001:db8:0:1::1".parse().unwrap()).unwrap();
        let _v4 = slots.accept("::ffff:10.0.0.1".parse().unwrap()).unwrap();
        assert_eq!(slots.accept([10, 0, 0, 1].into()).unwrap_err(), Limit::SessionsPerIp(1));
        drop(held);
        slots.accept("2001:db8::3".parse().unwrap()).unwrap();
    }
}
