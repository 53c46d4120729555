//! What AWS asks for, as a dated data file.

use serde::Deserialize;

/// Prices of one Region on one day, in USD. A name ends with what one buys: a million of something, a GB, an hour, a month.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Prices {
    pub(super) region: String,
    pub(super) date: String,
    about: String,
    pub(super) http_api_million: f64,
    /// A larger request counts as several.
    pub(super) http_api_request_bytes: f64,
    pub(super) lambda_million: f64,
    pub(super) lambda_gb_second_arm64: f64,
    pub(super) lambda_gb_second_x86_64: f64,
    pub(super) dynamodb_write_million: f64,
    pub(super) dynamodb_read_million: f64,
    pub(super) dynamodb_gb_month: f64,
    /// Point-in-time recovery.
    pub(super) dynamodb_backup_gb_month: f64,
    pub(super) streams_read_million: f64,
    pub(super) streams_free_reads: f64,
    pub(super) pipes_million: f64,
    pub(super) sqs_million: f64,
    pub(super) sqs_fifo_million: f64,
    pub(super) sns_fifo_publish_million: f64,
    pub(super) sns_fifo_publish_gb: f64,
    pub(super) eventbridge_million: f64,
    /// A larger message, event or record counts as several.
    pub(super) message_bytes: f64,
    pub(super) s3_put_million: f64,
    pub(super) s3_get_million: f64,
    pub(super) s3_gb_month: f64,
    pub(super) secret_month: f64,
    pub(super) logs_gb: f64,
    pub(super) metric_month: f64,
    pub(super) alarm_month: f64,
    pub(super) dashboard_month: f64,
    pub(super) internet_gb: f64,
    pub(super) alb_hour: f64,
    pub(super) alb_lcu_hour: f64,
    pub(super) public_ipv4_hour: f64,
    pub(super) fargate_vcpu_hour_arm64: f64,
    pub(super) fargate_gb_hour_arm64: f64,
    pub(super) fargate_vcpu_hour_x86_64: f64,
    pub(super) fargate_gb_hour_x86_64: f64,
}

impl Prices {
    /// The prices that come with this version.
    pub(super) fn known() -> Self {
        serde_json::from_str(include_str!("prices.json")).expect("a test reads this file")
    }

    /// Prices from a file of the same form.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }
}
