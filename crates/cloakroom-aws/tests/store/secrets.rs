//! Secrets Manager, on MiniStack.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_secretsmanager::Client;
use cloakroom_aws::Secrets;
use cloakroom_aws::secrets::{SecretError, TTL};
use cloakroom_core::secret::SecretRef;
use cloakroom_core::time::Timestamp;
use cloakroom_engine::ports::Clock;

use crate::support::{fresh, ministack};

/// A clock that the test moves.
#[derive(Default)]
struct ByHand(AtomicI64);

impl ByHand {
    fn pass(&self, time: Duration) {
        let micros = i64::try_from(time.as_micros()).unwrap();
        self.0.fetch_add(micros, Ordering::Relaxed);
    }
}

#[async_trait]
impl Clock for ByHand {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed))
    }

    async fn sleep_until(&self, _: Timestamp) {
        std::future::pending::<()>().await;
    }
}

async fn all(secrets: &Secrets, name: &str) -> Vec<String> {
    let rotation = secrets.get(name).await.unwrap();
    let text = |secret: &cloakroom_core::secret::Secret| {
        String::from_utf8(secret.expose().to_vec()).unwrap()
    };
    rotation.all().map(text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_secret_is_picked_up_and_the_one_before_still_holds() {
    let sdk = ministack();
    let client = Client::new(&sdk);
    let name = fresh("cloakroom/secret");
    let make = client.create_secret().name(&name).secret_string("first");
    let arn = make.send().await.unwrap().arn.unwrap();
    let clock = Arc::new(ByHand::default());
    let secrets = Secrets::new(&sdk, Arc::clone(&clock) as _);
    assert_eq!(all(&secrets, &name).await, ["first"]);
    assert_eq!(all(&secrets, &arn).await, ["first"]);

    let put = client.put_secret_value().secret_id(&name);
    let pending = put.clone().version_stages("AWSPENDING");
    pending.secret_string("second").send().await.unwrap();
    assert_eq!(all(&secrets, &name).await, ["first"], "it is still fresh");
    clock.pass(TTL);
    assert_eq!(all(&secrets, &name).await, ["first", "second"]);

    put.secret_string("third").send().await.unwrap();
    clock.pass(TTL);
    let found = all(&secrets, &name).await;
    assert_eq!(found[0], "third");
    assert!(found.contains(&"first".to_owned()), "{found:?}");
    let shown = format!("{:?}", secrets.get(&name).await.unwrap());
    assert!(!shown.contains("third"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_holds_while_nobody_answers() {
    let stack = cloakroom_emulators::MiniStack::start().unwrap();
    let sdk = ministack();
    let sdk = sdk.into_builder().endpoint_url(stack.endpoint()).build();
    let make = Client::new(&sdk).create_secret().name("s");
    make.secret_string("first").send().await.unwrap();
    let clock = Arc::new(ByHand::default());
    let secrets = Secrets::new(&sdk, Arc::clone(&clock) as _);
    assert_eq!(all(&secrets, "s").await, ["first"]);
    drop(stack);
    clock.pass(TTL);
    assert_eq!(all(&secrets, "s").await, ["first"]);
    let unknown = secrets.get("other").await.unwrap_err();
    assert!(matches!(unknown, SecretError::Unavailable(_)), "{unknown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_not_there_is_told_with_the_remedy() {
    let sdk = ministack();
    let clock = Arc::new(ByHand::default());
    let secrets = Secrets::new(&sdk, Arc::clone(&clock) as _);
    let client = Client::new(&sdk);
    let name = fresh("cloakroom/secret");
    assert_eq!(secrets.get(&name).await, Err(SecretError::Missing));
    let make = client.create_secret().name(&name);
    make.secret_binary(aws_sdk_secretsmanager::primitives::Blob::new([1, 2]))
        .send()
        .await
        .unwrap();

    let references = [
        SecretRef::AwsSecret(name.clone()),
        SecretRef::AwsSecret(format!("{name}-gone")),
        SecretRef::Env("HOME".to_owned()),
    ];
    let failed = secrets.load(&references).await;
    let expected = [(references[1].clone(), SecretError::Missing)];
    assert_eq!(failed, expected.into());
    let found = secrets.remembered(&name).unwrap();
    assert_eq!(found.current.expose(), [1, 2]);
    assert_eq!(secrets.remembered("never asked for"), None);

    let delete = client.delete_secret().secret_id(&name);
    delete
        .force_delete_without_recovery(true)
        .send()
        .await
        .unwrap();
    assert!(secrets.get(&name).await.is_ok());
    clock.pass(TTL);
    assert_eq!(secrets.get(&name).await, Err(SecretError::Missing));
}
