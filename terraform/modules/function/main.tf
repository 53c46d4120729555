# One function with a role and a log of its own.

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_158:functions log neither payloads nor secrets, and CloudWatch Logs encrypts with a key of its own
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
  #checkov:skip=CKV_AWS_116:what is called asynchronously has a destination for failures, which tells more; the others are called by whoever waits for the answer
  #checkov:skip=CKV_AWS_173:the variables hold names and addresses, never secrets, and Lambda encrypts them with a key of its own
  #checkov:skip=CKV_AWS_272:the zip is pinned by its hash; a signing profile is a matter of the account that publishes it
  #checkov:skip=CKV_AWS_50:the functions write no segments; the traceparent of a webhook travels with its event instead
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

  # The function's lines are JSON and stay as they are; what it logs is CLOAKROOM_LOG's to say. Lambda's own lines about each call
  # would cost more than the calls do, and say what its metrics say.
  logging_config {
    log_format            = "JSON"
    application_log_level = "TRACE"
    system_log_level      = "WARN"
    log_group             = aws_cloudwatch_log_group.this.name
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
