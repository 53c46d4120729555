variable "architecture" {
  description = "Instruction set of the functions: `arm64` or `x86_64`."
  type        = string
  default     = "arm64"
}

variable "function_package" {
  description = "Path of the zip with the functions. Default: where `./build-lambdas` puts it."
  type        = string
  default     = null
}

variable "alarm_email" {
  description = "Who is told when orders do not flow; null for nobody."
  type        = string
  default     = null
}
