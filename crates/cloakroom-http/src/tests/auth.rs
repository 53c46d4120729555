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

/// Every route in the two tables of routes, as (path, is it a POST).
fn routes() -> Vec<(&'static str, bool)> {
    let tables = [include_str!("../api/mod.rs"), include_str!("../app.rs")];
    let routes = tables.into_iter().flat_map(|table| {
        table.split(".route(").skip(1).map(|route| {
            let path = route.split('"').nth(1).unwrap();
            let method = route.split(',').nth(1).unwrap().trim();
            let is_post = method.starts_with("post(");
            assert!(is_post || method.starts_with("get("), "{path}: {method}");
            (path, is_post)
        })
    });
    routes.collect()
}

/// What everybody may reach, each for a reason of its own: a signature, a probe, a scraper, an explanation.
const OPEN: [&str; 7] = [
    "/in/{source}",
    "/in/{source}/uploads",
    "/v1/claims/{id}",
    "/healthz",
    "/readyz",
    "/metrics",
    "/problems/{name}",
];

#[tokio::test]
async fn every_other_route_needs_the_token() {
    let server = guarded().await;
    let (open, closed): (Vec<_>, Vec<_>) = routes()
        .into_iter()
        .partition(|(path, _)| OPEN.contains(path));
    assert_eq!(open.len(), OPEN.len(), "an open route is gone: {open:?}");
    assert!(
        closed.len() >= 20,
        "the tables are read wrongly: {closed:?}"
    );
    let nowhere = [("/v1/no/such/thing", false), ("/v1/no/such/thing", true)];
    for (path, is_post) in closed.into_iter().chain(nowhere) {
        let path = path.replace(['{', '}'], "");
        let request = match is_post {
            true => Request::post(&path),
            false => Request::get(&path),
        };
        let reply = server.send(request.body(whole("")).unwrap()).await;
        reply.problem(401, "unauthorized");
        assert!(reply.header("www-authenticate").starts_with("Bearer"));
        let reply = get_with(&server, &path, "Bearer open sesame?").await;
        let wrong_method = is_post && reply.status == 405;
        assert!(wrong_method || reply.status == 401, "{path}: {reply:?}");
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

#[tokio::test]
async fn without_a_token_only_names_that_nobody_else_can_have_are_answered() {
    let server = Setup::new([source("shop")]).start().await;
    let ask = async |path: &str, host: &str| {
        let request = Request::get(path).header("host", host);
        server.send(request.body(whole("")).unwrap()).await
    };
    for host in [
        "127.0.0.1",
        "127.0.0.1:8080",
        "[::1]:8080",
        "localhost",
        "LOCALHOST:8080",
        "hooks.example",
        "Hooks.Example:443",
    ] {
        ask("/v1/streams", host).await.ok(200);
    }
    for host in [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "hooks.example.evil",
        "localhost:80@evil.example",
        "127.0.0.1:80:80",
        "[::1].evil.example",
        "",
        "\u{1F600}",
    ] {
        for path in ["/v1/streams", "/v1/no/such/thing", "/metrics"] {
            ask(path, host).await.problem(403, "foreign-host");
        }
    }
    // Nobody can make a browser send neither a name nor an address.
    let bare = Request::get("http://evil.example/v1/streams").body(whole(""));
    server
        .send(bare.unwrap())
        .await
        .problem(403, "foreign-host");
    server.get("/v1/streams").await.ok(200);
    // Probes and providers are none of the API.
    assert_eq!(ask("/healthz", "evil.example").await.status, 200);
}

#[tokio::test]
async fn with_a_token_the_name_does_not_matter() {
    let server = guarded().await;
    let request = Request::get("/v1/streams")
        .header("host", "cloakroom.internal")
        .header("authorization", "Bearer open sesame");
    server.send(request.body(whole("")).unwrap()).await.ok(200);
}
