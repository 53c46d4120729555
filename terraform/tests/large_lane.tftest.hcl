# The large lane: what the servers are told, what they may do, and who may talk to them.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  deployment = {
    name          = "production"
    table         = { name = "production-ledger", arn = "arn:aws:dynamodb:eu-west-1:111122223333:table/production-ledger" }
    bucket        = { name = "b", arn = "arn:aws:s3:::b" }
    config_url    = "s3://b/config/cloakroom-1.yaml"
    doorbells     = { url = "https://sqs/doorbells.fifo", arn = "arn:aws:sqs:eu-west-1:111122223333:doorbells.fifo" }
    timers        = { url = "https://sqs/timers", arn = "arn:aws:sqs:eu-west-1:111122223333:timers" }
    secret_arns   = ["arn:aws:secretsmanager:eu-west-1:111122223333:secret:s-AbCdEf"]
    has_api       = true
    kms_key_arn   = null
    log_level     = "info"
    log_retention = 30
    alarm_topics  = ["arn:aws:sns:eu-west-1:111122223333:t"]
  }
  vpc_id             = "vpc-1"
  public_subnet_ids  = ["subnet-1", "subnet-2"]
  private_subnet_ids = ["subnet-3", "subnet-4"]
  certificate_arn    = "arn:aws:acm:eu-west-1:111122223333:certificate/1"
  image              = "public.ecr.aws/example/cloakroom:1.0.0"
}

run "servers" {
  command = plan

  module {
    source = "./modules/large-lane"
  }

  assert {
    condition = { for variable in jsondecode(aws_ecs_task_definition.this.container_definitions)[0].environment : variable.name => variable.value } == {
      AWS_REGION           = "eu-west-1"
      CLOAKROOM_BACKEND    = "aws"
      CLOAKROOM_BUCKET     = "b"
      CLOAKROOM_CONFIG     = "s3://b/config/cloakroom-1.yaml"
      CLOAKROOM_DOORBELLS  = "https://sqs/doorbells.fifo"
      CLOAKROOM_LISTEN     = "0.0.0.0:8080"
      CLOAKROOM_LOG        = "info"
      CLOAKROOM_LOG_FORMAT = "json"
      CLOAKROOM_TABLE      = "production-ledger"
      CLOAKROOM_TIMERS     = "https://sqs/timers"
    }
    error_message = "The server works with the deployment's table, bucket and queues."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[0].command == ["serve"] && jsondecode(aws_ecs_task_definition.this.container_definitions)[0].readonlyRootFilesystem
    error_message = "It serves, and never runs the pipes beside the deployed ones."
  }

  assert {
    condition     = aws_ecs_task_definition.this.runtime_platform[0].cpu_architecture == "ARM64" && aws_ecs_service.this.desired_count == 2
    error_message = "Two servers of the same architecture as the functions."
  }

  assert {
    condition     = !one(aws_ecs_service.this.network_configuration).assign_public_ip
    error_message = "The servers are reached through the load balancer alone."
  }
}

run "balancer" {
  command = plan

  module {
    source = "./modules/large-lane"
  }

  assert {
    condition     = aws_lb_listener.https.protocol == "HTTPS" && aws_lb_listener.https.port == 443 && startswith(aws_lb_listener.https.ssl_policy, "ELBSecurityPolicy-TLS13-1-2")
    error_message = "Webhooks come in over modern TLS."
  }

  assert {
    condition     = aws_lb.this.drop_invalid_header_fields && aws_lb.this.enable_deletion_protection
    error_message = "The load balancer refuses what is no HTTP, and is not deleted by mistake."
  }

  assert {
    condition     = aws_lb_target_group.this.health_check[0].path == "/healthz"
    error_message = "A server that does not answer gets nothing."
  }

  assert {
    condition     = [for rule in aws_vpc_security_group_ingress_rule.balancer : "${rule.from_port}-${rule.to_port} ${rule.cidr_ipv4}"] == ["443-443 0.0.0.0/0"]
    error_message = "There is one port."
  }
}

run "roles" {
  command = plan

  module {
    source = "./modules/large-lane"
  }

  assert {
    condition = alltrue(flatten([
      for policy in [aws_iam_role_policy.task.policy, aws_iam_role_policy.start.policy] : [
        for statement in jsondecode(policy).Statement : !contains(statement.Resource, "*")
      ]
    ]))
    error_message = "No policy is for all resources."
  }

  assert {
    condition     = alltrue([for action in ["sqs:ReceiveMessage", "dynamodb:GetRecords", "s3:PutLifecycleConfiguration", "lambda:InvokeFunction"] : !strcontains(aws_iam_role_policy.task.policy, action)])
    error_message = "Servers neither read queues nor streams, and deliver nothing."
  }
}

run "no_token_for_operators" {
  command = plan

  module {
    source = "./modules/large-lane"
  }

  variables {
    deployment = {
      name          = "production"
      table         = { name = "t", arn = "t" }
      bucket        = { name = "b", arn = "b" }
      config_url    = "s3://b/config/cloakroom-1.yaml"
      doorbells     = { url = "d", arn = "d" }
      timers        = { url = "t", arn = "t" }
      secret_arns   = []
      has_api       = false
      kms_key_arn   = null
      log_level     = "info"
      log_retention = 30
      alarm_topics  = []
    }
  }

  expect_failures = [var.deployment]
}

run "an_image_without_a_version" {
  command = plan

  module {
    source = "./modules/large-lane"
  }

  variables {
    image = "public.ecr.aws/example/cloakroom:latest"
  }

  expect_failures = [var.image]
}

run "one_zone" {
  command = plan

  module {
    source = "./modules/large-lane"
  }

  variables {
    public_subnet_ids = ["subnet-1"]
  }

  expect_failures = [var.public_subnet_ids]
}

run "memory_that_fargate_does_not_pair" {
  command = plan

  module {
    source = "./modules/large-lane"
  }

  variables {
    size = { cpu = 1024, memory_mb = 512 }
  }

  expect_failures = [var.size]
}
