output "ingest_urls" {
  description = "Where providers send webhooks, by source."
  value       = module.cloakroom.ingest_urls
}

output "large_lane_dns_name" {
  description = "What the large lane's name must point to."
  value       = module.large_lane.dns_name
}

output "queue_urls" {
  description = "URLs of the consumers' queues."
  value       = module.cloakroom.queue_urls
}

output "bus_names" {
  description = "Buses that carry webhooks."
  value       = module.cloakroom.bus_names
}

output "secrets_to_fill" {
  description = "Secrets that need a value."
  value       = module.cloakroom.secrets_to_fill
}

output "connections_to_fill" {
  description = "Connections that need an API key."
  value       = module.cloakroom.connections_to_fill
}

output "dashboard_url" {
  description = "How it is going."
  value       = module.cloakroom.dashboard_url
}
