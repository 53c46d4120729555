output "webhook_url" {
  description = "What the shop is told to send to."
  value       = module.cloakroom.ingest_urls["orders"]
}

output "queue_url" {
  description = "Where the warehouse takes orders from."
  value       = module.cloakroom.queue_urls["orders-warehouse.fifo"]
}

output "consumer_policy_arn" {
  description = "Policy to attach to the role of the warehouse."
  value       = aws_iam_policy.warehouse.arn
}

output "secrets_to_fill" {
  description = "Secrets that need a value before the first webhook."
  value       = module.cloakroom.secrets_to_fill
}

output "dashboard_url" {
  description = "How it is going."
  value       = module.cloakroom.dashboard_url
}
