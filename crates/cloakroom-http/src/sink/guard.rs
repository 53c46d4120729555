//! Keeps requests out of private networks.
//!
//! The check is on the addresses that are then connected to, so a name cannot resolve to one address when it is
//! checked and to another when it is used. An address written in the URL never reaches the resolver and is checked
//! when the sink is made.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use cloakroom_core::outbound::is_public;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::HttpSinkError;

/// Looks a name up.
#[async_trait]
pub(super) trait Lookup: Send + Sync {
    /// All addresses of `host`, with any port.
    async fn addresses(&self, host: &str) -> io::Result<Vec<SocketAddr>>;
}

/// As the system does.
struct System;

#[async_trait]
impl Lookup for System {
    async fn addresses(&self, host: &str) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.collect())
    }
}

/// Resolves names, and forgets all addresses that are not on the public internet. Each name is looked up once for each
/// connection, and what was checked is what is handed on.
#[derive(Clone)]
pub(super) struct Guard(Arc<dyn Lookup>);

impl Guard {
    /// Over the system's resolver.
    pub(super) fn system() -> Self {
        Self::over(System)
    }

    pub(super) fn over(lookup: impl Lookup + 'static) -> Self {
        Self(Arc::new(lookup))
    }
}

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
        let lookup = Arc::clone(&self.0);
        Box::pin(async move {
            let found = lookup.addresses(name.as_str()).await?;
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
