output "ingest_urls" {
  description = "Where providers send webhooks, by source."
  value       = { for name in keys(local.sources) : name => "${local.address}/in/${name}" }
}

output "api_id" {
  description = "Id of the HTTP API."
  value       = aws_apigatewayv2_api.this.id
}

output "table" {
  description = "Name of the ledger's table."
  value       = aws_dynamodb_table.ledger.name
}

output "bucket" {
  description = "Name of the bucket of the payloads."
  value       = aws_s3_bucket.claims.id
}

output "function_names" {
  description = "Names of the functions, by role."
  value       = { for role, function in module.function : role => function.name }
}

output "queue_urls" {
  description = "URLs of the queues that were created for subscriptions, by the name in the configuration."
  value       = { for name, queue in aws_sqs_queue.consumer : name => queue.url }
}

output "secrets_to_fill" {
  description = "Secrets that were created empty. Each needs a value before the functions that read it can start."
  value       = sort(keys(aws_secretsmanager_secret.this))
}

output "api_url" {
  description = "Address of the API. Operators' commands take it as `--url` where the configuration has an admin token."
  value       = local.address
}

output "queue_arns" {
  description = "ARNs of the queues that were created for subscriptions, by the name in the configuration."
  value       = { for name, queue in aws_sqs_queue.consumer : name => queue.arn }
}

output "bus_names" {
  description = "Names of the buses that were created for subscriptions."
  value       = sort([for bus in aws_cloudwatch_event_bus.this : bus.name])
}

output "connections_to_fill" {
  description = "Connections of API destinations that were created with a placeholder. Each needs its API key (`aws events update-connection`)."
  value       = sort([for connection in aws_cloudwatch_event_connection.this : connection.name])
}

output "custom_domain_target" {
  description = "What the DNS record of the custom domain must point to, where it is not made here; null without a custom domain."
  value       = try(aws_apigatewayv2_domain_name.this[0].domain_name_configuration[0].target_domain_name, null)
}

output "dashboard_url" {
  description = "The dashboard; null where there is none."
  value       = var.dashboard ? "https://${local.region}.console.aws.amazon.com/cloudwatch/home?region=${local.region}#dashboards/dashboard/${var.name}" : null
}

output "alarm_topic_arn" {
  description = "Topic that operators are told over; null where there are no alarms."
  value       = one(aws_sns_topic.operators[*].arn)
}

output "doorbells_url" {
  description = "URL of the doorbell queue."
  value       = aws_sqs_queue.doorbells.url
}

output "timers_url" {
  description = "URL of the timers queue."
  value       = aws_sqs_queue.timers.url
}

output "dead_letter_queue_urls" {
  description = "URLs of the queues of what was given up: by pipes, by callers of functions, of timers."
  value       = { for name, queue in aws_sqs_queue.dead : name => queue.url }
}

output "large_lane" {
  description = "What modules/large-lane needs of this deployment."
  value = {
    name          = var.name
    table         = { name = aws_dynamodb_table.ledger.name, arn = aws_dynamodb_table.ledger.arn }
    bucket        = { name = aws_s3_bucket.claims.id, arn = aws_s3_bucket.claims.arn }
    config_url    = local.environment["CLOAKROOM_CONFIG"]
    doorbells     = { url = aws_sqs_queue.doorbells.url, arn = aws_sqs_queue.doorbells.arn }
    timers        = { url = aws_sqs_queue.timers.url, arn = aws_sqs_queue.timers.arn }
    secret_arns   = local.secret_grants["ingest"]
    has_api       = local.has_api
    kms_key_arn   = var.kms_key_arn
    log_level     = var.log_level
    alarm_topics  = local.topics
    log_retention = var.log_retention_days
  }
}
