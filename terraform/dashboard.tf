# One page that tells how the deployment is.

locals {
  # Rows of three graphs, from top to bottom. A metric is [namespace, name, dimension, value, …, {options}].
  graphs = [
    {
      title = "Webhooks in"
      metrics = [
        ["AWS/ApiGateway", "Count", "ApiId", aws_apigatewayv2_api.this.id, { label = "requests" }],
        ["AWS/ApiGateway", "4xx", "ApiId", aws_apigatewayv2_api.this.id, { label = "refused (4xx)" }],
        ["AWS/ApiGateway", "5xx", "ApiId", aws_apigatewayv2_api.this.id, { label = "failed (5xx)" }],
      ]
      statistic = "Sum"
    },
    {
      title     = "Time to answer providers (ms)"
      metrics   = [for p in ["p50", "p99"] : ["AWS/ApiGateway", "Latency", "ApiId", aws_apigatewayv2_api.this.id, { label = p, stat = p }]]
      statistic = "p99"
    },
    {
      title     = "What waits for an operator"
      metrics   = [for metric in keys(local.gauges) : ["Cloakroom", metric, "Table", aws_dynamodb_table.ledger.name, { label = metric }]]
      statistic = "Maximum"
    },
    {
      title     = "Events through the pipes"
      metrics   = [for pipe in values(local.pipe_names) : ["AWS/EventBridge/Pipes", "EventCount", "PipeName", pipe, { label = pipe }]]
      statistic = "Sum"
    },
    {
      title = "Pipes that fail"
      metrics = [
        for pair in setproduct(values(local.pipe_names), ["ExecutionFailed", "ExecutionPartiallyFailed", "ExecutionThrottled", "ExecutionTimeout"]) :
        ["AWS/EventBridge/Pipes", pair[1], "PipeName", pair[0], { label = "${pair[0]} ${pair[1]}" }]
      ]
      statistic = "Sum"
    },
    {
      title     = "Streams that nobody rang for"
      metrics   = [[local.namespace, "ForgottenStreams", { label = "found by the sweep" }]]
      statistic = "Sum"
    },
    {
      title = "Doorbells"
      metrics = [
        ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", aws_sqs_queue.doorbells.name, { label = "oldest (s)", stat = "Maximum", yAxis = "right" }],
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", aws_sqs_queue.doorbells.name, { label = "waiting" }],
        ["AWS/SQS", "ApproximateNumberOfMessagesNotVisible", "QueueName", aws_sqs_queue.doorbells.name, { label = "being worked on" }],
      ]
      statistic = "Average"
    },
    {
      title     = "Deliveries that failed, and are tried again"
      metrics   = [[local.namespace, "FailedDeliveries", { label = "failed" }]]
      statistic = "Sum"
    },
    {
      title     = "Given up (dead-letter queues)"
      metrics   = [for queue in concat([aws_sqs_queue.dead["pipes"].name], local.unread_queues) : ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", queue, { label = queue }]]
      statistic = "Maximum"
    },
    {
      title     = "Functions: calls"
      metrics   = [for role, name in local.function_names : ["AWS/Lambda", "Invocations", "FunctionName", name, { label = role }]]
      statistic = "Sum"
    },
    {
      title     = "Functions: time (ms, p99)"
      metrics   = [for role, name in local.function_names : ["AWS/Lambda", "Duration", "FunctionName", name, { label = role }]]
      statistic = "p99"
    },
    {
      title     = "Functions: errors and throttles"
      metrics   = concat([for role, name in local.function_names : ["AWS/Lambda", "Errors", "FunctionName", name, { label = "${role} errors" }]], [for role, name in local.function_names : ["AWS/Lambda", "Throttles", "FunctionName", name, { label = "${role} throttles" }]])
      statistic = "Sum"
    },
    {
      title = "Ledger: units"
      metrics = [
        ["AWS/DynamoDB", "ConsumedWriteCapacityUnits", "TableName", aws_dynamodb_table.ledger.name, { label = "written" }],
        ["AWS/DynamoDB", "ConsumedReadCapacityUnits", "TableName", aws_dynamodb_table.ledger.name, { label = "read" }],
      ]
      statistic = "Sum"
    },
    {
      title = "Ledger: throttled"
      metrics = [
        ["AWS/DynamoDB", "WriteThrottleEvents", "TableName", aws_dynamodb_table.ledger.name, { label = "writes" }],
        ["AWS/DynamoDB", "ReadThrottleEvents", "TableName", aws_dynamodb_table.ledger.name, { label = "reads" }],
      ]
      statistic = "Sum"
    },
    {
      title     = "Claims (bytes)"
      metrics   = [["AWS/S3", "BucketSizeBytes", "BucketName", aws_s3_bucket.claims.id, "StorageType", "StandardStorage", { label = "stored" }]]
      statistic = "Average"
    },
  ]
}

resource "aws_cloudwatch_dashboard" "this" {
  count = var.dashboard ? 1 : 0

  dashboard_name = var.name
  dashboard_body = jsonencode({
    widgets = [
      for place, graph in local.graphs : {
        type   = "metric"
        x      = place % 3 * 8
        y      = floor(place / 3) * 6
        width  = 8
        height = 6
        properties = {
          title   = graph.title
          region  = local.region
          metrics = graph.metrics
          stat    = graph.statistic
          period  = graph.title == "Claims (bytes)" ? 86400 : 300
          view    = "timeSeries"
        }
      }
    ]
  })
}
