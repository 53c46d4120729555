//! How AWS is reached: the one place that every client of this crate is configured in.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::SharedCredentialsProvider;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

/// A connection that is not there by then will not come.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// From the start of a request to the first byte of its answer. Long enough for the largest part of an upload;
/// adapters whose requests are small set a shorter one.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// How often the SDK sends one request, the first time included, with exponential backoff and full jitter.
const ATTEMPTS: u32 = 4;

/// Where AWS is, and who asks. What is `None` comes from the usual chain: environment (`AWS_REGION`,
/// `AWS_ENDPOINT_URL`, `AWS_PROFILE`, …), profile files, container and instance metadata.
#[derive(Debug, Clone, Default)]
pub struct ClientOptions {
    /// What sends the requests: [`http_client`], or something around it that counts them or makes them fail.
    pub http_client: Option<SharedHttpClient>,
    /// The Region.
    pub region: Option<String>,
    /// An endpoint for every service.
    pub endpoint_url: Option<String>,
    /// The credentials.
    pub credentials: Option<SharedCredentialsProvider>,
}

impl ClientOptions {
    /// For an emulator at this address, whatever the environment says.
    pub fn emulator(endpoint_url: impl Into<String>, region: impl Into<String>) -> Self {
        let credentials = aws_sdk_dynamodb::config::Credentials::for_tests();
        Self {
            http_client: None,
            region: Some(region.into()),
            endpoint_url: Some(endpoint_url.into()),
            credentials: Some(SharedCredentialsProvider::new(credentials)),
        }
    }

    /// What all clients are made of.
    pub async fn load(self) -> Result<SdkConfig, ClientError> {
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(self.http_client.unwrap_or_else(http_client))
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(CONNECT_TIMEOUT)
                    .read_timeout(READ_TIMEOUT)
                    .build(),
            );
        if let Some(region) = self.region {
            loader = loader.region(Region::new(region));
        }
        if let Some(endpoint_url) = self.endpoint_url {
            loader = loader.endpoint_url(endpoint_url);
        }
        if let Some(credentials) = self.credentials {
            loader = loader.credentials_provider(credentials);
        }
        let config = loader.load().await;
        if config.region().is_none() {
            return Err(ClientError::NoRegion);
        }
        Ok(config)
    }
}

/// The HTTP client that all requests to AWS go through: rustls with ring, and the system's trusted certificates.
pub fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https()
}

/// The configuration for calls that end within this time, with the tries that the SDK makes.
pub(crate) fn within(sdk: &SdkConfig, timeout: Duration) -> SdkConfig {
    let timeouts = sdk
        .timeout_config()
        .map_or_else(TimeoutConfig::builder, TimeoutConfig::to_builder)
        .operation_timeout(timeout)
        .build();
    sdk.to_builder().timeout_config(timeouts).build()
}

/// Why there are no clients.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// No Region is configured anywhere.
    #[error("no AWS Region is configured: set AWS_REGION, or `region` in the AWS profile")]
    NoRegion,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_emulator_is_reached_whatever_the_environment_says() {
        let options = ClientOptions::emulator("http://127.0.0.1:9", "eu-west-1");
        let config = options.load().await.unwrap();
        assert_eq!(config.region().map(Region::as_ref), Some("eu-west-1"));
        assert_eq!(config.endpoint_url(), Some("http://127.0.0.1:9"));
        assert!(config.credentials_provider().is_some());
        assert!(config.http_client().is_some());
        assert_eq!(
            config.retry_config().map(RetryConfig::max_attempts),
            Some(ATTEMPTS)
        );
    }
}
