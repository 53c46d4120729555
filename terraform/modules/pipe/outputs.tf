output "name" {
  description = "Name of the pipe."
  value       = aws_pipes_pipe.this.name
}

output "role_arn" {
  description = "ARN of the pipe's role."
  value       = aws_iam_role.this.arn
}

output "policy" {
  description = "The role's policy, as JSON."
  value       = aws_iam_role_policy.this.policy
}
