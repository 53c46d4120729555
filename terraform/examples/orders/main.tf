# Orders of a shop reach a warehouse: each order's changes in their order, once each, through an SQS FIFO queue.

module "cloakroom" {
  source = "../.."

  name             = "orders"
  config_file      = "${path.module}/cloakroom.yaml"
  architecture     = var.architecture
  function_package = var.function_package

  # A worker has two minutes for an order.
  queues = { "orders-warehouse.fifo" = { visibility_timeout_s = 120 } }

  # A shop of this size sends some ten webhooks a second, and a hundred after a sale.
  throttling = { rate_per_s = 100, burst = 200 }
  alarms     = { emails = var.alarm_email == null ? [] : [var.alarm_email] }
}

# What the warehouse's own role is allowed: to take orders, and to say that they are done. Attach it there.
resource "aws_iam_policy" "warehouse" {
  name        = "orders-warehouse"
  description = "Takes orders from the queue of the warehouse"

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "TakeOrders"
      Effect   = "Allow"
      Action   = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
      Resource = [module.cloakroom.queue_arns["orders-warehouse.fifo"]]
    }]
  })
}
