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
