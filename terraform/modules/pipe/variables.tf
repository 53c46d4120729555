variable "name" {
  description = "Name of the deployment, before the pipe's own."
  type        = string
}

variable "file" {
  description = "Path of the pipe's definition, in the shape of CreatePipe."
  type        = string

  validation {
    condition     = can(jsondecode(file(var.file)).SourceParameters.DynamoDBStreamParameters)
    error_message = "The definition must be a JSON file in the shape of CreatePipe, with a DynamoDB stream as its source."
  }
}

variable "stream_arn" {
  description = "ARN of the stream of the ledger's table."
  type        = string
}

variable "function_arn" {
  description = "ARN of the function that is called."
  type        = string
}

variable "dead_letter_arn" {
  description = "ARN of the standard queue for what was given up."
  type        = string
}

variable "place" {
  description = "Where it is: for the ARNs of what has no resource here."
  type = object({
    account   = string
    region    = string
    partition = string
  })
}

variable "kms_key_arn" {
  description = "ARN of the KMS key that the table is encrypted with, where it is one of the account's own."
  type        = string
  default     = null
}
