# Secrets are created empty: their values never pass through Terraform, nor into its state.

locals {
  own_secrets = toset([
    for reference in local.references : trimprefix(reference, "aws-secret:")
    if var.create_secrets && startswith(reference, "aws-secret:") && !startswith(reference, "aws-secret:arn:")
  ])
}

resource "aws_secretsmanager_secret" "this" {
  #checkov:skip=CKV2_AWS_57:the other half of each secret is with a provider or a consumer, so no function here can rotate it; both versions are accepted while it is rotated
  for_each = local.own_secrets

  name                    = each.key
  description             = "Of the Cloakroom deployment ${var.name}"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.secret_recovery_days
}
