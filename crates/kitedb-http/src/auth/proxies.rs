//! Whose headers about a client are believed.

use crate::ConfigError;
use ipnet::IpNet;
use std::{net::IpAddr, str::FromStr};

/// The proxies that check certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrustedProxies {
    /// Whoever connects: nothing but the proxy can reach the port, as with a socket in the file system. Whoever else can is an
    /// administrator.
    Any,
    /// Connections from these networks.
    Networks(Vec<IpNet>),
}

impl TrustedProxies {
    /// Connections from this machine.
    pub fn loopback() -> Self {
        let [four, six] = [IpAddr::from([127, 0, 0, 0]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])];
        Self::Networks(vec![net(four, 8), net(six, 128)])
    }

    pub(super) fn trusts(&self, peer: Option<IpAddr>) -> bool {
        match self {
            Self::Any => true,
            Self::Networks(networks) => peer.is_some_and(|peer| networks.iter().any(|network| network.contains(&peer))),
        }
    }
}

/// `bits` is one that the address has.
fn net(address: IpAddr, bits: u8) -> IpNet {
    IpNet::new_assert(address, bits)
}

impl FromStr for TrustedProxies {
    type Err = ConfigError;

    /// Reads `any`, or addresses (`10.0.0.7`), networks (`10.0.0.0/8`) and `loopback`, between commas.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        if text.trim() == "any" {
            return Ok(Self::Any);
        }
        let mut networks = Vec::new();
        for entry in text.split(',').map(str::trim) {
            let network = entry.parse::<IpNet>().or_else(|e| entry.parse::<IpAddr>().map(IpNet::from).map_err(|_| e));
            match (entry, network) {
                ("loopback", _) => {
                    if let Self::Networks(own) = Self::loopback() {
                        networks.extend(own);
                    }
                }
                (_, Ok(network)) if network.prefix_len() == 0 => {
                    return Err(ConfigError::new(format!(
                        "'{entry}' is every address: say 'any' where nothing but the proxy can reach the port"
                    )));
                }
                (_, Ok(network)) => networks.push(network),
                (_, Err(_)) => {
                    return Err(ConfigError::new(format!(
                        "trusted proxies are 'any', or addresses, networks like 10.0.0.0/8 and 'loopback' between commas, and not \
                         '{entry}'"
                    )));
                }
            }
        }
        Ok(Self::Networks(networks))
    }
}
