# What operators are told of. docs/operations.md says what each alarm means and what to do.

locals {
  # What is the case at the moment: the sweeper writes these with every call, in CloudWatch's embedded metric format.
  gauges = {
    for metric in ["StalledStreams", "ParkedStreams", "DeadLetters", "Quarantined", "DisabledSubscriptions"] :
    metric => { namespace = "Cloakroom", name = metric, dimensions = { Table = aws_dynamodb_table.ledger.name } }
  }

  # What has happened, counted in what the functions write to their logs, one JSON object a line. `value` is 1 for each line, or a
  # field of it.
  namespace = "Cloakroom/${var.name}"
  log_metrics = {
    FailedDeliveries = { pattern = "{ $.message = \"a delivery failed\" }", value = "1", functions = ["deliver"] }
    ForgottenStreams = { pattern = "{ $.message = \"swept\" && $.forgotten = * }", value = "$.forgotten", functions = ["sweep"] }
    LoggedErrors     = { pattern = "{ $.level = \"ERROR\" }", value = "1", functions = keys(local.functions) }
  }
  log_filters = merge([
    for metric, filter in local.log_metrics : {
      for function in filter.functions : "${function}-${metric}" => {
        metric   = metric
        function = function
        pattern  = filter.pattern
        value    = filter.value
      }
    }
  ]...)

  function_names = { for role, function in module.function : role => function.name }
  pipe_names     = { for role, pipe in module.pipe : role => pipe.name }
  # What nobody reads: it stays until an operator has looked.
  unread_queues = concat([for name, queue in aws_sqs_queue.dead : queue.name if name != "pipes"], aws_sqs_queue.undelivered[*].name)

  # Each sums its metrics over a period, or takes the highest, and compares. Nothing measured is all well, unless said otherwise.
  alarms = {
    stalled-streams = {
      description = "Streams wait for a number that does not come, past their deadline."
      metrics     = [local.gauges["StalledStreams"]]
      statistic   = "Maximum"
      threshold   = 1
      periods     = 1
    }
    parked-streams = {
      description = "Subscriptions stopped at an event whose retries are spent. Their streams wait for an operator."
      metrics     = [local.gauges["ParkedStreams"]]
      statistic   = "Maximum"
      threshold   = 1
      periods     = 1
    }
    dead-letters = {
      description = "Subscriptions gave up on events and passed them over."
      metrics     = [local.gauges["DeadLetters"]]
      statistic   = "Maximum"
      threshold   = 1
      periods     = 1
    }
    quarantined-webhooks = {
      description = "Verified webhooks could not be placed, and nobody has decided about them."
      metrics     = [local.gauges["Quarantined"]]
      statistic   = "Maximum"
      threshold   = var.alarms.quarantined
      periods     = 1
    }
    disabled-subscriptions = {
      description = "A consumer answered 410: its subscription is switched off."
      metrics     = [local.gauges["DisabledSubscriptions"]]
      statistic   = "Maximum"
      threshold   = 1
      periods     = 1
    }
    pipe-failures = {
      description = "A pipe's calls fail or time out again and again."
      metrics = flatten([
        for pipe in values(local.pipe_names) : [
          for metric in ["ExecutionFailed", "ExecutionTimeout"] :
          { namespace = "AWS/EventBridge/Pipes", name = metric, dimensions = { PipeName = pipe } }
        ]
      ])
      statistic = "Sum"
      threshold = 1
      periods   = 3
    }
    # A pipe has no metric of its iterator's age. What a late or stopped pipe leaves undone is what the sweep finds instead.
    late-pipes = {
      description = "The sweep finds streams that no pipe rang for: a pipe is late, stopped or gives up."
      metrics     = [{ namespace = local.namespace, name = "ForgottenStreams", dimensions = {} }]
      statistic   = "Sum"
      threshold   = var.alarms.forgotten_streams
      periods     = 3
    }
    lost-doorbells = {
      description = "A pipe gave records up. The sweep goes round at once and finds what they rang for."
      metrics     = [{ namespace = "AWS/SQS", name = "NumberOfMessagesSent", dimensions = { QueueName = aws_sqs_queue.dead["pipes"].name } }]
      statistic   = "Sum"
      threshold   = 1
      periods     = 1
    }
    given-up = {
      description = "A dead-letter queue holds what a function's caller, the timers queue or a rule gave up."
      metrics     = [for queue in local.unread_queues : { namespace = "AWS/SQS", name = "ApproximateNumberOfMessagesVisible", dimensions = { QueueName = queue } }]
      statistic   = "Maximum"
      threshold   = 1
      periods     = 1
    }
    old-doorbells = {
      description = "Deliveries are late: the oldest doorbell, or the oldest message of a pipe's dead letters, has waited for long."
      metrics = [
        for queue in [aws_sqs_queue.doorbells.name, aws_sqs_queue.dead["pipes"].name] :
        { namespace = "AWS/SQS", name = "ApproximateAgeOfOldestMessage", dimensions = { QueueName = queue } }
      ]
      statistic = "Maximum"
      threshold = var.alarms.doorbell_age_s
      periods   = 3
    }
    no-sweep = {
      description = "The sweeper does not run, and with it nothing that depends on it: what nobody rings for, retries, retention, and the alarms about streams."
      metrics     = [local.gauges["StalledStreams"]]
      statistic   = "SampleCount"
      threshold   = 0
      comparison  = "LessThanOrEqualToThreshold"
      periods     = 2
      missing     = "breaching"
    }
    function-errors = {
      description = "Calls of functions fail."
      metrics     = [for function in values(local.function_names) : { namespace = "AWS/Lambda", name = "Errors", dimensions = { FunctionName = function } }]
      statistic   = "Sum"
      threshold   = var.alarms.failed_calls
      periods     = 1
    }
    logged-errors = {
      description = "The functions log errors, of which not every one fails a call."
      metrics     = [{ namespace = local.namespace, name = "LoggedErrors", dimensions = {} }]
      statistic   = "Sum"
      threshold   = var.alarms.logged_errors
      periods     = 1
    }
    throttles = {
      description = "Functions, pipes or the table are throttled."
      metrics = concat(
        [for function in values(local.function_names) : { namespace = "AWS/Lambda", name = "Throttles", dimensions = { FunctionName = function } }],
        [for pipe in values(local.pipe_names) : { namespace = "AWS/EventBridge/Pipes", name = "ExecutionThrottled", dimensions = { PipeName = pipe } }],
        [
          for metric in ["ReadThrottleEvents", "WriteThrottleEvents"] :
          { namespace = "AWS/DynamoDB", name = metric, dimensions = { TableName = aws_dynamodb_table.ledger.name } }
        ],
      )
      statistic = "Sum"
      threshold = var.alarms.throttled_calls
      periods   = 1
    }
    api-errors = {
      description = "Providers are answered with 5xx. They send again, but not for ever."
      metrics     = [{ namespace = "AWS/ApiGateway", name = "5xx", dimensions = { ApiId = aws_apigatewayv2_api.this.id } }]
      statistic   = "Sum"
      threshold   = var.alarms.api_server_errors
      periods     = 1
    }
  }

  topics = concat(aws_sns_topic.operators[*].arn, tolist(var.alarms.topic_arns))
}

