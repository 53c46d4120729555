# Buses of subscriptions, with the rules that pass events on. A bus keeps no order: the CloudEvent's `sequence` tells.

locals {
  # A rule of another bus is refused, see checks.tf.
  bus_rules        = { for name, rule in var.bus_rules : name => rule if contains(local.own_buses, rule.bus) }
  api_destinations = { for name, rule in local.bus_rules : name => rule.api_destination if rule.api_destination != null }
  own_connections  = { for name, destination in local.api_destinations : name => destination if destination.connection_arn == null }
}

resource "aws_cloudwatch_event_bus" "this" {
  for_each = local.own_buses

  name               = each.key
  description        = "Webhooks of the Cloakroom deployment ${var.name}"
  kms_key_identifier = var.kms_key_arn
}

resource "aws_cloudwatch_event_rule" "bus" {
  for_each = local.bus_rules

  name           = "${var.name}-${each.key}"
  event_bus_name = aws_cloudwatch_event_bus.this[each.value.bus].name
  event_pattern  = each.value.pattern
}

resource "aws_cloudwatch_event_target" "bus" {
  for_each = local.bus_rules

  rule           = aws_cloudwatch_event_rule.bus[each.key].name
  event_bus_name = aws_cloudwatch_event_rule.bus[each.key].event_bus_name
  target_id      = each.key
  arn            = each.value.api_destination == null ? each.value.target_arn : aws_cloudwatch_event_api_destination.this[each.key].arn
  role_arn       = each.value.api_destination == null ? each.value.role_arn : aws_iam_role.api_destination[each.key].arn
  # The CloudEvent itself, without EventBridge's envelope.
  input_path = "$.detail"

  retry_policy {
    maximum_event_age_in_seconds = 86400
    maximum_retry_attempts       = 185
  }

  dead_letter_config {
    arn = aws_sqs_queue.undelivered[0].arn
  }
}

resource "aws_cloudwatch_event_connection" "this" {
  for_each = local.own_connections

  name               = "${var.name}-${each.key}"
  description        = "Of the rule ${each.key}; its API key is filled in by hand"
  authorization_type = "API_KEY"

  auth_parameters {
    api_key {
      key   = each.value.api_key_header
      value = "to-be-filled-in"
    }
  }

  # The key is filled in outside, so that it is in no state.
  lifecycle {
    ignore_changes = [auth_parameters]
  }
}

resource "aws_cloudwatch_event_api_destination" "this" {
  for_each = local.api_destinations

  name                             = "${var.name}-${each.key}"
  description                      = "Of the rule ${each.key}"
  invocation_endpoint              = each.value.url
  http_method                      = each.value.method
  invocation_rate_limit_per_second = each.value.rate_per_s
  connection_arn                   = each.value.connection_arn == null ? aws_cloudwatch_event_connection.this[each.key].arn : each.value.connection_arn
}

resource "aws_iam_role" "api_destination" {
  for_each = local.api_destinations

  name        = "${var.name}-${each.key}-rule"
  description = "Of the rule ${each.key}"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnEquals    = { "aws:SourceArn" = aws_cloudwatch_event_rule.bus[each.key].arn }
      }
    }]
  })
}

resource "aws_iam_role_policy" "api_destination" {
  for_each = local.api_destinations

  name = "does-its-work"
  role = aws_iam_role.api_destination[each.key].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "CallTheDestination"
      Effect   = "Allow"
      Action   = ["events:InvokeApiDestination"]
      Resource = [aws_cloudwatch_event_api_destination.this[each.key].arn]
    }]
  })
}

# What no target took. These are whole events, so they are encrypted as the bus is.
resource "aws_sqs_queue" "undelivered" {
  count = length(local.bus_rules) > 0 ? 1 : 0

  name                      = "${var.name}-rules-dead"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = var.kms_key_arn == null ? true : null
  kms_master_key_id         = var.kms_key_arn
}

resource "aws_sqs_queue_policy" "undelivered" {
  count = length(local.bus_rules) > 0 ? 1 : 0

  queue_url = aws_sqs_queue.undelivered[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Rules"
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = aws_sqs_queue.undelivered[0].arn
      Condition = { ArnEquals = { "aws:SourceArn" = [for rule in aws_cloudwatch_event_rule.bus : rule.arn] } }
    }]
  })
}
