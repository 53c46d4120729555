# One function with a role and a log of its own.

resource "aws_cloudwatch_log_group" "this" {
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
}

resource "aws_iam_role" "this" {
  name        = var.name
  description = "Of the function ${var.name}"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

locals {
  log = {
    Log = {
      actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      resources = ["${aws_cloudwatch_log_group.this.arn}:*"]
    }
  }
  dead_letters = var.asynchronous == null ? {} : {
    DeadLetters = {
      actions   = ["sqs:SendMessage"]
      resources = [var.asynchronous.dead_letter_arn]
    }
  }
  # Lambda makes and removes network interfaces with the function's role, and asks for all of them: their ids are not known before.
  network = var.vpc == null ? {} : {
    NetworkInterfaces = {
      actions = [
        "ec2:AssignPrivateIpAddresses",
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:UnassignPrivateIpAddresses",
      ]
      resources = ["arn:${var.place.partition}:ec2:${var.place.region}:${var.place.account}:*/*"]
    }
    # AWS knows no resources for these.
    Network = {
      actions   = ["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"]
      resources = ["*"]
    }
  }
  # What Lambda may do with the role, the function's own code may not.
  not_the_code = var.vpc == null ? [] : [{
    Sid      = "NotTheCode"
    Effect   = "Deny"
    Action   = concat(local.network.NetworkInterfaces.actions, local.network.Network.actions)
    Resource = ["*"]
    Condition = {
      ArnEquals = {
        "lambda:SourceFunctionArn" = ["arn:${var.place.partition}:lambda:${var.place.region}:${var.place.account}:function:${var.name}"]
      }
    }
  }]

  statements = [
    for id, statement in merge(local.log, local.dead_letters, local.network, var.statements) : merge(
      {
        Sid      = id
        Effect   = "Allow"
        Action   = statement.actions
        Resource = statement.resources
      },
      try(statement.condition, null) == null ? {} : { Condition = statement.condition },
    )
  ]
}

resource "aws_iam_role_policy" "this" {
  name = "does-its-work"
  role = aws_iam_role.this.id

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = concat(local.statements, local.not_the_code)
  })
}

resource "aws_lambda_function" "this" {
  function_name = var.name
  description   = var.description
  role          = aws_iam_role.this.arn

  filename         = var.package.path
  source_code_hash = var.package.hash
  architectures    = [var.package.architecture]
  runtime          = "provided.al2023"
  handler          = var.handler

  memory_size                    = var.size.memory_mb
  timeout                        = var.size.timeout_s
  reserved_concurrent_executions = var.size.reserved_concurrency

  environment {
    variables = var.environment
  }

  # As text the lines stay what the function writes: JSON objects, which the metric filters read.
  logging_config {
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.this.name
  }

  dynamic "vpc_config" {
    for_each = var.vpc == null ? [] : [var.vpc]
    content {
      subnet_ids         = vpc_config.value.subnet_ids
      security_group_ids = vpc_config.value.security_group_ids
    }
  }

  # A function that starts before it may do its work fails.
  depends_on = [aws_iam_role_policy.this]
}

resource "aws_lambda_function_event_invoke_config" "this" {
  count = var.asynchronous == null ? 0 : 1

  function_name                = aws_lambda_function.this.function_name
  maximum_retry_attempts       = var.asynchronous.retries
  maximum_event_age_in_seconds = var.asynchronous.age_max_s

  destination_config {
    on_failure {
      destination = var.asynchronous.dead_letter_arn
    }
  }
}
