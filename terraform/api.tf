# The HTTP API: one route for each source, and nothing that nobody asked for.

locals {
  # Webhooks and uploads of each source.
  source_routes = merge([
    for name in keys(local.sources) : {
      "POST /in/${name}"         = name
      "POST /in/${name}/uploads" = name
    }
  ]...)
  # Whether it is there; and what operators ask, where the configuration has a token for them.
  plain_routes = toset(concat(["GET /healthz", "GET /readyz"], local.has_api ? ["ANY /v1/{proxy+}"] : []))
}

resource "aws_apigatewayv2_api" "this" {
  name          = var.name
  description   = "Takes webhooks in"
  protocol_type = "HTTP"
}

resource "aws_apigatewayv2_integration" "ingest" {
  api_id                 = aws_apigatewayv2_api.this.id
  integration_type       = "AWS_PROXY"
  integration_uri        = module.function["ingest"].invoke_arn
  integration_method     = "POST"
  payload_format_version = "2.0"
  timeout_milliseconds   = 30000
}

resource "aws_apigatewayv2_route" "source" {
  for_each = local.source_routes

  api_id             = aws_apigatewayv2_api.this.id
  route_key          = each.key
  target             = "integrations/${aws_apigatewayv2_integration.ingest.id}"
  authorization_type = "NONE"
}

resource "aws_apigatewayv2_route" "plain" {
  for_each = local.plain_routes

  api_id             = aws_apigatewayv2_api.this.id
  route_key          = each.key
  target             = "integrations/${aws_apigatewayv2_integration.ingest.id}"
  authorization_type = "NONE"
}

resource "aws_apigatewayv2_stage" "this" {
  api_id      = aws_apigatewayv2_api.this.id
  name        = "$default"
  auto_deploy = true
}

resource "aws_lambda_permission" "api" {
  statement_id  = "Api"
  action        = "lambda:InvokeFunction"
  function_name = module.function["ingest"].name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_apigatewayv2_api.this.execution_arn}/*"
}
