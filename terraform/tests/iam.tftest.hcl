# What each role may do, and nothing else.

mock_provider "aws" {
  source = "./tests/mocks"
}

override_resource {
  target          = aws_sqs_queue.doorbells
  override_during = plan
  values          = { arn = "arn:aws:sqs:eu-west-1:111122223333:doorbells.fifo", url = "https://sqs/doorbells.fifo", id = "https://sqs/doorbells.fifo" }
}

override_resource {
  target          = aws_sqs_queue.timers
  override_during = plan
  values          = { arn = "arn:aws:sqs:eu-west-1:111122223333:timers", url = "https://sqs/timers", id = "https://sqs/timers" }
}

override_resource {
  target          = aws_sqs_queue.dead
  override_during = plan
  values          = { arn = "arn:aws:sqs:eu-west-1:111122223333:dead", url = "https://sqs/dead", id = "https://sqs/dead" }
}

override_resource {
  target          = aws_sqs_queue.consumer["production-ledger.fifo"]
  override_during = plan
  values          = { arn = "arn:aws:sqs:eu-west-1:111122223333:production-ledger.fifo", url = "https://sqs/ledger.fifo", id = "https://sqs/ledger.fifo" }
}

override_resource {
  target          = aws_secretsmanager_secret.this["production/admin"]
  override_during = plan
  values          = { arn = "admin" }
}

override_resource {
  target          = aws_secretsmanager_secret.this["production/billing"]
  override_during = plan
  values          = { arn = "billing" }
}

override_resource {
  target          = aws_secretsmanager_secret.this["production/transfers"]
  override_during = plan
  values          = { arn = "transfers" }
}

override_resource {
  target          = aws_secretsmanager_secret.this["production/shop"]
  override_during = plan
  values          = { arn = "shop" }
}

override_resource {
  target          = aws_secretsmanager_secret.this["production/partner"]
  override_during = plan
  values          = { arn = "partner" }
}

variables {
  name             = "production"
  config_file      = "examples/complete/cloakroom.yaml"
  function_package = "tests/fixtures/functions.zip"
  custom_domain    = { name = "hooks.example.com", certificate_arn = "arn:aws:acm:eu-west-1:111122223333:certificate/1" }
}

run "no_wildcards" {
  command = plan

  # Neither actions with a wildcard, nor all resources.
  assert {
    condition = alltrue(flatten([
      for policy in concat([for function in module.function : function.policy], [for pipe in module.pipe : pipe.policy], [aws_iam_role_policy.scheduler.policy]) : [
        for statement in jsondecode(policy).Statement :
        !contains(statement.Resource, "*") && alltrue([for action in statement.Action : !strcontains(action, "*")])
      ]
    ]))
    error_message = "No policy has a wildcard in an action, or all resources."
  }

  assert {
    condition = alltrue(flatten([
      for policy in concat([for function in module.function : function.policy], [for pipe in module.pipe : pipe.policy], [aws_iam_role_policy.scheduler.policy]) : [
        for statement in jsondecode(policy).Statement : length(statement.Resource) > 0 && statement.Effect == "Allow"
      ]
    ]))
    error_message = "Every statement allows something."
  }

  # A role for each of them: twice the same would be one for two.
  assert {
    condition     = length(distinct(concat([for role, function in module.function : function.name], [for pipe in module.pipe : "${pipe.name}-pipe"], [aws_iam_role.scheduler.name]))) == 9
    error_message = "Each has a role of its own."
  }
}

run "secrets" {
  command = plan

  assert {
    condition = jsonencode({
      for role, function in module.function : role => sort(flatten([
        for statement in jsondecode(function.policy).Statement : statement.Resource if contains(statement.Action, "secretsmanager:GetSecretValue")
      ]))
      }) == jsonencode({
      ingest     = ["admin", "partner", "shop", "transfers"]
      resequence = []
      dispatch   = []
      deliver    = ["billing"]
      sweep      = []
      upload     = ["partner", "shop", "transfers"]
    })
    error_message = "Each reads the secrets of its work only."
  }
}

