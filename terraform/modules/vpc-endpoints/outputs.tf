output "security_group_id" {
  description = "Security group of the interface endpoints."
  value       = aws_security_group.this.id
}

output "prefix_list_ids" {
  description = "Prefix lists of S3 and DynamoDB, for the egress rules of the functions' security group."
  value       = { for service, endpoint in aws_vpc_endpoint.gateway : service => endpoint.prefix_list_id }
}
