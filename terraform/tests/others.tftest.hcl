# What an ARN names is somebody else's: it is referenced, and never created.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  config_file      = "tests/fixtures/others.yaml"
  function_package = "tests/fixtures/functions.zip"
}

run "nothing_is_created" {
  command = plan

  assert {
    condition     = length(aws_sqs_queue.consumer) + length(aws_cloudwatch_event_bus.this) + length(aws_secretsmanager_secret.this) == 0
    error_message = "What is somebody else's is not created."
  }

  assert {
    condition     = length(output.queue_urls) + length(output.bus_names) + length(output.secrets_to_fill) == 0
    error_message = "Nothing is told of what was not created."
  }
}

run "everything_is_allowed" {
  command = plan

  assert {
    condition = toset(flatten([
      for statement in jsondecode(module.function["deliver"].policy).Statement : statement.Resource if contains(["Queues", "Buses", "Functions"], statement.Sid)
      ])) == toset([
      "arn:aws:sqs:eu-west-1:444455556666:billing.fifo",
      "arn:aws:sqs:eu-west-1:444455556666:other.fifo",
      "arn:aws:events:eu-west-1:444455556666:event-bus/webhooks",
      "arn:aws:events:eu-west-1:111122223333:event-bus/default",
      "arn:aws:lambda:eu-west-1:444455556666:function:billing",
    ])
    error_message = "deliver may send to it."
  }

  assert {
    condition = one([
      for statement in jsondecode(module.function["ingest"].policy).Statement : statement.Resource if statement.Sid == "Secrets"
    ]) == ["arn:aws:secretsmanager:eu-west-1:444455556666:secret:orders-AbCdEf"]
    error_message = "ingest may read the secret."
  }
}
