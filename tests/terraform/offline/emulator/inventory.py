"""Lists what is in the emulator, so that a test sees whether anything is missing or left behind."""

from __future__ import annotations

import argparse
import json

from .aws import Aws

#: Kind, service, call that lists, where the answer has the list, and what of each item names it.
LISTS = (
    ("tables", "dynamodb", "list_tables", "TableNames", None),
    ("buckets", "s3", "list_buckets", "Buckets", "Name"),
    ("queues", "sqs", "list_queues", "QueueUrls", None),
    ("topics", "sns", "list_topics", "Topics", "TopicArn"),
    ("functions", "lambda", "list_functions", "Functions", "FunctionName"),
    ("mappings", "lambda", "list_event_source_mappings", "EventSourceMappings", "UUID"),
    ("roles", "iam", "list_roles", "Roles", "RoleName"),
    ("policies", "iam", "list_policies", "Policies", "Arn"),
    ("buses", "events", "list_event_buses", "EventBuses", "Name"),
    ("rules", "events", "list_rules", "Rules", "Name"),
    ("connections", "events", "list_connections", "Connections", "Name"),
    ("destinations", "events", "list_api_destinations", "ApiDestinations", "Name"),
    ("pipes", "pipes", "list_pipes", "Pipes", "Name"),
    ("schedules", "scheduler", "list_schedules", "Schedules", "Name"),
    ("schedule groups", "scheduler", "list_schedule_groups", "ScheduleGroups", "Name"),
    ("secrets", "secretsmanager", "list_secrets", "SecretList", "Name"),
    ("log groups", "logs", "describe_log_groups", "logGroups", "logGroupName"),
    ("metric filters", "logs", "describe_metric_filters", "metricFilters", "filterName"),
    ("alarms", "cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
    ("dashboards", "cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName"),
    ("APIs", "apigatewayv2", "get_apis", "Items", "ApiId"),
    ("domains", "apigatewayv2", "get_domain_names", "Items", "DomainName"),
)


def inventory(aws: Aws) -> dict[str, list[str]]:
    """The names of everything, by kind."""
    result = {}
    for kind, service, call, member, name in LISTS:
        items = _all(aws.client(service), call, member)
        result[kind] = sorted(item if name is None else item[name] for item in items)
    return result


def _all(client: object, call: str, member: str) -> list:
    if client.can_paginate(call):
        return [item for page in client.get_paginator(call).paginate() for item in page.get(member, ())]
    return getattr(client, call)().get(member, [])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("endpoint", help="where the emulator listens")
    parser.add_argument("--delete-a-schedule", action="store_true", help="delete a schedule, on which nothing depends, before listing")
    options = parser.parse_args()
    aws = Aws(options.endpoint)
    if options.delete_a_schedule:
        scheduler = aws.client("scheduler")
        schedule = scheduler.list_schedules()["Schedules"][0]
        scheduler.delete_schedule(Name=schedule["Name"], GroupName=schedule["GroupName"])
    print(json.dumps(inventory(aws)))


if __name__ == "__main__":
    main()
