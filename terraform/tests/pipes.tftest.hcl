# The pipes are what their files say.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name            = "production"
  stream_arn      = "arn:aws:dynamodb:eu-west-1:111122223333:table/t/stream/2026-11-22T00:00:00.000"
  function_arn    = "arn:aws:lambda:eu-west-1:111122223333:function:f"
  dead_letter_arn = "arn:aws:sqs:eu-west-1:111122223333:production-pipes-dead"
  place           = { account = "111122223333", region = "eu-west-1", partition = "aws" }
}

run "resequence" {
  command = plan

  module {
    source = "./modules/pipe"
  }

  variables {
    file = "../pipes/resequence.json"
  }

  assert {
    condition = alltrue([
      for stream in aws_pipes_pipe.this.source_parameters[0].dynamodb_stream_parameters : alltrue([
        stream.batch_size >= 1 && stream.batch_size <= 10000,
        stream.maximum_batching_window_in_seconds >= 0 && stream.maximum_batching_window_in_seconds <= 300,
        stream.maximum_retry_attempts >= 0 && stream.maximum_retry_attempts <= 10000,
        stream.maximum_record_age_in_seconds >= 60 && stream.maximum_record_age_in_seconds < 86400,
        stream.parallelization_factor == 1,
      ])
    ]) && length(aws_pipes_pipe.this.source_parameters[0].filter_criteria[0].filter) <= 5
    error_message = "The parameters are within AWS's limits, and no record blocks its shard for a day."
  }

  assert {
    condition     = aws_pipes_pipe.this.name == "production-resequence" && aws_pipes_pipe.this.description == jsondecode(file("../pipes/resequence.json")).Description
    error_message = "Name and description are the file's."
  }

  assert {
    condition     = aws_pipes_pipe.this.desired_state == "RUNNING" && aws_pipes_pipe.this.source == var.stream_arn && aws_pipes_pipe.this.target == var.function_arn
    error_message = "It runs, from the stream to the function."
  }

  assert {
    condition = jsonencode({
      StartingPosition               = aws_pipes_pipe.this.source_parameters[0].dynamodb_stream_parameters[0].starting_position
      BatchSize                      = aws_pipes_pipe.this.source_parameters[0].dynamodb_stream_parameters[0].batch_size
      MaximumBatchingWindowInSeconds = aws_pipes_pipe.this.source_parameters[0].dynamodb_stream_parameters[0].maximum_batching_window_in_seconds
      MaximumRetryAttempts           = aws_pipes_pipe.this.source_parameters[0].dynamodb_stream_parameters[0].maximum_retry_attempts
      MaximumRecordAgeInSeconds      = aws_pipes_pipe.this.source_parameters[0].dynamodb_stream_parameters[0].maximum_record_age_in_seconds
      OnPartialBatchItemFailure      = aws_pipes_pipe.this.source_parameters[0].dynamodb_stream_parameters[0].on_partial_batch_item_failure
      ParallelizationFactor          = aws_pipes_pipe.this.source_parameters[0].dynamodb_stream_parameters[0].parallelization_factor
      DeadLetterConfig               = { Arn = "$${dead_letter_arn}" }
    }) == jsonencode(jsondecode(file("../pipes/resequence.json")).SourceParameters.DynamoDBStreamParameters)
    error_message = "Every parameter of the stream is the file's, and the file has no other."
  }

  assert {
    condition     = aws_pipes_pipe.this.source_parameters[0].dynamodb_stream_parameters[0].dead_letter_config[0].arn == var.dead_letter_arn
    error_message = "What is given up goes to the queue."
  }

  assert {
    condition     = [for filter in aws_pipes_pipe.this.source_parameters[0].filter_criteria[0].filter : jsondecode(filter.pattern)] == [{ dynamodb = { NewImage = { kind = { S = ["EVENT"] } }, OldImage = { PK = { S = [{ exists = false }] } } } }]
    error_message = "It passes on new entries."
  }

  assert {
    condition     = aws_pipes_pipe.this.target_parameters[0].lambda_function_parameters[0].invocation_type == "REQUEST_RESPONSE"
    error_message = "The pipe sees what failed."
  }
}

run "dispatch" {
  command = plan

  module {
    source = "./modules/pipe"
  }

  variables {
    file = "../pipes/dispatch.json"
  }

  assert {
    condition = alltrue([
      for stream in aws_pipes_pipe.this.source_parameters[0].dynamodb_stream_parameters : alltrue([
        stream.batch_size >= 1 && stream.batch_size <= 10000,
        stream.maximum_batching_window_in_seconds >= 0 && stream.maximum_batching_window_in_seconds <= 300,
        stream.maximum_retry_attempts >= 0 && stream.maximum_retry_attempts <= 10000,
        stream.maximum_record_age_in_seconds >= 60 && stream.maximum_record_age_in_seconds < 86400,
        stream.parallelization_factor == 1,
      ])
    ]) && length(aws_pipes_pipe.this.source_parameters[0].filter_criteria[0].filter) <= 5
    error_message = "The parameters are within AWS's limits, and no record blocks its shard for a day."
  }

  assert {
    condition = jsonencode([for filter in aws_pipes_pipe.this.source_parameters[0].filter_criteria[0].filter : { Pattern = filter.pattern }]) == jsonencode(
      jsondecode(file("../pipes/dispatch.json")).SourceParameters.FilterCriteria.Filters
    )
    error_message = "The filters are the file's."
  }

  assert {
    condition     = jsondecode(aws_iam_role.this.assume_role_policy).Statement[0].Condition.ArnEquals["aws:SourceArn"] == "arn:aws:pipes:eu-west-1:111122223333:pipe/production-dispatch"
    error_message = "Only this pipe takes the role."
  }

  assert {
    condition = { for statement in jsondecode(aws_iam_role_policy.this.policy).Statement : statement.Sid => join(",", statement.Resource) } == {
      ReadTheStream      = var.stream_arn
      CallTheFunction    = var.function_arn
      TellWhatWasGivenUp = var.dead_letter_arn
    }
    error_message = "The role reads this stream, calls this function and tells this queue."
  }
}

run "not_a_pipe" {
  command = plan

  module {
    source = "./modules/pipe"
  }

  variables {
    file = "../crates/cloakroom-aws/src/ledger/table.json"
  }

  expect_failures = [var.file]
}
