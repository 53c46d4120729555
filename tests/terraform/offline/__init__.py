"""Terraform without a download of the AWS provider and without an account. See README.md beside this package."""
