variable "name" {
  description = "Name of the function, of its role and of its log group."
  type        = string
}

variable "description" {
  description = "What the function does."
  type        = string
}

variable "handler" {
  description = "Which role of the one binary it plays."
  type        = string

  validation {
    condition     = contains(["ingest", "resequence", "dispatch", "deliver", "sweep", "upload"], var.handler)
    error_message = "The handler must be one of the binary's roles: ingest, resequence, dispatch, deliver, sweep or upload."
  }
}

variable "package" {
  description = "The zip and its hash, as Lambda writes it."
  type = object({
    path         = string
    hash         = string
    architecture = string
  })
}

variable "size" {
  description = "Memory, time and concurrency; a reserved concurrency of -1 reserves none."
  type = object({
    memory_mb            = number
    timeout_s            = number
    reserved_concurrency = number
  })
}

variable "environment" {
  description = "Environment variables. No secrets: anybody who may look at the function sees them."
  type        = map(string)
}

variable "statements" {
  description = "What the function may do beyond writing its log, by statement id."
  type = map(object({
    actions   = list(string)
    resources = list(string)
    condition = optional(map(map(list(string))))
  }))
}

variable "log_retention_days" {
  description = "How long its log is kept."
  type        = number
}

variable "place" {
  description = "Where it is: for the ARNs of what has no resource here."
  type = object({
    account   = string
    region    = string
    partition = string
  })
}

variable "vpc" {
  description = "Subnets and security groups to place it in; null for outside of any VPC."
  type = object({
    subnet_ids         = list(string)
    security_group_ids = list(string)
  })
  default = null
}

variable "asynchronous" {
  description = "For a function that is called without anybody waiting: how often a failed call is repeated, how old it may grow, and the ARN of the queue for what was given up."
  type = object({
    retries         = number
    age_max_s       = number
    dead_letter_arn = string
  })
  default = null
}
