//! Who may use the API.

use cloakroom_core::secret::Secret;
use http::Request;
use metrics_exporter_prometheus::PrometheusBuilder;

use super::client::{Reply, whole};
use super::harness::{Server, Setup, source};

async fn guarded() -> Server {
    let mut setup = Setup::new([source("shop")]);
    setup.options.admin_token = Some(Secret::new("open sesame\n"));
    setup.start().await
}

async fn get_with(server: &Server, path: &str, authorization: &str) -> Reply {
    let request = Request::get(path).header("authorization", authorization);
    server.send(request.body(whole("")).unwrap()).await
}

#[tokio::test]
async fn the_api_needs_the_token_everywhere() {
    let server = guarded().await;
    for path in [
        "/v1/events/evt_x",
        "/v1/streams",
        "/v1/streams/shop/all",
        "/v1/streams/shop/all/events",
        "/v1/subscriptions",
        "/v1/subscriptions/x",
        "/v1/subscriptions/x/events",
        "/v1/quarantine",
        "/v1/dead-letters",
        "/v1/no/such/thing",
    ] {
        let reply = server.get(path).await;
        reply.problem(401, "unauthorized");
        assert!(reply.header("www-authenticate").starts_with("Bearer"));
    }
    for path in [
        "/v1/streams/shop/all/skip-gap",
        "/v1/subscriptions/x/ack",
        "/v1/subscriptions/x/enable",
        "/v1/subscriptions/x/replay",
        "/v1/subscriptions/x/streams/shop/all/retry",
        "/v1/subscriptions/x/streams/shop/all/skip",
        "/v1/quarantine/x/release",
        "/v1/quarantine/x/discard",
        "/v1/dead-letters/x/redrive",
        "/v1/dead-letters/x/y/redrive",
    ] {
        let request = Request::post(path).body(whole("")).unwrap();
        server.send(request).await.problem(401, "unauthorized");
    }
}

#[tokio::test]
async fn only_the_right_token_opens() {
    let server = guarded().await;
    for authorization in [
        "Bearer open sesam",
        "Bearer open sesame!",
        "Bearer ",
        "Bearer",
        "Basic open sesame",
        "open sesame",
        "",
    ] {
        let reply = get_with(&server, "/v1/streams", authorization).await;
        reply.problem(401, "unauthorized");
    }
    for authorization in ["Bearer open sesame", "bearer open sesame"] {
        let reply = get_with(&server, "/v1/streams", authorization).await;
        reply.ok(200);
    }
    let unknown = get_with(&server, "/v1/no/such/thing", "Bearer open sesame").await;
    unknown.problem(404, "not-found");
}

#[tokio::test]
async fn providers_and_probes_need_no_token() {
    let server = guarded().await;
    server.hook("/in/shop", "{}").await.ok(202);
    assert_eq!(server.get("/healthz").await.status, 200);
    assert_eq!(server.get("/readyz").await.status, 200);
    server.get("/metrics").await.problem(404, "not-found");
}

#[tokio::test]
async fn metrics_are_there_for_whoever_scrapes_them() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let mut setup = Setup::new([source("shop")]);
    setup.options.admin_token = Some(Secret::new("open sesame"));
    setup.metrics = Some(recorder.handle());
    metrics::with_local_recorder(&recorder, || {
        metrics::counter!("cloakroom_http_refusals_total", "problem" => "too-large").increment(3);
    });
    let server = setup.start().await;
    let reply = server.get("/metrics").await;
    assert_eq!(reply.status, 200);
    assert!(
        reply
            .header("content-type")
            .starts_with("text/plain; version=0.0.4")
    );
    let text = std::str::from_utf8(&reply.body).unwrap();
    let line = "cloakroom_http_refusals_total{problem=\"too-large\"} 3";
    assert!(text.contains(line), "{text}");
}

#[tokio::test]
async fn without_a_token_web_pages_of_other_sites_can_change_nothing() {
    let server = Setup::new([source("shop")]).start().await;
    let post = async |site: &str| {
        let request = Request::post("/v1/quarantine/x/discard").header("sec-fetch-site", site);
        server.send(request.body(whole("")).unwrap()).await
    };
    for site in ["cross-site", "same-site"] {
        post(site).await.problem(403, "cross-site");
    }
    for site in ["same-origin", "none"] {
        post(site).await.problem(404, "not-found");
    }
}
