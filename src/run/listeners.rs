//! Who listens in a container: `/proc/net/tcp` and `/proc/net/tcp6`, read.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::contract;

/// The state LISTEN in the kernel's tables.
const LISTEN: &str = "0A";

/// The addresses on which the processes of a container listen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listeners(Vec<SocketAddr>);

impl Listeners {
    /// Reads the kernel's tables, one after the other in one text. Lines that are none of theirs are skipped.
    pub fn read(tables: &str) -> Self {
        let mut found: Vec<_> = tables.lines().filter_map(listener).collect();
        found.sort();
        found.dedup();
        Listeners(found)
    }

    /// The listener through which others reach the editor, if there is one.
    pub fn reachable(&self) -> Option<SocketAddr> {
        self.on_the_port().find(|address| !is_loopback(address.ip()))
    }

    /// A listener on the right port that nobody but the container itself reaches.
    pub fn on_loopback(&self) -> Option<SocketAddr> {
        self.on_the_port().find(|address| is_loopback(address.ip()))
    }

    /// Whether nobody listens at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn on_the_port(&self) -> impl Iterator<Item = SocketAddr> {
        self.0.iter().copied().filter(|address| address.port() == contract::SERVER_PORT)
    }
}

impl fmt::Display for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", "))
    }
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// `  sl  local_address rem_address   st …`: the second and the fourth column count.
fn listener(line: &str) -> Option<SocketAddr> {
    let mut columns = line.split_whitespace();
    let (local, state) = (columns.nth(1)?, columns.nth(1)?);
    if state != LISTEN {
        return None;
    }
    let (ip, port) = local.split_once(':')?;
    Some(SocketAddr::new(address(ip)?, u16::from_str_radix(port, 16).ok()?))
}

/// The kernel prints each 32 bits of an address as a number of the machine, which is a little-endian one here.
fn address(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(hex.get(at..at + 8)?, 16).ok().map(u32::to_le_bytes);
    match hex.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(words.concat()).ok()?)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    fn table(rows: &[(&str, &str)]) -> String {
        let row = |(local, state): &(&str, &str)| format!("   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  1000 0 1 1\n");
        HEAD.to_owned() + &rows.iter().map(row).collect::<String>()
    }

    #[test]
    fn tells_loopback_from_the_rest() {
        let zeros = "0".repeat(32);
        let any = Listeners::read(&table(&[("00000000:22B8", "0A"), ("0100007F:1F40", "0A")]));
        assert_eq!((any.reachable().unwrap().to_string(), any.on_loopback()), ("0.0.0.0:8888".to_owned(), None));
        let any = Listeners::read(&table(&[(&format!("{zeros}:22B8"), "0A")]));
        assert_eq!(any.reachable().unwrap().to_string(), "[::]:8888");
        for local in ["0100007F:22B8", "00000000000000000000000001000000:22B8", "0000000000000000FFFF00000100007F:22B8"] {
            let found = Listeners::read(&table(&[(local, "0A")]));
            assert!(found.reachable().is_none() && found.on_loopback().is_some(), "{local}");
        }
        let other = Listeners::read(&table(&[("00000000:1F40", "0A")]));
        assert!(other.reachable().is_none() && other.on_loopback().is_none() && !other.is_empty());
        assert_eq!(other.to_string(), "0.0.0.0:8000");
    }

    #[test]
    fn connections_and_garbage_are_no_listeners() {
        let text = table(&[("00000000:22B8", "01")]) + "x\n  0: zz:22B8 0 0A\n 0: 00000000 0 0A\n 0: 0000é0:22B8 0 0A\n";
        assert!(Listeners::read(&text).is_empty());
    }
}
