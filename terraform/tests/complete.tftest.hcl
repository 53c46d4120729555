# The plan of the complete example's configuration, with everything that is optional.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name             = "production"
  config_file      = "examples/complete/cloakroom.yaml"
  function_package = "tests/fixtures/functions.zip"
  kms_key_arn      = "arn:aws:kms:eu-west-1:111122223333:key/00000000-0000-4000-8000-000000000000"

  functions = {
    ingest  = { memory_mb = 1024, reserved_concurrency = 200 }
    deliver = { timeout_s = 180 }
  }
  deliver_concurrency = 80
  log_retention_days  = 365
  vpc = {
    subnet_ids         = ["subnet-1", "subnet-2"]
    security_group_ids = ["sg-1"]
  }

  throttling        = { rate_per_s = 2000, burst = 4000 }
  source_throttling = { shop = { rate_per_s = 200, burst = 400 } }
  custom_domain = {
    name            = "hooks.example.com"
    certificate_arn = "arn:aws:acm:eu-west-1:111122223333:certificate/00000000-0000-4000-8000-000000000001"
    zone_id         = "Z1"
    truststore_uri  = "s3://truststore/clients.pem"
  }
  jwt = {
    issuer   = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_EXAMPLE"
    audience = ["cloakroom"]
    sources  = { partner = { scopes = ["webhooks/send"] } }
  }
  bus_rules = {
    crm = {
      bus             = "production-webhooks"
      pattern         = "{\"source\":[\"cloakroom.shop\"]}"
      api_destination = { url = "https://crm.example/hooks", rate_per_s = 20 }
    }
    archive = {
      bus        = "production-webhooks"
      pattern    = "{\"source\":[\"cloakroom.transfers\"]}"
      target_arn = "arn:aws:sqs:eu-west-1:111122223333:archive"
    }
  }
  queues = { "production-ledger.fifo" = { visibility_timeout_s = 180, retention_days = 7 } }
  alarms = { emails = ["operators@example.com"], doorbell_age_s = 300 }
}

run "api" {
  command = plan

  assert {
    condition = toset(keys(aws_apigatewayv2_route.source)) == toset(flatten([
      for source in ["transfers", "shop", "partner"] : ["POST /in/${source}", "POST /in/${source}/uploads"]
    ]))
    error_message = "There are routes for each source."
  }

  assert {
    condition     = toset(keys(aws_apigatewayv2_route.plain)) == toset(["GET /healthz", "GET /readyz", "ANY /v1/{proxy+}"])
    error_message = "With an admin token there is an API for operators."
  }

  assert {
    condition     = [for route in ["POST /in/partner", "POST /in/partner/uploads", "POST /in/shop"] : aws_apigatewayv2_route.source[route].authorization_type] == ["JWT", "JWT", "NONE"]
    error_message = "Tokens are asked of the sources that are named, for their uploads too."
  }

  assert {
    condition     = aws_apigatewayv2_route.source["POST /in/partner"].authorization_scopes == toset(["webhooks/send"])
    error_message = "The scope is asked for."
  }

  assert {
    condition     = aws_apigatewayv2_authorizer.jwt[0].authorizer_type == "JWT" && one(aws_apigatewayv2_authorizer.jwt[0].jwt_configuration).issuer == "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_EXAMPLE"
    error_message = "The issuer's tokens are taken."
  }

  assert {
    condition     = aws_apigatewayv2_stage.this.default_route_settings[0].throttling_rate_limit == 2000
    error_message = "The API is throttled as asked."
  }

  assert {
    condition     = { for settings in aws_apigatewayv2_stage.this.route_settings : settings.route_key => settings.throttling_rate_limit } == { "POST /in/shop" = 200, "POST /in/shop/uploads" = 200 }
    error_message = "A source has limits of its own."
  }

  assert {
    condition     = aws_apigatewayv2_api.this.disable_execute_api_endpoint && one(aws_apigatewayv2_domain_name.this[0].mutual_tls_authentication).truststore_uri == "s3://truststore/clients.pem"
    error_message = "With client certificates there is no way around them."
  }

  assert {
    condition     = one(aws_apigatewayv2_domain_name.this[0].domain_name_configuration).security_policy == "TLS_1_2" && aws_route53_record.this[0].name == "hooks.example.com"
    error_message = "The domain takes modern TLS, and has a record."
  }

  assert {
    condition     = output.ingest_urls["transfers"] == "https://hooks.example.com/in/transfers"
    error_message = "Providers are told the domain."
  }

  assert {
    condition     = aws_cloudwatch_log_group.access.retention_in_days == 365
    error_message = "Logs are kept as asked."
  }
}

