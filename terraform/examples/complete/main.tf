# Everything there is: a domain with client certificates, tokens, limits, a key of one's own, a VPC, the large lane.

module "cloakroom" {
  source = "../.."

  name             = "production"
  config_file      = "${path.module}/cloakroom.yaml"
  architecture     = var.architecture
  function_package = var.function_package
  kms_key_arn      = aws_kms_key.this.arn

  functions = {
    ingest  = { memory_mb = 1024, reserved_concurrency = 200 }
    deliver = { timeout_s = 180, reserved_concurrency = 100 }
    sweep   = { reserved_concurrency = 5 }
  }
  deliver_concurrency = 80
  log_retention_days  = 365
  vpc = {
    subnet_ids         = var.network.private_subnet_ids
    security_group_ids = [aws_security_group.functions.id]
  }

  throttling        = { rate_per_s = 2000, burst = 4000 }
  source_throttling = { shop = { rate_per_s = 200, burst = 400 } }
  custom_domain     = var.domain
  jwt = {
    issuer   = var.token_issuer
    audience = ["cloakroom"]
    sources  = { partner = { scopes = ["webhooks/send"] } }
  }

  bus_rules = {
    crm = {
      bus     = "production-webhooks"
      pattern = jsonencode({ source = ["cloakroom.shop"], detail = { type = [{ prefix = "customers/" }] } })
      api_destination = {
        url        = "https://crm.example/hooks"
        rate_per_s = 20
      }
    }
  }

  alarms = {
    emails         = [var.alarm_email]
    doorbell_age_s = 300
  }
}

module "large_lane" {
  source = "../../modules/large-lane"

  deployment           = module.cloakroom.large_lane
  vpc_id               = var.network.vpc_id
  public_subnet_ids    = var.network.public_subnet_ids
  private_subnet_ids   = var.network.private_subnet_ids
  certificate_arn      = var.large_lane_certificate_arn
  image                = var.image
  image_repository_arn = var.image_repository_arn
  architecture         = var.architecture
}
