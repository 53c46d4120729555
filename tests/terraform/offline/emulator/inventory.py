"""Lists what is in the emulator, so that a test sees whether anything is missing or left behind."""

from __future__ import annotations

import argparse
import json

from .aws import Aws

#: Terraform's type, and how its resources are listed: service, call, where the answer has the list, and what of each item
#: names it.
LISTS = {
    "aws_apigatewayv2_api": ("apigatewayv2", "get_apis", "Items", "ApiId"),
    "aws_apigatewayv2_domain_name": ("apigatewayv2", "get_domain_names", "Items", "DomainName"),
    "aws_cloudwatch_dashboard": ("cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName"),
    "aws_cloudwatch_event_api_destination": ("events", "list_api_destinations", "ApiDestinations", "Name"),
    "aws_cloudwatch_event_bus": ("events", "list_event_buses", "EventBuses", "Name"),
    "aws_cloudwatch_event_connection": ("events", "list_connections", "Connections", "Name"),
    "aws_cloudwatch_log_group": ("logs", "describe_log_groups", "logGroups", "logGroupName"),
    "aws_cloudwatch_log_metric_filter": ("logs", "describe_metric_filters", "metricFilters", "filterName"),
    "aws_cloudwatch_metric_alarm": ("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
    "aws_dynamodb_table": ("dynamodb", "list_tables", "TableNames", None),
    "aws_ecs_cluster": ("ecs", "list_clusters", "clusterArns", None),
    "aws_iam_role": ("iam", "list_roles", "Roles", "RoleName"),
    "aws_kms_alias": ("kms", "list_aliases", "Aliases", "AliasName"),
    "aws_lambda_event_source_mapping": ("lambda", "list_event_source_mappings", "EventSourceMappings", "UUID"),
    "aws_lambda_function": ("lambda", "list_functions", "Functions", "FunctionName"),
    "aws_lb": ("elbv2", "describe_load_balancers", "LoadBalancers", "LoadBalancerArn"),
    "aws_lb_target_group": ("elbv2", "describe_target_groups", "TargetGroups", "TargetGroupArn"),
    "aws_pipes_pipe": ("pipes", "list_pipes", "Pipes", "Name"),
    "aws_s3_bucket": ("s3", "list_buckets", "Buckets", "Name"),
    "aws_scheduler_schedule": ("scheduler", "list_schedules", "Schedules", "Name"),
    "aws_scheduler_schedule_group": ("scheduler", "list_schedule_groups", "ScheduleGroups", "Name"),
    "aws_secretsmanager_secret": ("secretsmanager", "list_secrets", "SecretList", "Name"),
    "aws_security_group": ("ec2", "describe_security_groups", "SecurityGroups", "GroupId"),
    "aws_sns_topic": ("sns", "list_topics", "Topics", "TopicArn"),
    "aws_sns_topic_subscription": ("sns", "list_subscriptions", "Subscriptions", "SubscriptionArn"),
    "aws_sqs_queue": ("sqs", "list_queues", "QueueUrls", None),
    "aws_vpc_endpoint": ("ec2", "describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
}


def inventory(aws: Aws) -> dict[str, list[str]]:
    """The names of everything, by type. Rules are listed by bus."""
    result = {}
    for type_, (service, call, member, name) in LISTS.items():
        items = _all(aws.client(service), call, member)
        result[type_] = sorted(item if name is None else item[name] for item in items)
    events = aws.client("events")
    rules = [rule for bus in result["aws_cloudwatch_event_bus"] for rule in _all(events, "list_rules", "Rules", EventBusName=bus)]
    return {**result, "aws_cloudwatch_event_rule": sorted(rule["Name"] for rule in rules)}


def _all(client: object, call: str, member: str, **given: str) -> list:
    if client.can_paginate(call):
        return [item for page in client.get_paginator(call).paginate(**given) for item in page.get(member, ())]
    return getattr(client, call)(**given).get(member, [])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("endpoint", help="where the emulator listens")
    parser.add_argument(
        "--delete-a-schedule", action="store_true", help="delete a schedule, on which nothing depends, before listing"
    )
    parser.add_argument("--unprotect", action="store_true", help="let tables be deleted, before listing")
    options = parser.parse_args()
    aws = Aws(options.endpoint)
    if options.delete_a_schedule:
        scheduler = aws.client("scheduler")
        schedule = scheduler.list_schedules()["Schedules"][0]
        scheduler.delete_schedule(Name=schedule["Name"], GroupName=schedule["GroupName"])
    if options.unprotect:
        dynamo = aws.client("dynamodb")
        for table in dynamo.list_tables()["TableNames"]:
            dynamo.update_table(TableName=table, DeletionProtectionEnabled=False)
    print(json.dumps(inventory(aws)))


if __name__ == "__main__":
    main()
