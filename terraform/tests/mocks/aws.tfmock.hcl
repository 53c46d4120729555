# What AWS would answer, as far as plans show it.

mock_data "aws_caller_identity" {
  defaults = { account_id = "111122223333" }
}

mock_data "aws_partition" {
  defaults = { partition = "aws" }
}

mock_data "aws_region" {
  defaults = { region = "eu-west-1" }
}

mock_resource "aws_dynamodb_table" {
  override_during = plan
  defaults = {
    arn        = "arn:aws:dynamodb:eu-west-1:111122223333:table/t"
    stream_arn = "arn:aws:dynamodb:eu-west-1:111122223333:table/t/stream/2026-11-22T00:00:00.000"
  }
}

mock_resource "aws_s3_bucket" {
  override_during = plan
  defaults = {
    id  = "b"
    arn = "arn:aws:s3:::b"
  }
}

mock_resource "aws_sqs_queue" {
  override_during = plan
  defaults = {
    id  = "https://sqs.eu-west-1.amazonaws.com/111122223333/q"
    url = "https://sqs.eu-west-1.amazonaws.com/111122223333/q"
    arn = "arn:aws:sqs:eu-west-1:111122223333:q"
  }
}

mock_resource "aws_lambda_function" {
  override_during = plan
  defaults = {
    arn        = "arn:aws:lambda:eu-west-1:111122223333:function:f"
    invoke_arn = "arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/arn:aws:lambda:eu-west-1:111122223333:function:f/invocations"
  }
}

mock_resource "aws_cloudwatch_log_group" {
  override_during = plan
  defaults        = { arn = "arn:aws:logs:eu-west-1:111122223333:log-group:g" }
}

mock_resource "aws_iam_role" {
  override_during = plan
  defaults        = { arn = "arn:aws:iam::111122223333:role/r" }
}

mock_resource "aws_secretsmanager_secret" {
  override_during = plan
  defaults        = { arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:s-AbCdEf" }
}

mock_resource "aws_apigatewayv2_api" {
  override_during = plan
  defaults = {
    id            = "api1234567"
    api_endpoint  = "https://api1234567.execute-api.eu-west-1.amazonaws.com"
    execution_arn = "arn:aws:execute-api:eu-west-1:111122223333:api1234567"
  }
}

mock_resource "aws_sns_topic" {
  override_during = plan
  defaults        = { arn = "arn:aws:sns:eu-west-1:111122223333:t" }
}

mock_resource "aws_cloudwatch_event_bus" {
  override_during = plan
  defaults        = { arn = "arn:aws:events:eu-west-1:111122223333:event-bus/production-webhooks" }
}

mock_resource "aws_cloudwatch_event_rule" {
  override_during = plan
  defaults        = { arn = "arn:aws:events:eu-west-1:111122223333:rule/r" }
}

mock_resource "aws_kms_key" {
  override_during = plan
  defaults        = { arn = "arn:aws:kms:eu-west-1:111122223333:key/00000000-0000-4000-8000-000000000000" }
}
