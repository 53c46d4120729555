# What subscriptions send to: created where the configuration has a plain name, referenced where it has an ARN.

locals {
  # The parts of a queue's URL, https://sqs.REGION.amazonaws.com/ACCOUNT/NAME.
  other_queue_arns = [
    for queue in local.other_queues : startswith(queue, "arn:") ? queue : format(
      "arn:%s:sqs:%s", local.partition, join(":", regex("^https?://sqs\\.([a-z0-9-]+)\\.[^/]+/([0-9]{12})/(.+)$", queue))
    )
  ]
  queue_arns         = concat([for queue in aws_sqs_queue.consumer : queue.arn], local.other_queue_arns)
  bus_arns           = distinct([for bus in values(local.bus_of) : startswith(bus, "arn:") ? bus : bus == "default" ? "arn:${local.partition}:events:${local.region}:${local.account}:event-bus/default" : aws_cloudwatch_event_bus.this[bus].arn])
  topic_arns         = distinct(values(local.topic_of))
  function_arns      = distinct([for function in values(local.function_of) : startswith(function, "arn:") ? function : "arn:${local.partition}:lambda:${local.region}:${local.account}:function:${function}"])
  state_machine_arns = distinct(values(local.state_machine_of))

  # What deliver may do for them; nothing for what no subscription sends to.
  sink_statements = {
    for id, statement in {
      Queues        = { actions = ["sqs:GetQueueUrl", "sqs:SendMessage"], resources = local.queue_arns }
      Buses         = { actions = ["events:PutEvents"], resources = local.bus_arns }
      Topics        = { actions = ["sns:Publish"], resources = local.topic_arns }
      Functions     = { actions = ["lambda:InvokeFunction"], resources = local.function_arns }
      StateMachines = { actions = ["states:StartExecution"], resources = local.state_machine_arns }
    } : id => statement if length(statement.resources) > 0
  }
}

# There is no dead-letter queue behind it: setting a message aside would let the later ones of its stream pass it. A consumer that
# wants one says so for itself.
resource "aws_sqs_queue" "consumer" {
  for_each = local.own_queues

  name                        = each.key
  fifo_queue                  = true
  content_based_deduplication = false
  deduplication_scope         = "messageGroup"
  fifo_throughput_limit       = "perMessageGroupId"
  message_retention_seconds   = 86400 * try(var.queues[each.key].retention_days, 14)
  visibility_timeout_seconds  = try(var.queues[each.key].visibility_timeout_s, 60)
  receive_wait_time_seconds   = 20
  sqs_managed_sse_enabled     = var.kms_key_arn == null ? true : null
  kms_master_key_id           = var.kms_key_arn
}