run "ledger" {
  command = plan

  assert {
    condition = jsonencode({
      for role, function in module.function : role => sort(distinct(flatten([
        for statement in jsondecode(function.policy).Statement : [for action in statement.Action : trimprefix(action, "dynamodb:") if startswith(action, "dynamodb:")]
      ])))
      }) == jsonencode({
      ingest     = ["BatchGetItem", "ConditionCheckItem", "DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem"]
      resequence = ["BatchGetItem", "GetItem", "PutItem", "Query", "UpdateItem"]
      dispatch   = []
      deliver    = ["BatchGetItem", "DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem"]
      sweep      = ["BatchGetItem", "DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem"]
      upload     = ["BatchGetItem", "ConditionCheckItem", "GetItem", "PutItem", "UpdateItem"]
    })
    error_message = "Each does to the ledger what its role does."
  }

  # Indexes are for lists: of the sweeper, and of operators.
  assert {
    condition = toset([
      for role, function in module.function : role if strcontains(function.policy, "/index/")
    ]) == toset(["ingest", "sweep"])
    error_message = "Lists are read by those who list."
  }
}

run "claims" {
  command = plan

  assert {
    condition = toset([
      for role, function in module.function : role if anytrue(flatten([
        for statement in jsondecode(function.policy).Statement : [
          for resource in statement.Resource : contains(statement.Action, "s3:DeleteObject") && strcontains(resource, "/c/*")
        ]
      ]))
    ]) == toset(["ingest", "sweep", "upload"])
    error_message = "Claims are deleted by the sweeper, and by whoever stored one twice."
  }

  assert {
    condition = {
      for role, function in module.function : role => join(",", flatten([
        for statement in jsondecode(function.policy).Statement : [for resource in statement.Resource : trimprefix(resource, "arn:aws:s3:::b/")] if contains(statement.Action, "s3:AbortMultipartUpload")
      ])) if strcontains(function.policy, "s3:AbortMultipartUpload")
    } == { ingest = "m/*", sweep = "m/*", upload = "m/*" }
    error_message = "Only what is sent in parts is aborted."
  }

  assert {
    condition = toset(flatten([
      for statement in jsondecode(module.function["deliver"].policy).Statement : [for resource in statement.Resource : trimprefix(resource, "arn:aws:s3:::b/")] if contains(statement.Action, "s3:GetObject")
    ])) == toset(["config/*", "c/*", "m/*"])
    error_message = "deliver reads claims, and no hints."
  }

  assert {
    condition = toset([
      for role, function in module.function : role if strcontains(function.policy, "s3:PutObject")
    ]) == toset(["ingest", "upload"])
    error_message = "Claims are written by those who take webhooks in."
  }

  assert {
    condition = toset(flatten([
      for statement in jsondecode(module.function["dispatch"].policy).Statement : [for resource in statement.Resource : resource if startswith(resource, "arn:aws:s3:")]
    ])) == toset(["arn:aws:s3:::b/config/*"])
    error_message = "dispatch reads its configuration, and no claim."
  }
}

run "sinks" {
  command = plan

  assert {
    condition = {
      for statement in jsondecode(module.function["deliver"].policy).Statement : statement.Sid => join(",", concat(statement.Action, statement.Resource))
      if contains(["Queues", "Buses", "Topics", "Functions", "StateMachines"], statement.Sid)
      } == {
      Queues        = "sqs:GetQueueUrl,sqs:SendMessage,arn:aws:sqs:eu-west-1:111122223333:production-ledger.fifo"
      Buses         = "events:PutEvents,arn:aws:events:eu-west-1:111122223333:event-bus/production-webhooks"
      Topics        = "sns:Publish,arn:aws:sns:eu-west-1:111122223333:audit.fifo"
      Functions     = "lambda:InvokeFunction,arn:aws:lambda:eu-west-1:111122223333:function:fulfilment"
      StateMachines = "states:StartExecution,arn:aws:states:eu-west-1:111122223333:stateMachine:onboarding"
    }
    error_message = "deliver may send to the sinks of the configuration."
  }

  assert {
    condition     = alltrue([for role in ["ingest", "resequence", "dispatch", "sweep", "upload"] : !strcontains(module.function[role].policy, "production-ledger.fifo")])
    error_message = "Nobody else may."
  }
}

