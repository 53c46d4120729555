"""Alarms, dashboards and logs."""

from __future__ import annotations

from .aws import Aws
from .kind import ApiKind, Calls

#: Terraform's block `metric` has in one what the API has in two: `MetricStat`, and `Metric` in it.
INNER = ("metric_name", "namespace", "dimensions")


class MetricAlarm(ApiKind):
    """An alarm on one metric, or on an expression over several."""

    def request(self, call: str, want: dict) -> tuple[dict, set[str], bool]:
        queries = [{**query, "metric": [_nested(metric) for metric in query["metric"]]} for query in want["metric_query"]]
        return super().request(call, {**want, "metric_query": queries})


def _nested(metric: dict) -> dict:
    inner = {name: metric.get(name) for name in INNER}
    return {"metric": [inner], **{name: value for name, value in metric.items() if name not in INNER}}


def _read_metric_alarm(aws: Aws, state: dict) -> dict | None:
    alarm = _read_alarm(aws, state)
    if alarm is None:
        return None
    queries = []
    for query in alarm.pop("Metrics", ()):
        metric = query.get("MetricStat")
        queries.append({**query, "MetricStat": {**metric, **metric["Metric"]}} if metric else query)
    # An emulator that keeps no queries tells nothing of them.
    return {**alarm, "Metrics": queries} if queries else alarm


def _read_alarm(aws: Aws, state: dict) -> dict | None:
    answer = aws.client("cloudwatch").describe_alarms(
        AlarmNames=[state["alarm_name"]], AlarmTypes=["MetricAlarm", "CompositeAlarm"]
    )
    return next(iter([*answer.get("MetricAlarms", ()), *answer.get("CompositeAlarms", ())]), None)


def _delete_alarm(aws: Aws, state: dict) -> None:
    aws.client("cloudwatch").delete_alarms(AlarmNames=[state["alarm_name"]])


def _alarm(aws: Aws, state: dict, _answer: dict) -> dict:
    return {"id": state["alarm_name"], "arn": aws.arn("cloudwatch", f"alarm:{state['alarm_name']}")}


def _dashboard(aws: Aws, state: dict, _answer: dict) -> dict:
    name = state["dashboard_name"]
    return {"id": name, "dashboard_arn": f"arn:aws:cloudwatch::{aws.account}:dashboard/{name}"}


def _delete_dashboard(aws: Aws, state: dict) -> None:
    aws.client("cloudwatch").delete_dashboards(DashboardNames=[state["dashboard_name"]])


def _read_group(aws: Aws, state: dict) -> dict | None:
    pages = aws.client("logs").get_paginator("describe_log_groups").paginate(logGroupNamePrefix=state["name"])
    return next((group for page in pages for group in page["logGroups"] if group["logGroupName"] == state["name"]), None)


def _group(aws: Aws, state: dict, _answer: dict) -> dict:
    # The API's ARN has `:*` at its end, Terraform's has not.
    return {"id": state["name"], "arn": aws.arn("logs", f"log-group:{state['name']}")}


def _read_filter(aws: Aws, state: dict) -> dict | None:
    answer = aws.client("logs").describe_metric_filters(logGroupName=state["log_group_name"], filterNamePrefix=state["name"])
    return next((item for item in answer["metricFilters"] if item["filterName"] == state["name"]), None)


def _read_policy(aws: Aws, state: dict) -> dict | None:
    policies = aws.client("logs").describe_resource_policies()["resourcePolicies"]
    return next((policy for policy in policies if policy["policyName"] == state["policy_name"]), None)


CALLS = {
    "aws_cloudwatch_metric_alarm": Calls(
        "cloudwatch",
        create="put_metric_alarm",
        key={"AlarmName": "alarm_name"},
        read=_read_metric_alarm,
        update="put_metric_alarm",
        delete=_delete_alarm,
        renamed={
            "metric_query": "Metrics",
            "metric": "MetricStat",
            "evaluate_low_sample_count_percentiles": "EvaluateLowSampleCountPercentile",
        },
        known=_alarm,
    ),
    "aws_cloudwatch_composite_alarm": Calls(
        "cloudwatch",
        create="put_composite_alarm",
        key={"AlarmName": "alarm_name"},
        read=_read_alarm,
        update="put_composite_alarm",
        delete=_delete_alarm,
        known=_alarm,
    ),
    "aws_cloudwatch_dashboard": Calls(
        "cloudwatch",
        create="put_dashboard",
        key={"DashboardName": "dashboard_name"},
        read="get_dashboard",
        update="put_dashboard",
        delete=_delete_dashboard,
        known=_dashboard,
    ),
    "aws_cloudwatch_log_group": Calls(
        "logs",
        create=("create_log_group", "put_retention_policy"),
        key={"logGroupName": "name"},
        read=_read_group,
        update="put_retention_policy",
        delete="delete_log_group",
        renamed={"name": "logGroupName"},
        local=frozenset({"name_prefix", "skip_destroy"}),
        known=_group,
        told=_group,
    ),
    "aws_cloudwatch_log_metric_filter": Calls(
        "logs",
        create="put_metric_filter",
        key={"logGroupName": "log_group_name", "filterName": "name"},
        read=_read_filter,
        update="put_metric_filter",
        delete="delete_metric_filter",
        renamed={
            "name": "filterName",
            "pattern": "filterPattern",
            "metric_transformation": "metricTransformations",
            "metric_transformation.name": "metricName",
            "metric_transformation.namespace": "metricNamespace",
            "metric_transformation.value": "metricValue",
        },
        known=lambda _aws, state, _answer: {"id": state["name"]},
    ),
    "aws_cloudwatch_log_resource_policy": Calls(
        "logs",
        create="put_resource_policy",
        key={"policyName": "policy_name"},
        read=_read_policy,
        update="put_resource_policy",
        delete="delete_resource_policy",
        known=lambda _aws, state, _answer: {"id": state["policy_name"]},
    ),
}