run "functions" {
  command = plan

  assert {
    condition     = aws_sqs_queue.doorbells.visibility_timeout_seconds == 6 * 180
    error_message = "The queue follows the function's timeout."
  }

  assert {
    condition     = aws_lambda_event_source_mapping.doorbells.scaling_config[0].maximum_concurrency == 80
    error_message = "The load on consumers is limited."
  }

  assert {
    condition     = sort(keys(module.function["ingest"].environment)) == sort(["CLOAKROOM_BUCKET", "CLOAKROOM_CONFIG", "CLOAKROOM_DOORBELLS", "CLOAKROOM_LOG", "CLOAKROOM_TABLE", "CLOAKROOM_TIMERS"])
    error_message = "With an API for operators ingest rings."
  }
}

run "queues" {
  command = plan

  assert {
    condition     = aws_sqs_queue.consumer["production-ledger.fifo"].visibility_timeout_seconds == 180 && aws_sqs_queue.consumer["production-ledger.fifo"].message_retention_seconds == 604800
    error_message = "A consumer's queue treats it as asked."
  }
}

run "encryption" {
  command = plan

  assert {
    condition     = aws_dynamodb_table.ledger.server_side_encryption[0].kms_key_arn == var.kms_key_arn && aws_dynamodb_table.ledger.server_side_encryption[0].enabled
    error_message = "The key encrypts the table."
  }

  assert {
    condition = (
      one(aws_s3_bucket_server_side_encryption_configuration.claims.rule).apply_server_side_encryption_by_default[0].kms_master_key_id == var.kms_key_arn
      && one(aws_s3_bucket_server_side_encryption_configuration.claims.rule).bucket_key_enabled
    )
    error_message = "The key encrypts the bucket."
  }

  assert {
    condition     = aws_sqs_queue.consumer["production-ledger.fifo"].kms_master_key_id == var.kms_key_arn && aws_sqs_queue.undelivered[0].kms_master_key_id == var.kms_key_arn
    error_message = "The key encrypts the queues that hold events."
  }

  assert {
    condition     = aws_cloudwatch_event_bus.this["production-webhooks"].kms_key_identifier == var.kms_key_arn
    error_message = "The key encrypts the bus."
  }

  assert {
    condition     = alltrue([for secret in aws_secretsmanager_secret.this : secret.kms_key_id == var.kms_key_arn])
    error_message = "The key encrypts the secrets."
  }

  assert {
    condition     = aws_sqs_queue.doorbells.sqs_managed_sse_enabled
    error_message = "Doorbells hold no payloads."
  }
}

run "secrets" {
  command = plan

  assert {
    condition     = output.secrets_to_fill == tolist(["production/admin", "production/billing", "production/partner", "production/shop", "production/transfers"])
    error_message = "Every secret that the configuration names is created."
  }
}

run "bus" {
  command = plan

  assert {
    condition     = keys(aws_cloudwatch_event_bus.this) == ["production-webhooks"]
    error_message = "The bus that the configuration names is created."
  }

  assert {
    condition     = aws_cloudwatch_event_api_destination.this["crm"].invocation_rate_limit_per_second == 20 && keys(aws_cloudwatch_event_api_destination.this) == ["crm"]
    error_message = "The API destination is limited."
  }

  assert {
    condition     = alltrue([for target in aws_cloudwatch_event_target.bus : target.input_path == "$.detail" && length(target.dead_letter_config) == 1])
    error_message = "Targets get the CloudEvent itself, and what they do not take is kept."
  }

  assert {
    condition     = aws_cloudwatch_event_target.bus["archive"].arn == "arn:aws:sqs:eu-west-1:111122223333:archive"
    error_message = "A rule may have another target."
  }

  assert {
    condition     = output.connections_to_fill == tolist(["production-crm"])
    error_message = "The API key is filled in by hand."
  }
}

run "operators" {
  command = plan

  assert {
    condition     = keys(aws_sns_topic_subscription.operators) == ["operators@example.com"]
    error_message = "Operators are told by mail."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["old-doorbells"].threshold == 300
    error_message = "Thresholds are the deployment's."
  }

  assert {
    condition = toset(flatten([
      for query in aws_cloudwatch_metric_alarm.this["given-up"].metric_query : [for metric in query.metric : metric.dimensions.QueueName]
    ])) == toset(["production-functions-dead", "production-timers-dead", "production-rules-dead"])
    error_message = "Every dead-letter queue that nobody reads is watched."
  }
}
