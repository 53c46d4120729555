"""Rendering: an apply that makes nothing, and whose state holds a well-formed value for everything that AWS would decide, so
that policies, variables and names can be checked as a whole, without an emulator."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from . import values
from .data_sources import ACCOUNT


def _arn(service: str, rest: str) -> str:
    return f"arn:aws:{service}:{{region}}:{{account}}:{rest}"


_FUNCTION = _arn("lambda", "function:{function_name}")
_INVOKE = f"arn:aws:apigateway:{{region}}:lambda:path/2015-03-31/functions/{_FUNCTION}/invocations"

#: What AWS makes of the names, by type. `{hash}` is ten characters that follow from the resource's own arguments.
TEMPLATES: Mapping[str, Mapping[str, str]] = {
    "aws_apigatewayv2_api": {
        "id": "{hash}",
        "arn": "arn:aws:apigateway:{region}::/apis/{hash}",
        "api_endpoint": "https://{hash}.execute-api.{region}.amazonaws.com",
        "execution_arn": _arn("execute-api", "{hash}"),
    },
    "aws_apigatewayv2_stage": {
        "id": "{name}",
        "arn": "arn:aws:apigateway:{region}::/apis/{api_id}/stages/{name}",
        "execution_arn": _arn("execute-api", "{api_id}/{name}"),
        "invoke_url": "https://{api_id}.execute-api.{region}.amazonaws.com/{name}",
    },
    "aws_apigatewayv2_domain_name": {"id": "{domain_name}", "arn": "arn:aws:apigateway:{region}::/domainnames/{domain_name}"},
    "aws_cloudwatch_composite_alarm": {"id": "{alarm_name}", "arn": _arn("cloudwatch", "alarm:{alarm_name}")},
    "aws_cloudwatch_dashboard": {
        "id": "{dashboard_name}",
        "dashboard_arn": "arn:aws:cloudwatch::{account}:dashboard/{dashboard_name}",
    },
    "aws_cloudwatch_event_api_destination": {"id": "{name}", "arn": _arn("events", "api-destination/{name}/{hash}")},
    "aws_cloudwatch_event_bus": {"id": "{name}", "arn": _arn("events", "event-bus/{name}")},
    "aws_cloudwatch_event_connection": {"id": "{name}", "arn": _arn("events", "connection/{name}/{hash}")},
    "aws_cloudwatch_event_rule": {"id": "{bus_path}{name}", "arn": _arn("events", "rule/{bus_path}{name}")},
    "aws_cloudwatch_log_group": {"id": "{name}", "arn": _arn("logs", "log-group:{name}")},
    "aws_cloudwatch_metric_alarm": {"id": "{alarm_name}", "arn": _arn("cloudwatch", "alarm:{alarm_name}")},
    "aws_dynamodb_table": {
        "id": "{name}",
        "arn": _arn("dynamodb", "table/{name}"),
        "stream_arn": _arn("dynamodb", "table/{name}/stream/2026-01-01T00:00:00.000"),
        "stream_label": "2026-01-01T00:00:00.000",
    },
    "aws_ecs_cluster": {"id": _arn("ecs", "cluster/{name}"), "arn": _arn("ecs", "cluster/{name}")},
    "aws_ecs_service": {"id": _arn("ecs", "service/{name}"), "arn": _arn("ecs", "service/{name}")},
    "aws_ecs_task_definition": {
        "id": "{family}",
        "arn": _arn("ecs", "task-definition/{family}:1"),
        "arn_without_revision": _arn("ecs", "task-definition/{family}"),
    },
    "aws_iam_policy": {"id": "arn:aws:iam::{account}:policy/{name}", "arn": "arn:aws:iam::{account}:policy/{name}"},
    "aws_iam_role": {"id": "{name}", "arn": "arn:aws:iam::{account}:role/{name}"},
    "aws_iam_role_policy": {"id": "{role}:{name}"},
    "aws_kms_alias": {"id": "{name}", "arn": _arn("kms", "{name}")},
    "aws_kms_key": {"id": "{hash}", "key_id": "{hash}", "arn": _arn("kms", "key/{hash}")},
    "aws_lambda_event_source_mapping": {"id": "{hash}", "uuid": "{hash}", "arn": _arn("lambda", "event-source-mapping:{hash}")},
    "aws_lambda_function": {
        "id": "{function_name}",
        "arn": _arn("lambda", "function:{function_name}"),
        "invoke_arn": _INVOKE,
        "qualified_arn": _arn("lambda", "function:{function_name}:$LATEST"),
        "version": "$LATEST",
    },
    "aws_lb": {
        "id": _arn("elasticloadbalancing", "loadbalancer/app/{name}/{hash}"),
        "arn": _arn("elasticloadbalancing", "loadbalancer/app/{name}/{hash}"),
        "arn_suffix": "app/{name}/{hash}",
        "dns_name": "{name}-{hash}.{region}.elb.amazonaws.com",
    },
    "aws_lb_target_group": {
        "id": _arn("elasticloadbalancing", "targetgroup/{hash}"),
        "arn": _arn("elasticloadbalancing", "targetgroup/{hash}"),
        "arn_suffix": "targetgroup/{hash}",
    },
    "aws_pipes_pipe": {"id": "{name}", "arn": _arn("pipes", "pipe/{name}")},
    "aws_s3_bucket": {
        "id": "{bucket}",
        "arn": "arn:aws:s3:::{bucket}",
        "bucket_domain_name": "{bucket}.s3.amazonaws.com",
        "bucket_regional_domain_name": "{bucket}.s3.{region}.amazonaws.com",
    },
    "aws_s3_object": {"id": "{bucket}/{key}", "arn": "arn:aws:s3:::{bucket}/{key}"},
    "aws_scheduler_schedule": {"id": "{group_name}/{name}", "arn": _arn("scheduler", "schedule/{group_name}/{name}")},
    "aws_scheduler_schedule_group": {"id": "{name}", "arn": _arn("scheduler", "schedule-group/{name}")},
    "aws_secretsmanager_secret": {
        "id": _arn("secretsmanager", "secret:{name}-AbCdEf"),
        "arn": _arn("secretsmanager", "secret:{name}-AbCdEf"),
    },
    "aws_security_group": {"id": "sg-{hash}", "arn": _arn("ec2", "security-group/sg-{hash}")},
    "aws_sns_topic": {"id": _arn("sns", "{name}"), "arn": _arn("sns", "{name}")},
    "aws_sns_topic_subscription": {"id": "{topic_arn}:{hash}", "arn": "{topic_arn}:{hash}"},
    "aws_sqs_queue": {
        "id": "https://sqs.{region}.amazonaws.com/{account}/{name}",
        "url": "https://sqs.{region}.amazonaws.com/{account}/{name}",
        "arn": _arn("sqs", "{name}"),
    },
    "aws_vpc_endpoint": {"id": "vpce-{hash}", "arn": _arn("ec2", "vpc-endpoint/vpce-{hash}")},
}
#: Everything else.
OTHERS = {"id": "{hash}"}


def render(type_: str, block: dict, planned: dict) -> dict:
    """The state of a resource, as planned, with what AWS would decide. What no template tells is null, or empty."""
    known = {name: value for name, value in planned.items() if not values.is_unknown(value)}
    text = json.dumps([type_, known], sort_keys=True, default=str)
    names = {
        "account": ACCOUNT,
        "hash": hashlib.sha256(text.encode()).hexdigest()[:10],
        "bus_path": f"{known['event_bus_name']}/" if known.get("event_bus_name") not in (None, "default") else "",
        **{name: value for name, value in known.items() if isinstance(value, str)},
    }
    names.setdefault("region", "us-east-1")
    names.setdefault("group_name", "default")
    templates = TEMPLATES.get(type_, OTHERS)
    decided = {
        name: templates[name].format_map(names) if name in templates else value
        for name, value in planned.items()
        if values.is_unknown(value)
    }
    return values.settled(block, planned, decided)
