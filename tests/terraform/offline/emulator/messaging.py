"""EventBridge, with its pipes and schedules, and subscriptions. Queues and topics are in `attributes`."""

from __future__ import annotations

import json

from .aws import Aws
from .kind import ApiKind, Calls

#: MiniStack keeps of a pipe what it needs to list it, and drops its parameters. So the whole request of CreatePipe is kept
#: beside it as this tag, which DescribePipe gives back.
DEFINITION_TAG = "cloakroom:definition"


class Pipe(ApiKind):
    """A pipe. The emulator stores it, and does not run it from a table's stream to a function."""

    def create(self, want: dict) -> dict:
        return self._keep(super().create(want))

    def update(self, prior: dict, want: dict) -> dict:
        super().update(prior, want)
        return self._keep(want)

    def _keep(self, state: dict) -> dict:
        definition = json.dumps(self.request("create_pipe", state)[0])
        self.client.tag_resource(resourceArn=state["arn"], tags={DEFINITION_TAG: definition})
        return self.read(state)


def _read_pipe(aws: Aws, state: dict) -> dict:
    answer = aws.client("pipes").describe_pipe(Name=state["name"])
    kept = json.loads(answer.get("Tags", {}).get(DEFINITION_TAG, "{}"))
    return {**kept, **{name: value for name, value in answer.items() if value != ""}}


def _bus(state: dict) -> str:
    return state["event_bus_name"] if isinstance(state.get("event_bus_name"), str) else "default"


def _rule(aws: Aws, state: dict, _answer: dict) -> dict:
    bus, name = _bus(state), state["name"]
    path = name if bus == "default" else f"{bus}/{name}"
    return {"id": path, "arn": aws.arn("events", f"rule/{path}")}


def _read_target(aws: Aws, state: dict) -> dict | None:
    answer = aws.client("events").list_targets_by_rule(Rule=state["rule"], EventBusName=_bus(state))
    return next((target for target in answer["Targets"] if target["Id"] == state["target_id"]), None)


def _delete_target(aws: Aws, state: dict) -> None:
    aws.client("events").remove_targets(Rule=state["rule"], EventBusName=_bus(state), Ids=[state["target_id"]])


def _known_target(_aws: Aws, state: dict, _answer: dict) -> dict:
    return {"id": f"{state['rule']}-{state['target_id']}"}


def _subscription(_aws: Aws, _state: dict, answer: dict) -> dict:
    return {"id": answer["SubscriptionArn"], "arn": answer["SubscriptionArn"]}


def _read_subscription(aws: Aws, state: dict) -> dict | None:
    pages = aws.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=state["topic_arn"])
    found = any(item["SubscriptionArn"] == state["arn"] for page in pages for item in page["Subscriptions"])
    return {} if found else None


CALLS = {
    "aws_sns_topic_subscription": Calls(
        "sns",
        create="subscribe",
        key={"SubscriptionArn": "arn"},
        read=_read_subscription,
        delete="unsubscribe",
        # Of the provider's own waiting.
        local=frozenset({"confirmation_timeout_in_minutes", "endpoint_auto_confirms"}),
        always={"ReturnSubscriptionArn": True},
        known=_subscription,
    ),
    "aws_pipes_pipe": Calls(
        "pipes",
        create="create_pipe",
        key={"Name": "name"},
        read=_read_pipe,
        update="update_pipe",
        delete="delete_pipe",
        local=frozenset({"name_prefix"}),
        known=lambda _aws, state, answer: {"id": state["name"], "arn": answer["Arn"]},
    ),
    "aws_cloudwatch_event_bus": Calls(
        "events",
        create="create_event_bus",
        key={"Name": "name"},
        read="describe_event_bus",
        update="update_event_bus",
        delete="delete_event_bus",
        known=lambda aws, state, _answer: {"id": state["name"], "arn": aws.arn("events", f"event-bus/{state['name']}")},
    ),
    "aws_cloudwatch_event_rule": Calls(
        "events",
        create="put_rule",
        key={"Name": "name", "EventBusName": "event_bus_name"},
        read="describe_rule",
        update="put_rule",
        delete="delete_rule",
        # `is_enabled` is the older form of `state`.
        local=frozenset({"name_prefix", "is_enabled", "force_destroy"}),
        known=_rule,
    ),
    "aws_cloudwatch_event_target": Calls(
        "events",
        create="put_targets",
        key={"Rule": "rule", "EventBusName": "event_bus_name"},
        inside="Targets",
        read=_read_target,
        update="put_targets",
        delete=_delete_target,
        renamed={
            "target_id": "Id",
            "http_target": "HttpParameters",
            "sqs_target": "SqsParameters",
            "ecs_target": "EcsParameters",
            "input_paths": "InputPathsMap",
        },
        local=frozenset({"force_destroy"}),
        known=_known_target,
    ),
    "aws_cloudwatch_event_connection": Calls(
        "events",
        create="create_connection",
        key={"Name": "name"},
        read="describe_connection",
        update="update_connection",
        delete="delete_connection",
        renamed={
            "api_key": "ApiKeyAuthParameters",
            "basic": "BasicAuthParameters",
            "oauth": "OAuthParameters",
            "header": "HeaderParameters",
            "query_string": "QueryStringParameters",
            "body": "BodyParameters",
            "api_key.key": "ApiKeyName",
            "api_key.value": "ApiKeyValue",
        },
        known=lambda _aws, state, answer: {"id": state["name"], "arn": answer["ConnectionArn"]},
    ),
    "aws_cloudwatch_event_api_destination": Calls(
        "events",
        create="create_api_destination",
        key={"Name": "name"},
        read="describe_api_destination",
        update="update_api_destination",
        delete="delete_api_destination",
        known=lambda _aws, state, answer: {"id": state["name"], "arn": answer["ApiDestinationArn"]},
    ),
    "aws_cloudwatch_event_archive": Calls(
        "events",
        create="create_archive",
        key={"ArchiveName": "name"},
        read="describe_archive",
        update="update_archive",
        delete="delete_archive",
        renamed={"name": "ArchiveName"},
        known=lambda _aws, state, answer: {"id": state["name"], "arn": answer["ArchiveArn"]},
    ),
    "aws_scheduler_schedule_group": Calls(
        "scheduler",
        create="create_schedule_group",
        key={"Name": "name"},
        read="get_schedule_group",
        delete="delete_schedule_group",
        local=frozenset({"name_prefix"}),
        known=lambda _aws, state, answer: {"id": state["name"], "arn": answer["ScheduleGroupArn"]},
    ),
    "aws_scheduler_schedule": Calls(
        "scheduler",
        create="create_schedule",
        key={"Name": "name", "GroupName": "group_name"},
        read="get_schedule",
        update="update_schedule",
        delete="delete_schedule",
        local=frozenset({"name_prefix"}),
        known=lambda _aws, state, answer: {
            "id": f"{state['group_name'] if isinstance(state.get('group_name'), str) else 'default'}/{state['name']}",
            "arn": answer["ScheduleArn"],
        },
    ),
}
