"""A provider that speaks Terraform's plugin protocol 6 and serves the AWS provider's schema."""
