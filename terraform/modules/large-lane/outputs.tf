output "dns_name" {
  description = "Name of the load balancer: what the record of the providers' name points to."
  value       = aws_lb.this.dns_name
}

output "zone_id" {
  description = "Route 53 zone of the load balancer, for an alias record."
  value       = aws_lb.this.zone_id
}

output "server_security_group_id" {
  description = "Security group of the servers, e.g. for endpoints."
  value       = aws_security_group.servers.id
}
