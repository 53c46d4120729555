# The examples themselves can be planned, and tell what their users need.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "minimal" {
  command = plan

  module {
    source = "./examples/minimal"
  }

  variables {
    function_package = "tests/fixtures/functions.zip"
  }

  assert {
    condition     = output.ingest_urls["orders"] == "https://api1234567.execute-api.eu-west-1.amazonaws.com/in/orders"
    error_message = "Providers are told where to send."
  }

  assert {
    condition     = one(keys(output.queue_urls)) == "cloakroom-billing.fifo" && output.secrets_to_fill == tolist(["cloakroom/orders"])
    error_message = "Consumers are told where to read, operators what to fill in."
  }
}

run "orders" {
  command = plan

  module {
    source = "./examples/orders"
  }

  variables {
    function_package = "tests/fixtures/functions.zip"
    alarm_email      = "operators@example.com"
  }

  assert {
    condition     = endswith(output.webhook_url, "/in/orders") && output.secrets_to_fill == tolist(["orders/admin-token", "orders/shop-webhooks"])
    error_message = "The shop is told where to send, operators what to fill in."
  }

  assert {
    condition     = jsondecode(aws_iam_policy.warehouse.policy).Statement[0].Resource == ["arn:aws:sqs:eu-west-1:111122223333:q"]
    error_message = "The warehouse may take orders from its queue, and from no other."
  }

  assert {
    condition     = output.dashboard_url == "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#dashboards/dashboard/orders"
    error_message = "There is a dashboard."
  }
}

run "complete" {
  command = plan

  module {
    source = "./examples/complete"
  }

  variables {
    function_package           = "tests/fixtures/functions.zip"
    image                      = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/cloakroom:1.0.0"
    image_repository_arn       = "arn:aws:ecr:eu-west-1:111122223333:repository/cloakroom"
    alarm_email                = "operators@example.com"
    token_issuer               = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_EXAMPLE"
    large_lane_certificate_arn = "arn:aws:acm:eu-west-1:111122223333:certificate/2"
    domain = {
      name            = "hooks.example.com"
      certificate_arn = "arn:aws:acm:eu-west-1:111122223333:certificate/1"
      zone_id         = "Z1"
      truststore_uri  = "s3://truststore/clients.pem"
    }
    network = {
      vpc_id             = "vpc-1"
      public_subnet_ids  = ["subnet-1", "subnet-2"]
      private_subnet_ids = ["subnet-3", "subnet-4"]
      route_table_ids    = ["rtb-1"]
    }
  }

  assert {
    condition     = [for source in ["transfers", "shop", "partner"] : output.ingest_urls[source]] == [for source in ["transfers", "shop", "partner"] : "https://hooks.example.com/in/${source}"]
    error_message = "Providers are told the domain."
  }

  assert {
    condition     = output.bus_names == tolist(["production-webhooks"]) && output.connections_to_fill == tolist(["production-crm"])
    error_message = "There is a bus, with an API destination behind it."
  }

  assert {
    condition     = length(output.secrets_to_fill) == 5
    error_message = "Operators are told what to fill in."
  }

  assert {
    condition     = aws_kms_key.this.enable_key_rotation
    error_message = "The key rotates."
  }
}
