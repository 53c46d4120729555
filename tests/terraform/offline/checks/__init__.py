"""What `tests/terraform/check` runs."""
