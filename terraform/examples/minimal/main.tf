# The least there is: one source, one queue.

module "cloakroom" {
  source = "../.."

  config_file      = "${path.module}/cloakroom.yaml"
  architecture     = var.architecture
  function_package = var.function_package

  # For a trial: `terraform destroy` takes everything away, payloads and secrets included.
  deletion_protection  = false
  force_destroy        = true
  secret_recovery_days = 0
}
