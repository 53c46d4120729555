//! Names whose owner changes where they lead, between one look and the next.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use reqwest::dns::Resolve as _;

use super::super::guard::{Guard, Lookup};
use super::consumer::{Consumer, answer};
use super::*;

/// Answers each time with the next list, and counts how often it was asked.
#[derive(Clone)]
struct Script(Arc<Mutex<(usize, Vec<Vec<IpAddr>>)>>);

impl Script {
    fn new(answers: &[&[&str]]) -> Self {
        let read = |list: &&[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        Self(Arc::new(Mutex::new((
            0,
            answers.iter().map(read).collect(),
        ))))
    }

    fn asked(&self) -> usize {
        self.0.lock().unwrap().0
    }
}

#[async_trait]
impl Lookup for Script {
    async fn addresses(&self, _host: &str) -> io::Result<Vec<SocketAddr>> {
        let mut script = self.0.lock().unwrap();
        let list = script.1[script.0.min(script.1.len() - 1)].clone();
        script.0 += 1;
        Ok(list.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect())
    }
}

/// What one look at the name gives.
async fn look(guard: &Guard) -> Result<Vec<String>, String> {
    let name = "consumer.example".parse().unwrap();
    match guard.resolve(name).await {
        Ok(found) => Ok(found.map(|address| address.ip().to_string()).collect()),
        Err(error) => Err(error.to_string()),
    }
}

#[tokio::test]
async fn what_is_checked_is_what_is_connected_to() {
    let script = Script::new(&[
        &["93.184.216.34"],
        &["127.0.0.1"],
        &["10.0.0.1", "93.184.216.34", "::1", "2606:4700::1"],
        &["::ffff:93.184.216.34"],
        &[],
    ]);
    let guard = Guard::over(script.clone());
    assert_eq!(look(&guard).await.unwrap(), ["93.184.216.34"]);
    // A second look at the same name counts for itself, however the first one ended.
    let refused = look(&guard).await.unwrap_err();
    assert!(refused.contains("resolves to 127.0.0.1"), "{refused}");
    assert_eq!(
        look(&guard).await.unwrap(),
        ["93.184.216.34", "2606:4700::1"]
    );
    look(&guard).await.unwrap_err();
    let nowhere = look(&guard).await.unwrap_err();
    assert!(nowhere.contains("no address"), "{nowhere}");
    // Nothing was looked up again behind the check.
    assert_eq!(script.asked(), 5);
}

#[tokio::test]
async fn a_client_asks_the_guard_and_nobody_else() {
    let consumer = Consumer::start(|| answer(200, &[])).await;
    for private in ["127.0.0.1", "::ffff:127.0.0.1", "0.0.0.0"] {
        let script = Script::new(&[&[private]]);
        let client = Client::builder()
            .no_proxy()
            .tls_backend_preconfigured(tls::unused().unwrap())
            .dns_resolver(Guard::over(script.clone()))
            .build()
            .unwrap();
        // To the system this name is this machine.
        let url = format!("http://localhost:{}/", consumer.address.port());
        client.get(url).send().await.unwrap_err();
        assert_eq!(script.asked(), 1, "{private}");
    }
    assert_eq!(consumer.received().len(), 0);
}