resource "aws_cloudwatch_log_metric_filter" "this" {
  for_each = local.log_filters

  name           = "${var.name}-${each.key}"
  log_group_name = module.function[each.value.function].log_group
  pattern        = each.value.pattern

  metric_transformation {
    namespace = local.namespace
    name      = each.value.metric
    value     = each.value.value
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = { for name, alarm in local.alarms : name => alarm if var.alarms.enabled }

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = "${each.value.description} See docs/operations.md."
  comparison_operator = try(each.value.comparison, "GreaterThanOrEqualToThreshold")
  threshold           = each.value.threshold
  evaluation_periods  = each.value.periods
  datapoints_to_alarm = each.value.periods
  treat_missing_data  = try(each.value.missing, "notBreaching")
  alarm_actions       = local.topics
  ok_actions          = local.topics

  # Several metrics are one by their sum, or their maximum.
  dynamic "metric_query" {
    for_each = length(each.value.metrics) > 1 ? [each.value.statistic == "Maximum" ? "MAX(METRICS())" : "SUM(METRICS())"] : []
    content {
      id          = "all"
      expression  = metric_query.value
      label       = each.key
      return_data = true
    }
  }

  dynamic "metric_query" {
    for_each = each.value.metrics
    content {
      id          = "m${metric_query.key}"
      return_data = length(each.value.metrics) == 1

      metric {
        namespace   = metric_query.value.namespace
        metric_name = metric_query.value.name
        dimensions  = metric_query.value.dimensions
        stat        = each.value.statistic
        period      = var.alarms.evaluation_period_s
      }
    }
  }
}

resource "aws_sns_topic" "operators" {
  #checkov:skip=CKV_AWS_26:alarms hold names and numbers only, and CloudWatch may not publish to a topic under the key that SNS offers
  count = var.alarms.enabled ? 1 : 0

  name         = "${var.name}-operators"
  display_name = "Cloakroom ${var.name}"
}

resource "aws_sns_topic_policy" "operators" {
  count = var.alarms.enabled ? 1 : 0

  arn = aws_sns_topic.operators[0].arn

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "Alarms"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.operators[0].arn
        Condition = {
          StringEquals = { "aws:SourceAccount" = local.account }
          ArnLike      = { "aws:SourceArn" = "arn:${local.partition}:cloudwatch:${local.region}:${local.account}:alarm:${var.name}-*" }
        }
      },
      {
        Sid       = "OnlyOverTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.operators[0].arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

resource "aws_sns_topic_subscription" "operators" {
  for_each = var.alarms.enabled ? var.alarms.emails : toset([])

  topic_arn = aws_sns_topic.operators[0].arn
  protocol  = "email"
  endpoint  = each.key
}
