# What calls the sweeper: each minute for what is due and what nobody rang for, each day for what nothing refers to.

locals {
  schedules = {
    # One that could not be called is not called later: the next minute's does the same.
    sweep   = { description = "Finds what is due and what nobody rang for", expression = "rate(1 minute)", input = {}, retries = 0, age_max_s = 60 }
    reclaim = { description = "Removes what nothing refers to any more", expression = "rate(1 day)", input = { task = "reclaim" }, retries = 5, age_max_s = 3600 }
  }
}

resource "aws_scheduler_schedule_group" "this" {
  name = var.name
}

resource "aws_scheduler_schedule" "this" {
  #checkov:skip=CKV_AWS_297:all that a schedule holds is the name of a task, and EventBridge Scheduler encrypts it with a key of its own
  for_each = local.schedules

  name                = "${var.name}-${each.key}"
  description         = each.value.description
  group_name          = aws_scheduler_schedule_group.this.name
  schedule_expression = each.value.expression

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = module.function["sweep"].arn
    role_arn = aws_iam_role.scheduler.arn
    input    = jsonencode(each.value.input)

    retry_policy {
      maximum_event_age_in_seconds = each.value.age_max_s
      maximum_retry_attempts       = each.value.retries
    }

    dead_letter_config {
      arn = aws_sqs_queue.dead["functions"].arn
    }
  }
}

resource "aws_iam_role" "scheduler" {
  name        = "${var.name}-scheduler"
  description = "Of the schedules of ${var.name}"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "scheduler.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnEquals    = { "aws:SourceArn" = "arn:${local.partition}:scheduler:${local.region}:${local.account}:schedule-group/${var.name}" }
      }
    }]
  })
}

resource "aws_iam_role_policy" "scheduler" {
  name = "does-its-work"
  role = aws_iam_role.scheduler.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "CallTheFunction"
        Effect   = "Allow"
        Action   = ["lambda:InvokeFunction"]
        Resource = [module.function["sweep"].arn]
      },
      {
        Sid      = "TellWhatWasGivenUp"
        Effect   = "Allow"
        Action   = ["sqs:SendMessage"]
        Resource = [aws_sqs_queue.dead["functions"].arn]
      },
    ]
  })
}
