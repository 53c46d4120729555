variable "architecture" {
  description = "Instruction set of functions and servers: `arm64` or `x86_64`."
  type        = string
  default     = "arm64"
}

variable "function_package" {
  description = "Path of the zip with the functions. Default: where `./build-lambdas` puts it."
  type        = string
  default     = null
}

variable "image" {
  description = "The server's image for the large lane, with its version."
  type        = string
}

variable "image_repository_arn" {
  description = "ARN of the image's ECR repository; null for a public image."
  type        = string
  default     = null
}

variable "domain" {
  description = "What providers send to."
  type = object({
    name            = string
    certificate_arn = string
    zone_id         = string
    truststore_uri  = string
  })
}

variable "large_lane_certificate_arn" {
  description = "ARN of the certificate of the large lane's name."
  type        = string
}

variable "network" {
  description = "The VPC: its public subnets for the load balancer, and its private ones, which reach consumers through a NAT gateway."
  type = object({
    vpc_id             = string
    public_subnet_ids  = list(string)
    private_subnet_ids = list(string)
    route_table_ids    = list(string)
  })
}

variable "token_issuer" {
  description = "OIDC issuer of the partner's tokens, e.g. a Cognito user pool."
  type        = string
}

variable "alarm_email" {
  description = "Who is told of alarms."
  type        = string
}
