# Ways from a VPC to AWS.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name                     = "production"
  vpc_id                   = "vpc-1"
  subnet_ids               = ["subnet-1"]
  route_table_ids          = ["rtb-1"]
  client_security_group_id = "sg-1"
}

run "endpoints" {
  command = plan

  module {
    source = "./modules/vpc-endpoints"
  }

  assert {
    condition     = { for name, endpoint in aws_vpc_endpoint.gateway : name => endpoint.service_name } == { s3 = "com.amazonaws.eu-west-1.s3", dynamodb = "com.amazonaws.eu-west-1.dynamodb" }
    error_message = "Bucket and table are reached through gateways."
  }

  assert {
    condition     = toset(keys(aws_vpc_endpoint.interface)) == toset(["sqs", "secretsmanager"])
    error_message = "Queues and secrets are reached through interfaces."
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.this.referenced_security_group_id == "sg-1" && aws_vpc_security_group_ingress_rule.this.from_port == 443
    error_message = "The functions reach them, and nobody else."
  }
}

run "an_unknown_service" {
  command = plan

  module {
    source = "./modules/vpc-endpoints"
  }

  variables {
    services = ["sqs", "secretsmanger"]
  }

  expect_failures = [var.services]
}
