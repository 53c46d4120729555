# Queues that carry doorbells. They hold names of subscriptions and streams, never payloads.

# There is no dead-letter queue behind it. A doorbell carries no truth, so one that is lost is rung again by the sweep; one that
# cannot be worked on now should be tried again, not set aside; and one that holds its group up is gone after the retention.
resource "aws_sqs_queue" "doorbells" {
  name                        = "${var.name}-doorbells.fifo"
  fifo_queue                  = true
  content_based_deduplication = false
  # High throughput: the limits are those of a group, which is one subscription and stream.
  deduplication_scope   = "messageGroup"
  fifo_throughput_limit = "perMessageGroupId"

  # Six times the function's timeout, as AWS asks for: no call may outlive its message's invisibility.
  visibility_timeout_seconds = 6 * var.functions.deliver.timeout_s
  message_retention_seconds  = max(3600, 18 * var.functions.deliver.timeout_s)
  receive_wait_time_seconds  = 20
  sqs_managed_sse_enabled    = true
}

resource "aws_sqs_queue" "timers" {
  name                       = "${var.name}-timers"
  visibility_timeout_seconds = 6 * var.functions.sweep.timeout_s
  message_retention_seconds  = max(14400, 36 * var.functions.sweep.timeout_s)
  receive_wait_time_seconds  = 20
  sqs_managed_sse_enabled    = true

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead["timers"].arn
    maxReceiveCount     = 5
  })
}

# What was given up: stream records of the pipes, calls of functions, messages of the timers queue. Nothing in them is needed
# again (the sweep finds what they rang for), but they tell that something is wrong. What the pipes gave up makes the sweep go
# round at once.
resource "aws_sqs_queue" "dead" {
  for_each = toset(["pipes", "functions", "timers"])

  name                      = "${var.name}-${each.key}-dead"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
  # The sweeper reads what the pipes gave up.
  visibility_timeout_seconds = each.key == "pipes" ? 6 * var.functions.sweep.timeout_s : 30
}

resource "aws_sqs_queue_redrive_allow_policy" "dead_timers" {
  queue_url = aws_sqs_queue.dead["timers"].id
  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.timers.arn]
  })
}

resource "aws_sqs_queue_policy" "dead_functions" {
  queue_url = aws_sqs_queue.dead["functions"].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "RuleOfUploads"
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = aws_sqs_queue.dead["functions"].arn
      Condition = { ArnEquals = { "aws:SourceArn" = aws_cloudwatch_event_rule.uploads.arn } }
    }]
  })
}
