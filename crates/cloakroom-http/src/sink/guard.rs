//! Keeps requests out of private networks.
//!
//! The check is on the addresses that are then connected to, so a name cannot resolve to one address when it is
//! checked and to another when it is used. An address written in the URL never reaches the resolver and is checked
//! when the sink is made.

use std::net::{IpAddr, SocketAddr};

use cloakroom_core::outbound::is_public;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::HttpSinkError;

/// Resolves names as the system does, and forgets all addresses that are not on the public internet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guard;

/// A name that leads nowhere else.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{host}` resolves to {address}, which is not on the public internet; set `allow_private_sinks: true` if this is meant"
)]
struct PrivateHost {
    host: String,
    address: IpAddr,
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` resolves to no address")]
struct NoAddress(String);

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let (public, refused): (Vec<_>, Vec<_>) =
                found.into_iter().partition(|found| is_public(found.ip()));
            if !public.is_empty() {
                return Ok(Box::new(public.into_iter()) as Addrs);
            }
            let host = name.as_str().to_owned();
            Err(match refused.first() {
                Some(first) => PrivateHost {
                    host,
                    address: first.ip(),
                }
                .into(),
                None => NoAddress(host).into(),
            })
        })
    }
}

/// Refuses a URL whose host is an address outside the public internet, however it is written.
pub(super) fn check_literal(url: &Url) -> Result<(), HttpSinkError> {
    // The URL has been normalised: `0x7f.1` reads `127.0.0.1` by now.
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse();
    match address {
        Ok(address) if !is_public(address) => Err(HttpSinkError::PrivateAddress(address)),
        _ => Ok(()),
    }
}