run "bells" {
  command = plan

  assert {
    condition = jsonencode({
      for role, function in module.function : role => sort(flatten([
        for statement in jsondecode(function.policy).Statement : [for resource in statement.Resource : trimprefix(resource, "arn:aws:sqs:eu-west-1:111122223333:")]
        if contains(statement.Action, "sqs:SendMessage") && statement.Sid != "Queues"
      ]))
      }) == jsonencode({
      ingest     = ["doorbells.fifo", "timers"]
      resequence = ["timers"]
      dispatch   = ["doorbells.fifo"]
      deliver    = ["doorbells.fifo", "timers"]
      sweep      = ["dead", "doorbells.fifo", "timers"]
      upload     = ["dead"]
    })
    error_message = "Each rings where its role rings; what is called asynchronously may tell of what was given up."
  }

  assert {
    condition = {
      for role, function in module.function : role => join(",", flatten([
        for statement in jsondecode(function.policy).Statement : statement.Resource if contains(statement.Action, "sqs:ReceiveMessage")
      ])) if strcontains(function.policy, "sqs:ReceiveMessage")
      } == {
      deliver = "arn:aws:sqs:eu-west-1:111122223333:doorbells.fifo"
      sweep   = "arn:aws:sqs:eu-west-1:111122223333:timers,arn:aws:sqs:eu-west-1:111122223333:dead"
    }
    error_message = "Each queue is read by its function."
  }
}

run "schedules" {
  command = plan

  assert {
    condition     = jsondecode(aws_iam_role.scheduler.assume_role_policy).Statement[0].Condition.ArnEquals["aws:SourceArn"] == "arn:aws:scheduler:eu-west-1:111122223333:schedule-group/production"
    error_message = "Only this deployment's schedules take the role."
  }

  assert {
    condition     = flatten([for statement in jsondecode(aws_iam_role_policy.scheduler.policy).Statement : statement.Action]) == ["lambda:InvokeFunction", "sqs:SendMessage"]
    error_message = "Schedules call, and tell what they could not call."
  }
}

# Without an admin token ingest takes webhooks in, and does nothing else.
run "without_an_api" {
  command = plan

  variables {
    name        = "cloakroom"
    config_file = "examples/minimal/cloakroom.yaml"
  }

  assert {
    condition     = alltrue([for action in ["dynamodb:Query", "dynamodb:DeleteItem", "sqs:SendMessage"] : !strcontains(module.function["ingest"].policy, action)])
    error_message = "ingest neither lists nor rings."
  }

  assert {
    condition     = !anytrue([for sid in ["Buses", "Topics", "Functions", "StateMachines", "Secrets"] : strcontains(module.function["deliver"].policy, "\"${sid}\"")])
    error_message = "deliver may send to what the configuration names."
  }
}

# A key of one's own may be used through the services alone.
run "encryption" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-west-1:111122223333:key/00000000-0000-4000-8000-000000000000"
  }

  assert {
    condition = alltrue([
      for function in module.function : one([
        for statement in jsondecode(function.policy).Statement : contains(statement.Condition.StringEquals["kms:ViaService"], "s3.eu-west-1.amazonaws.com") if statement.Sid == "Encryption"
      ])
    ])
    error_message = "Functions use the key through the services."
  }

  assert {
    condition     = one([for statement in jsondecode(module.function["dispatch"].policy).Statement : statement.Action if statement.Sid == "Encryption"]) == ["kms:Decrypt"]
    error_message = "What keeps no records only reads."
  }

  assert {
    condition     = alltrue([for pipe in module.pipe : strcontains(pipe.policy, "\"kms:ViaService\":\"dynamodb.eu-west-1.amazonaws.com\"")])
    error_message = "The pipes read the encrypted stream."
  }
}

# In a VPC Lambda needs more, which the functions' own code is denied.
run "network" {
  command = plan

  variables {
    vpc = { subnet_ids = ["subnet-1"], security_group_ids = ["sg-1"] }
  }

  assert {
    condition = toset(flatten([
      for statement in jsondecode(module.function["dispatch"].policy).Statement : statement.Action if statement.Effect == "Allow" && contains(statement.Resource, "*")
    ])) == toset(["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"])
    error_message = "All resources are allowed only where AWS knows no others."
  }

  assert {
    condition = one([
      for statement in jsondecode(module.function["dispatch"].policy).Statement : statement.Condition.ArnEquals["lambda:SourceFunctionArn"] if statement.Effect == "Deny"
    ]) == ["arn:aws:lambda:eu-west-1:111122223333:function:production-dispatch"]
    error_message = "The function's own code may not touch the network."
  }
}
