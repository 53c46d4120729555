//! A secret is rotated while webhooks come in.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use aws_sdk_secretsmanager::Client;
use cloakroom_aws::ClientOptions;
use cloakroom_aws::secrets::TTL;
use cloakroom_core::config::Config;
use cloakroom_core::secret::{Secret, SecretRef};
use cloakroom_core::time::Timestamp;
use cloakroom_core::verify::{RequestHead, Scheme, SchemeName, Signer};
use cloakroom_emulators::MiniStack;
use cloakroom_engine::catalog::{Catalog, Source};
use cloakroom_engine::ports::Clock;
use cloakroom_lambda::{Role, Vault};

/// A clock that stands still until the test moves it.
#[derive(Default)]
struct ByHand(AtomicI64);

#[async_trait]
impl Clock for ByHand {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed))
    }

    async fn sleep_until(&self, _: Timestamp) {
        std::future::pending::<()>().await;
    }
}

/// Whether a webhook that is signed with `secret` is taken for genuine.
fn takes(source: &Source, secret: &str) -> bool {
    let body = b"{}";
    let secret = Secret::new(secret.as_bytes().to_vec());
    let signer = Signer::new(&Scheme::new(SchemeName::Github), &secret).unwrap();
    let unsigned: &[(String, String)] = &[];
    let head = |headers| RequestHead {
        method: "POST",
        url: "/in/repositories",
        headers,
    };
    let now = Timestamp::default();
    let signed = signer.sign(&head(&unsigned), "1", now, body).unwrap();
    let signed = signed.as_slice();
    let mut verification = source.verifier.begin(&head(&signed), now).unwrap();
    verification.update(body);
    verification.finish().is_ok()
}

#[tokio::test]
async fn both_secrets_hold_while_one_is_rotated() {
    let options = ClientOptions::emulator(MiniStack::shared().endpoint(), MiniStack::REGION);
    let sdk = options.load().await.unwrap();
    let client = Client::new(&sdk);
    let made = client.create_secret().name("repositories");
    made.secret_string("first secret").send().await.unwrap();
    let text = "sources: { repositories: { verify: { scheme: github, secrets: ['aws-secret:repositories'] } } }";
    let config = Config::parse(text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let clock = Arc::new(ByHand::default());
    let vault = Vault::open(
        &sdk,
        &config,
        Role::Upload.secrets(&config),
        Arc::<ByHand>::clone(&clock),
    )
    .await;
    let of_another = Vault::open(&sdk, &config, Vec::new(), Arc::<ByHand>::clone(&clock)).await;
    let reference = config.source_secrets().next().unwrap();
    let told = of_another.resolve(reference).unwrap_err();
    assert_eq!(told, "it was not asked for");
    let resolve = |reference: &SecretRef| vault.resolve(reference);
    let catalog = Catalog::build(&config, Some(&resolve), |_, _| {
        unreachable!("nobody subscribes")
    });
    let catalog = catalog.unwrap();
    let source = catalog.source("repositories").unwrap();
    assert!(takes(source, "first secret") && !takes(source, "second secret"));

    let put = client.put_secret_value().secret_id("repositories");
    put.secret_string("second secret").send().await.unwrap();
    vault.refresh(&catalog).await;
    assert!(
        !takes(source, "second secret"),
        "what was read is still fresh"
    );
    let later = i64::try_from(TTL.as_micros()).unwrap();
    clock.0.fetch_add(later, Ordering::Relaxed);
    vault.refresh(&catalog).await;
    assert!(takes(source, "first secret") && takes(source, "second secret"));
    assert!(!takes(source, "third secret"));

    // A secret that is gone leaves the source as it was.
    let gone = client.delete_secret().secret_id("repositories");
    gone.force_delete_without_recovery(true)
        .send()
        .await
        .unwrap();
    clock.0.fetch_add(later, Ordering::Relaxed);
    vault.refresh(&catalog).await;
    assert!(takes(source, "second secret"));
}
