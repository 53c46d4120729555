# One function.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name        = "production-sweep"
  description = "Finds what nobody rang for"
  handler     = "sweep"
  package     = { path = "tests/fixtures/functions.zip", hash = "aGFzaA==", architecture = "arm64" }
  size        = { memory_mb = 512, timeout_s = 120, reserved_concurrency = 5 }
  environment = { CLOAKROOM_LOG = "info" }
  statements  = { Ledger = { actions = ["dynamodb:GetItem"], resources = ["arn:aws:dynamodb:eu-west-1:111122223333:table/t"] } }

  log_retention_days = 30
  place              = { account = "111122223333", region = "eu-west-1", partition = "aws" }
}

run "synchronous" {
  command = plan

  module {
    source = "./modules/function"
  }

  assert {
    condition = (
      aws_lambda_function.this.function_name == "production-sweep" && aws_lambda_function.this.handler == "sweep"
      && aws_lambda_function.this.runtime == "provided.al2023" && aws_lambda_function.this.architectures == tolist(["arm64"])
    )
    error_message = "The handler says which of the binary's roles it plays."
  }

  assert {
    condition     = aws_lambda_function.this.source_code_hash == "aGFzaA==" && aws_lambda_function.this.filename == "tests/fixtures/functions.zip"
    error_message = "The zip is pinned by its hash."
  }

  assert {
    condition     = [aws_lambda_function.this.memory_size, aws_lambda_function.this.timeout, aws_lambda_function.this.reserved_concurrent_executions] == [512, 120, 5]
    error_message = "Memory, time and concurrency are as asked."
  }

  assert {
    condition     = one(aws_lambda_function.this.logging_config).log_format == "JSON" && one(aws_lambda_function.this.logging_config).system_log_level == "WARN"
    error_message = "Lambda does not write three lines for each call."
  }

  # The metric filters read the lines as the function writes them.
  assert {
    condition     = one(aws_lambda_function.this.logging_config).application_log_level == "TRACE" && one(aws_lambda_function.this.logging_config).log_group == "/aws/lambda/production-sweep"
    error_message = "Log lines stay what they are."
  }

  assert {
    condition     = aws_cloudwatch_log_group.this.retention_in_days == 30
    error_message = "Its log is kept for as long as asked."
  }

  assert {
    condition     = length(aws_lambda_function_event_invoke_config.this) == 0 && length(aws_lambda_function.this.vpc_config) == 0
    error_message = "It has neither a destination for failures nor a network unless asked."
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.this.policy).Statement == [
      { Sid = "Ledger", Effect = "Allow", Action = ["dynamodb:GetItem"], Resource = ["arn:aws:dynamodb:eu-west-1:111122223333:table/t"] },
      { Sid = "Log", Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = ["arn:aws:logs:eu-west-1:111122223333:log-group:g:*"] },
    ]
    error_message = "It may do what is said, and write its log."
  }
}

run "asynchronous" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    asynchronous = { retries = 2, age_max_s = 21600, dead_letter_arn = "arn:aws:sqs:eu-west-1:111122223333:dead" }
  }

  assert {
    condition = (
      aws_lambda_function_event_invoke_config.this[0].maximum_retry_attempts == 2
      && aws_lambda_function_event_invoke_config.this[0].maximum_event_age_in_seconds == 21600
      && aws_lambda_function_event_invoke_config.this[0].destination_config[0].on_failure[0].destination == "arn:aws:sqs:eu-west-1:111122223333:dead"
    )
    error_message = "What fails is repeated, and then kept."
  }

  assert {
    condition     = one([for statement in jsondecode(aws_iam_role_policy.this.policy).Statement : statement.Resource if statement.Sid == "DeadLetters"]) == ["arn:aws:sqs:eu-west-1:111122223333:dead"]
    error_message = "It may send there."
  }
}

run "in_a_vpc" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    vpc = { subnet_ids = ["subnet-1", "subnet-2"], security_group_ids = ["sg-1"] }
  }

  assert {
    condition     = one(aws_lambda_function.this.vpc_config).subnet_ids == toset(["subnet-1", "subnet-2"]) && one(aws_lambda_function.this.vpc_config).security_group_ids == toset(["sg-1"])
    error_message = "It is where it is put."
  }
}

run "an_unknown_handler" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    handler = "bootstrap"
  }

  expect_failures = [var.handler]
}
