output "ingest_urls" {
  description = "Where providers send webhooks, by source."
  value       = module.cloakroom.ingest_urls
}

output "queue_urls" {
  description = "URLs of the consumers' queues."
  value       = module.cloakroom.queue_urls
}

output "secrets_to_fill" {
  description = "Secrets that need a value."
  value       = module.cloakroom.secrets_to_fill
}
