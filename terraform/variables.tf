variable "name" {
  description = "Name of the deployment, before the names of all it creates. Several may live in one account and Region under different names."
  type        = string
  default     = "cloakroom"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,22}[a-z0-9]$", var.name))
    error_message = "The name must be 2 to 24 lower-case letters, digits and hyphens, begin with a letter and not end with a hyphen."
  }
}

variable "config_file" {
  description = "Path of the deployment's cloakroom.yaml. The functions read this very file, byte for byte."
  type        = string

  validation {
    condition     = can(yamldecode(file(var.config_file)))
    error_message = "The configuration must be a file with YAML in it. `cloakroom config check` tells what is wrong with one."
  }
}

variable "architecture" {
  description = "Instruction set of the functions: `arm64` (a fifth cheaper) or `x86_64`."
  type        = string
  default     = "arm64"

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "The architecture must be `arm64` or `x86_64`."
  }
}

variable "function_package" {
  description = "Path of the zip with the functions. Default: where `./build-lambdas` puts the one for `architecture`."
  type        = string
  default     = null

  validation {
    condition     = var.function_package == null ? true : endswith(var.function_package, ".zip")
    error_message = "The package must be a zip, as a release has it or `./build-lambdas` makes it."
  }
}

variable "functions" {
  description = "Memory, time and concurrency of each function. A reserved concurrency of -1 reserves none; 0 stops the function."
  type = object({
    ingest = optional(object({
      memory_mb            = optional(number, 512)
      timeout_s            = optional(number, 29)
      reserved_concurrency = optional(number, -1)
    }), {})
    resequence = optional(object({
      memory_mb            = optional(number, 256)
      timeout_s            = optional(number, 60)
      reserved_concurrency = optional(number, -1)
    }), {})
    dispatch = optional(object({
      memory_mb            = optional(number, 256)
      timeout_s            = optional(number, 60)
      reserved_concurrency = optional(number, -1)
    }), {})
    deliver = optional(object({
      memory_mb            = optional(number, 256)
      timeout_s            = optional(number, 120)
      reserved_concurrency = optional(number, -1)
    }), {})
    sweep = optional(object({
      memory_mb            = optional(number, 512)
      timeout_s            = optional(number, 120)
      reserved_concurrency = optional(number, -1)
    }), {})
    upload = optional(object({
      memory_mb            = optional(number, 512)
      timeout_s            = optional(number, 900)
      reserved_concurrency = optional(number, -1)
    }), {})
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for f in values(var.functions) : f.memory_mb >= 128 && f.memory_mb <= 10240])
    error_message = "Memory must be 128 to 10240 MB."
  }

  validation {
    condition     = alltrue([for f in values(var.functions) : f.timeout_s >= 10 && f.timeout_s <= 900])
    error_message = "Timeouts must be 10 to 900 seconds."
  }

  validation {
    condition     = alltrue([for f in values(var.functions) : f.reserved_concurrency >= -1])
    error_message = "Reserved concurrency must be -1 (none reserved) or more."
  }

  validation {
    condition     = var.functions.ingest.timeout_s <= 30
    error_message = "The timeout of ingest must be at most 30 seconds: API Gateway gives up by then, and the provider would be told nothing."
  }
}

variable "log_level" {
  description = "What the functions log: `error`, `warn`, `info`, `debug`, or more precise directives such as `info,cloakroom_aws=debug`. Below `warn` the alarms about streams see nothing."
  type        = string
  default     = "info"

  validation {
    condition     = can(regex("^[a-z0-9_=,:]+$", var.log_level))
    error_message = "The log level must be a level such as `info`, or a list of directives such as `info,cloakroom_aws=debug`."
  }
}

variable "log_retention_days" {
  description = "How long logs are kept. They hold neither payloads nor secrets."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "The retention must be one that CloudWatch Logs knows: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, … days."
  }
}

variable "kms_key_arn" {
  description = "KMS key for what holds payloads and secrets: bucket, table, consumer queues, buses and secrets. Default: the keys of the services themselves. The key's policy must let EventBridge use it where the configuration creates a bus."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null ? true : can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "The key must be the ARN of a KMS key (not of an alias)."
  }
}

variable "deletion_protection" {
  description = "Whether AWS refuses to delete the table. Must be switched off (and applied) before a destroy."
  type        = bool
  default     = true
  nullable    = false
}

variable "force_destroy" {
  description = "Whether a destroy may delete the bucket with the payloads in it. Must be applied before the destroy."
  type        = bool
  default     = false
  nullable    = false
}

variable "create_secrets" {
  description = "Whether the secrets that the configuration names (`aws-secret:NAME`) are created here, empty. Otherwise they must be there already. Secrets named by ARN are never created."
  type        = bool
  default     = true
  nullable    = false
}

variable "secret_recovery_days" {
  description = "How long a destroyed secret can be restored, 7 to 30 days, or 0 to delete it at once. Until then its name is taken."
  type        = number
  default     = 7

  validation {
    condition     = var.secret_recovery_days == 0 || (var.secret_recovery_days >= 7 && var.secret_recovery_days <= 30)
    error_message = "The recovery time must be 0, or 7 to 30 days."
  }
}
