variable "name" {
  description = "Name of the deployment, before the names of the endpoints."
  type        = string
}

variable "vpc_id" {
  description = "The VPC."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets of the interface endpoints, one in each zone where functions are."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "There must be a subnet."
  }
}

variable "route_table_ids" {
  description = "Route tables of the functions' subnets, for the endpoints of S3 and DynamoDB (which cost nothing)."
  type        = list(string)

  validation {
    condition     = length(var.route_table_ids) > 0
    error_message = "There must be a route table."
  }
}

variable "client_security_group_id" {
  description = "Security group of whoever may use the interface endpoints: the functions'."
  type        = string
}

variable "services" {
  description = "Services with an interface endpoint, each by the hour and zone. `sqs` and `secretsmanager` are always needed; add what subscriptions send to: `events`, `sns`, `lambda`, `states`."
  type        = set(string)
  default     = ["sqs", "secretsmanager"]

  validation {
    condition     = length(setsubtract(var.services, ["sqs", "secretsmanager", "events", "sns", "lambda", "states", "logs", "ecr.api", "ecr.dkr"])) == 0
    error_message = "The services must be among sqs, secretsmanager, events, sns, lambda, states, and logs, ecr.api, ecr.dkr for the large lane."
  }
}
