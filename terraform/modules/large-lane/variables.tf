variable "deployment" {
  description = "The deployment that it belongs to: the output `large_lane` of the main module."
  type = object({
    name          = string
    table         = object({ name = string, arn = string })
    bucket        = object({ name = string, arn = string })
    config_url    = string
    doorbells     = object({ url = string, arn = string })
    timers        = object({ url = string, arn = string })
    secret_arns   = list(string)
    has_api       = bool
    kms_key_arn   = string
    log_level     = string
    log_retention = number
    alarm_topics  = list(string)
  })

  validation {
    condition     = var.deployment.has_api
    error_message = "A server that is reached from outside must ask operators for a token: set `server.admin_token` in the configuration."
  }
}

variable "vpc_id" {
  description = "The VPC."
  type        = string
}

variable "public_subnet_ids" {
  description = "Subnets of the load balancer, in at least two zones."
  type        = list(string)

  validation {
    condition     = length(var.public_subnet_ids) >= 2
    error_message = "A load balancer needs subnets in two zones."
  }
}

variable "private_subnet_ids" {
  description = "Subnets of the servers. They need a way to S3, DynamoDB, SQS, Secrets Manager, CloudWatch Logs and the image's registry: a NAT gateway, or endpoints."
  type        = list(string)

  validation {
    condition     = length(var.private_subnet_ids) > 0
    error_message = "There must be a subnet."
  }
}

variable "certificate_arn" {
  description = "ARN of an ACM certificate for the name that providers send to."
  type        = string

  validation {
    condition     = can(regex("^arn:[^:]+:acm:", var.certificate_arn))
    error_message = "The certificate must be the ARN of one in ACM."
  }
}

variable "image" {
  description = "The server's image, as the repository's Dockerfile makes it, with a digest or a version as its tag."
  type        = string

  validation {
    condition     = can(regex("(@sha256:[0-9a-f]{64}|:[^:/]+)$", var.image)) && !endswith(var.image, ":latest")
    error_message = "The image must name a version or a digest, so that every server is the same."
  }
}

variable "image_repository_arn" {
  description = "ARN of the ECR repository of the image; null for a public image."
  type        = string
  default     = null
}

variable "architecture" {
  description = "Instruction set of the image: `arm64` or `x86_64`."
  type        = string
  default     = "arm64"

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "The architecture must be `arm64` or `x86_64`."
  }
}

variable "size" {
  description = "CPU units (1024 is one) and memory of a server, as Fargate pairs them, and how many servers there are. An upload under way holds at most 25 MiB."
  type = object({
    cpu       = optional(number, 512)
    memory_mb = optional(number, 1024)
    servers   = optional(number, 2)
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096, 8192, 16384], var.size.cpu)
    error_message = "The CPU units must be 256, 512, 1024, 2048, 4096, 8192 or 16384."
  }

  validation {
    condition     = var.size.memory_mb >= 2 * var.size.cpu && var.size.memory_mb <= 8 * var.size.cpu
    error_message = "Fargate has 2 to 8 MB of memory for each CPU unit."
  }

  validation {
    condition     = var.size.servers >= 1 && floor(var.size.servers) == var.size.servers
    error_message = "There must be a server."
  }
}

variable "allowed_cidrs" {
  description = "Addresses that may send: all, unless the providers publish theirs."
  type        = set(string)
  default     = ["0.0.0.0/0"]

  validation {
    condition     = alltrue([for cidr in var.allowed_cidrs : can(cidrhost(cidr, 0))])
    error_message = "Each must be a range of addresses such as `203.0.113.0/24`."
  }
}

variable "web_acl_arn" {
  description = "ARN of a WAF web ACL for the load balancer; null for none."
  type        = string
  default     = null
}

variable "access_log_bucket" {
  description = "Name of a bucket for the load balancer's access logs, whose policy lets the load balancer write there; null for none."
  type        = string
  default     = null
}

variable "deletion_protection" {
  description = "Whether AWS refuses to delete the load balancer, to which providers send."
  type        = bool
  default     = true
  nullable    = false
}
