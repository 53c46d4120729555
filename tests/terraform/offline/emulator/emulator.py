"""Which type is made how."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from ..errors import Failure
from . import access, attributes, functions, messaging, network, storage, tables, watching, web
from .aws import Aws
from .kind import ApiKind, Calls, Kind

CALLS: Mapping[str, Calls] = {
    name: calls
    for module in (access, functions, messaging, network, storage, watching, web)
    for name, calls in module.CALLS.items()
}
#: Types whose calls need more than a table.
SPECIAL: Mapping[str, type[ApiKind]] = {
    "aws_apigatewayv2_stage": web.Stage,
    "aws_cloudwatch_metric_alarm": watching.MetricAlarm,
    "aws_ecs_service": network.Service,
    "aws_ecs_task_definition": network.TaskDefinition,
    "aws_lambda_function": functions.Function,
    "aws_lb": network.Attributed,
    "aws_lb_listener": network.Listener,
    "aws_lb_target_group": network.Attributed,
    "aws_pipes_pipe": messaging.Pipe,
    "aws_route53_record": network.Record,
    "aws_s3_bucket_notification": storage.Notification,
    "aws_s3_object": storage.Object,
    "aws_security_group": network.SecurityGroup,
    "aws_vpc_security_group_egress_rule": network.SecurityGroupRule,
    "aws_vpc_security_group_ingress_rule": network.SecurityGroupRule,
}
OWN: Mapping[str, type] = {**attributes.KINDS, "aws_dynamodb_table": tables.Table}


class Emulator:
    """Makes, reads, changes and removes resources on MiniStack."""

    def __init__(self, endpoint: str, schema: dict):
        self.aws, self.schema = Aws(endpoint), schema
        self._kinds: dict[str, Kind] = {}
        self._lock = threading.Lock()

    def account(self) -> str:
        """The account's id."""
        return self.aws.account

    def kind(self, name: str) -> Kind:
        """How resources of this type come and go; a type that nobody taught this is an error."""
        with self._lock:
            if name not in self._kinds:
                self._kinds[name] = self._make(name)
            return self._kinds[name]

    def _make(self, name: str) -> Kind:
        block = self.schema["resources"][name]
        if name in OWN:
            return OWN[name](name, block, self.aws)
        if name in CALLS:
            return SPECIAL.get(name, ApiKind)(name, block, self.aws, CALLS[name])
        raise Failure(f"nothing knows how to make {name} on the emulator: add it to tests/terraform/offline/emulator")
