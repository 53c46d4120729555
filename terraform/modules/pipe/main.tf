# One EventBridge pipe from the ledger's stream to a function, as its file says, with a role of its own.

locals {
  pipe   = jsondecode(file(var.file))
  stream = local.pipe.SourceParameters.DynamoDBStreamParameters
  name   = "${var.name}-${local.pipe.Name}"

  statements = concat(
    [
      {
        Sid      = "ReadTheStream"
        Effect   = "Allow"
        Action   = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"]
        Resource = [var.stream_arn]
      },
      {
        Sid      = "CallTheFunction"
        Effect   = "Allow"
        Action   = ["lambda:InvokeFunction"]
        Resource = [var.function_arn]
      },
      {
        Sid      = "TellWhatWasGivenUp"
        Effect   = "Allow"
        Action   = ["sqs:SendMessage"]
        Resource = [var.dead_letter_arn]
      },
    ],
    var.kms_key_arn == null ? [] : [{
      Sid      = "ReadWhatIsEncrypted"
      Effect   = "Allow"
      Action   = ["kms:Decrypt"]
      Resource = [var.kms_key_arn]
      Condition = {
        StringEquals = { "kms:ViaService" = "dynamodb.${var.place.region}.amazonaws.com" }
      }
    }],
  )
}

resource "aws_iam_role" "this" {
  name        = "${local.name}-pipe"
  description = "Of the pipe ${local.name}"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "pipes.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = { "aws:SourceAccount" = var.place.account }
        ArnEquals    = { "aws:SourceArn" = "arn:${var.place.partition}:pipes:${var.place.region}:${var.place.account}:pipe/${local.name}" }
      }
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  name = "does-its-work"
  role = aws_iam_role.this.id

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = local.statements
  })
}

resource "aws_pipes_pipe" "this" {
  name          = local.name
  description   = local.pipe.Description
  desired_state = local.pipe.DesiredState
  role_arn      = aws_iam_role.this.arn
  source        = var.stream_arn
  target        = var.function_arn

  source_parameters {
    dynamodb_stream_parameters {
      starting_position                  = local.stream.StartingPosition
      batch_size                         = local.stream.BatchSize
      maximum_batching_window_in_seconds = local.stream.MaximumBatchingWindowInSeconds
      maximum_retry_attempts             = local.stream.MaximumRetryAttempts
      maximum_record_age_in_seconds      = local.stream.MaximumRecordAgeInSeconds
      on_partial_batch_item_failure      = local.stream.OnPartialBatchItemFailure
      parallelization_factor             = local.stream.ParallelizationFactor

      dead_letter_config {
        arn = var.dead_letter_arn
      }
    }

    filter_criteria {
      dynamic "filter" {
        for_each = local.pipe.SourceParameters.FilterCriteria.Filters
        content {
          pattern = filter.value.Pattern
        }
      }
    }
  }

  target_parameters {
    lambda_function_parameters {
      invocation_type = local.pipe.TargetParameters.LambdaFunctionParameters.InvocationType
    }
  }

  # A pipe without its permissions is refused.
  depends_on = [aws_iam_role_policy.this]
}
