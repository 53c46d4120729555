//! What is not sent, and what is said about it.

use super::consumer::{Consumer, answer};
use super::*;

fn error(options: &HttpSinkOptions) -> HttpSinkError {
    match HttpSink::new(options, TestClock::fixed()) {
        Err(error) => error,
        Ok(_) => panic!("there should be no such sink"),
    }
}

#[test]
fn private_addresses_are_refused_however_they_are_written() {
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "0177.0.0.1",
        "2130706433",
        "0",
        "%31%32%37.0.0.1",
        "１２７.0.0.1",
        "127.0.0.1.",
        "10.0.0.1",
        "169.254.169.254",
        "user:pass@192.168.0.1",
        "93.184.216.34@127.0.0.1",
        "consumer.example:80@10.0.0.1",
        "%5b::1%5d@127.0.0.1",
        "0.0.0.0",
        "00",
        "0x0",
        "017700000001",
        "0x7F000001",
        "0x7f.0x0.0x0.0x1",
        "127.0.1",
        "127.000.000.001",
        "０ｘ７ｆ.1",
        "①②⑦.0.0.1",
        "100.64.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "198.18.0.1",
        "224.0.0.251",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "2852039166",
        "0xa9fea9fe",
        "169.254.43518",
        "0251.0376.0251.0376",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:7f00:1::]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:0:127.0.0.1]",
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b:1::7f00:1]",
        "[fc00::1]",
        "[fec0::1]",
        "[ff02::1]",
        "[100::1]",
        "[2001:db8::1]",
    ] {
        let mut options = options(&format!("http://{host}:8080/hooks"));
        options.allow_private = false;
        let error = error(&options);
        assert!(
            matches!(error, HttpSinkError::PrivateAddress(_)),
            "{host}: {error}"
        );
    }
    // A zone is none of a URL's, whatever the address is.
    for host in [
        "[fe80::1%25eth0]",
        "[fe80::1%eth0]",
        "[::1%lo]",
        "127.0.0.1.1",
        "256.0.0.1",
    ] {
        let mut options = options(&format!("http://{host}/hooks"));
        options.allow_private = false;
        assert!(matches!(error(&options), HttpSinkError::Url(_)), "{host}");
    }
    let mut public = options("https://93.184.216.34/hooks");
    public.allow_private = false;
    sink(&public);
}

#[tokio::test]
async fn a_name_that_leads_into_a_private_network_is_refused() {
    let consumer = Consumer::start(|| answer(200, &[])).await;
    let url = format!(
        "http://localhost:{}/hooks?token=t0ken",
        consumer.address.port()
    );
    let mut refusing = options(&url);
    refusing.allow_private = false;
    let (reason, _) = failed(sink(&refusing).send(&[json(7)]).await);
    assert!(reason.contains("`localhost` resolves to "), "{reason}");
    assert!(reason.contains("allow_private_sinks"), "{reason}");
    assert!(!reason.contains("t0ken"), "{reason}");
    assert_eq!(consumer.received().len(), 0);
    assert_eq!(
        sink(&options(&url)).send(&[json(7)]).await,
        Outcome::Delivered
    );
}

#[tokio::test]
async fn a_consumer_that_is_not_there_fails_without_showing_the_url() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("http://user:pa55@{address}/hooks/t0ken");
    let (reason, wait) = failed(sink(&options(&url)).send(&[json(7)]).await);
    assert!(reason.contains("refused"), "{reason}");
    assert!(
        !reason.contains("t0ken") && !reason.contains("pa55"),
        "{reason}"
    );
    assert_eq!(wait, None);
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_a_timeout() {
    // Connections are taken by the system, and nobody reads from them.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut options = options(&format!("http://{}/", listener.local_addr().unwrap()));
    options.timeout = Duration::from_millis(50);
    let (reason, wait) = failed(sink(&options).send(&[json(7)]).await);
    assert_eq!(reason, "no answer within 50ms");
    assert_eq!(wait, None);
}

#[tokio::test]
async fn https_means_tls() {
    let consumer = Consumer::start(|| answer(200, &[])).await;
    let url = consumer.url().replace("http:", "https:");
    let (reason, _) = failed(sink(&options(&url)).send(&[json(7)]).await);
    assert!(reason.contains("InvalidContentType"), "{reason}");
    assert_eq!(consumer.received().len(), 0);
}

#[test]
fn options_that_cannot_work_are_refused() {
    let url = |url: &str| error(&options(url)).to_string();
    let secret = |secret: &str| {
        let mut options = options("http://127.0.0.1/");
        options.secret = Some(Secret::new(secret));
        error(&options).to_string()
    };
    let header = |name: &str, value: &str| {
        let mut options = options("http://user:pass@127.0.0.1/");
        options.headers = vec![(name.to_owned(), value.to_owned())];
        error(&options).to_string()
    };
    insta::assert_snapshot!(
        [
            url("/hooks"),
            url("ftp://consumer.example/"),
            url("http://"),
            secret(""),
            secret("whsec_"),
            secret("whsec_!"),
            secret("whsk_AAAA"),
            header("Webhook-Id", "x"),
            header("ce-id", "x"),
            header("Host", "x"),
            header("a b", "x"),
            header("x-y", "hidden\n"),
            header("Authorization", "hidden"),
        ]
        .join("\n")
    );
}
