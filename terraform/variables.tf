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
  description = "What the functions log: `error`, `warn`, `info`, `debug`, or more precise directives such as `info,cloakroom_aws=debug`. Above `info` the alarm about late pipes hears nothing."
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

variable "throttling" {
  description = "How many requests a second the API takes, and how many at once on top. Beyond it providers are answered 429 and come again."
  type = object({
    rate_per_s = optional(number, 500)
    burst      = optional(number, 1000)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.throttling.rate_per_s >= 1 && var.throttling.burst >= 1 && floor(var.throttling.burst) == var.throttling.burst
    error_message = "Rate and burst must be at least 1, and the burst a whole number."
  }
}

variable "source_throttling" {
  description = "Limits of single sources, by name, so that a noisy one leaves the others their share."
  type = map(object({
    rate_per_s = number
    burst      = number
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for limit in values(var.source_throttling) : limit.rate_per_s >= 1 && limit.burst >= 1])
    error_message = "Rate and burst must be at least 1."
  }
}

variable "custom_domain" {
  description = "A domain of one's own for the API: its name, the ARN of an ACM certificate of the same Region, and the Route 53 zone for its record (none is made without). With `truststore_uri` (an S3 URL of PEM certificates) callers must show a client certificate, and the API's own address is switched off, since it would ask for none."
  type = object({
    name               = string
    certificate_arn    = string
    zone_id            = optional(string)
    truststore_uri     = optional(string)
    truststore_version = optional(string)
  })
  default = null

  validation {
    condition     = var.custom_domain == null ? true : can(regex("^([a-z0-9-]+\\.)+[a-z]{2,}$", var.custom_domain.name))
    error_message = "The domain must be a name such as `hooks.example.com`."
  }

  validation {
    condition     = var.custom_domain == null ? true : can(regex("^arn:[^:]+:acm:", var.custom_domain.certificate_arn))
    error_message = "The certificate must be the ARN of one in ACM."
  }

  validation {
    condition     = try(var.custom_domain.truststore_uri, null) == null ? true : can(regex("^s3://[^/]+/.+", var.custom_domain.truststore_uri))
    error_message = "The trust store must be an object in S3: `s3://BUCKET/KEY`."
  }
}

variable "jwt" {
  description = "For providers that use OAuth: an issuer of tokens (a Cognito user pool, or any OIDC issuer), its audiences, and the sources whose callers must show one, with the scopes of which one is needed. Signatures are checked all the same."
  type = object({
    issuer   = string
    audience = set(string)
    sources  = map(object({ scopes = optional(set(string), []) }))
  })
  default = null

  validation {
    condition     = var.jwt == null ? true : startswith(var.jwt.issuer, "https://") && length(var.jwt.audience) > 0
    error_message = "The issuer must be an https URL, and there must be an audience."
  }
}

variable "queues" {
  description = "How the queues that the configuration creates treat their consumers, by name: how long a message that was taken stays hidden (six times as long as the consumer needs, where it is a function), and how long one that nobody takes is kept."
  type = map(object({
    visibility_timeout_s = optional(number, 60)
    retention_days       = optional(number, 14)
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for queue in values(var.queues) : queue.visibility_timeout_s >= 0 && queue.visibility_timeout_s <= 43200])
    error_message = "A message can stay hidden for 0 to 43200 seconds."
  }

  validation {
    condition     = alltrue([for queue in values(var.queues) : queue.retention_days >= 1 && queue.retention_days <= 14])
    error_message = "Messages can be kept for 1 to 14 days."
  }
}

variable "deliver_concurrency" {
  description = "The most invocations of `deliver` at a time, 2 to 1000; null for no limit. Limits the load on consumers without reserving anything."
  type        = number
  default     = null

  validation {
    condition     = var.deliver_concurrency == null ? true : var.deliver_concurrency >= 2 && var.deliver_concurrency <= 1000
    error_message = "The limit must be 2 to 1000."
  }
}

variable "vpc" {
  description = "Places the functions into subnets of a VPC. They need a way to S3, DynamoDB, SQS and Secrets Manager from there (see modules/vpc-endpoints), and `deliver` one to its consumers."
  type = object({
    subnet_ids         = list(string)
    security_group_ids = list(string)
  })
  default = null

  validation {
    condition     = var.vpc == null ? true : length(var.vpc.subnet_ids) > 0 && length(var.vpc.security_group_ids) > 0
    error_message = "There must be a subnet and a security group."
  }
}

variable "bus_rules" {
  description = "Rules on the buses that the configuration creates, by name: an event pattern as JSON, and either an API destination (a rate limited HTTPS endpoint; without `connection_arn` a connection with an API key is made, whose value you fill in) or the ARN of another target. A bus keeps no order."
  type = map(object({
    bus     = string
    pattern = string
    api_destination = optional(object({
      url            = string
      method         = optional(string, "POST")
      rate_per_s     = optional(number, 50)
      connection_arn = optional(string)
      api_key_header = optional(string, "Authorization")
    }))
    target_arn = optional(string)
    role_arn   = optional(string)
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for rule in values(var.bus_rules) : (rule.api_destination == null) != (rule.target_arn == null)])
    error_message = "Each rule must have either an API destination or the ARN of a target."
  }

  validation {
    condition     = alltrue([for rule in values(var.bus_rules) : can(keys(jsondecode(rule.pattern)))])
    error_message = "Each pattern must be a JSON object; write it with jsonencode()."
  }

  validation {
    condition = alltrue([
      for rule in values(var.bus_rules) : rule.api_destination == null ? true :
      startswith(rule.api_destination.url, "https://") && rule.api_destination.rate_per_s >= 1 && rule.api_destination.rate_per_s <= 300
    ])
    error_message = "An API destination must be an https URL, and its rate 1 to 300 a second."
  }
}

variable "alarms" {
  description = "Whether there are alarms, who is told by mail (each address must confirm), which topics are told beside the one that is created, and the thresholds."
  type = object({
    enabled             = optional(bool, true)
    emails              = optional(set(string), [])
    topic_arns          = optional(set(string), [])
    doorbell_age_s      = optional(number, 900)
    forgotten_streams   = optional(number, 10)
    quarantined         = optional(number, 1)
    failed_calls        = optional(number, 5)
    throttled_calls     = optional(number, 5)
    api_server_errors   = optional(number, 5)
    logged_errors       = optional(number, 10)
    evaluation_period_s = optional(number, 300)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for email in var.alarms.emails : can(regex("^[^@ ]+@[^@ ]+$", email))])
    error_message = "Each address must be one of e-mail."
  }

  validation {
    condition     = contains([60, 300, 900], var.alarms.evaluation_period_s)
    error_message = "The period must be 60, 300 or 900 seconds."
  }
}

variable "dashboard" {
  description = "Whether there is a dashboard (three are free in an account)."
  type        = bool
  default     = true
  nullable    = false
}
