# Secrets are created empty: their values never pass through Terraform, nor into its state.

locals {
  own_secrets = toset([
    for reference in local.references : trimprefix(reference, "aws-secret:")
    if var.create_secrets && startswith(reference, "aws-secret:") && !startswith(reference, "aws-secret:arn:")
  ])
}

resource "aws_secretsmanager_secret" "this" {
  for_each = local.own_secrets

  name                    = each.key
  description             = "Of the Cloakroom deployment ${var.name}"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.secret_recovery_days
}
