//! What names a target: an ARN, a name or a URL.

use aws_config::{Region, SdkConfig};
use cloakroom_core::text::Mistake;

/// An ARN, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arn<'a> {
    pub(super) region: &'a str,
    pub(super) account: &'a str,
    /// What follows the account.
    pub(super) resource: &'a str,
}

/// The parts of an ARN of this service. `None` when it is none.
pub(super) fn arn<'a>(text: &'a str, service: &str) -> Option<Arn<'a>> {
    let mut parts = text.splitn(6, ':');
    let is_arn = parts.next() == Some("arn");
    let _partition = parts.next()?;
    let is_service = parts.next() == Some(service);
    let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
    let arn = Arn {
        region,
        account,
        resource,
    };
    (is_arn && is_service && !resource.is_empty()).then_some(arn)
}

/// As [`arn`], for targets that have to be named by one.
pub(super) fn arn_of<'a>(text: &'a str, service: &str, example: &str) -> Result<Arn<'a>, Mistake> {
    arn(text, service).ok_or_else(|| {
        Mistake::new(
            format!("{text:?} is not the ARN of a target in {service}"),
            format!("write it as in `{example}`"),
        )
    })
}

/// The SDK's configuration for the Region in which a target is.
pub(super) fn in_region_of(sdk: &SdkConfig, arn: Option<&Arn<'_>>) -> SdkConfig {
    match arn {
        Some(arn) if !arn.region.is_empty() => sdk
            .to_builder()
            .region(Region::new(arn.region.to_owned()))
            .build(),
        _ => sdk.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_comes_apart() {
        let text = "arn:aws:lambda:eu-west-1:111122223333:function:billing:live";
        let expected = Arn {
            region: "eu-west-1",
            account: "111122223333",
            resource: "function:billing:live",
        };
        assert_eq!(arn(text, "lambda"), Some(expected));
        for other in [
            "",
            "billing",
            "arn:aws:sqs:eu-west-1:1:x",
            "arn:aws:lambda:x",
        ] {
            assert_eq!(arn(other, "lambda"), None, "{other}");
        }
        let mistake = arn_of("billing", "sqs", "arn:aws:sqs:…").unwrap_err();
        assert!(mistake.to_string().contains("arn:aws:sqs:…"));
    }
}
