"""Lambda functions, who may call them, and what feeds them."""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import Failure
from ..provider import values
from .aws import Aws
from .kind import ApiKind, Calls

ENDPOINT = "AWS_ENDPOINT_URL"
#: Attributes that say which code runs.
CODE = ("filename", "s3_bucket", "s3_key", "s3_object_version", "source_code_hash", "architectures")


class Function(ApiKind):
    """A function. The emulator runs it as a process, which finds AWS by the variable AWS_ENDPOINT_URL: it is added to the
    function's environment, and not told to Terraform, which did not ask for it."""

    # Set together with the code.
    elsewhere = frozenset({"architectures"})

    def create(self, want: dict) -> dict:
        state = super().create(want)
        self._limit_concurrency(want)
        return self.read(state)

    def update(self, prior: dict, want: dict) -> dict:
        if any(want.get(name) != prior.get(name) for name in CODE):
            architectures = {"Architectures": want["architectures"]} if isinstance(want.get("architectures"), list) else {}
            self.client.update_function_code(FunctionName=want["function_name"], **_code(want), **architectures)
        super().update(prior, want)
        self._limit_concurrency(want)
        return self.read(want)

    def request(self, call: str, want: dict) -> tuple[dict, set[str], bool]:
        request, left, says_something = super().request(call, want)
        variables = request.setdefault("Environment", {}).setdefault("Variables", {})
        variables.setdefault(ENDPOINT, self.aws.function_endpoint(want["function_name"], want.get("handler") or ""))
        if call == "create_function":
            request["Code"] = _code(want)
        return request, left, says_something

    def _limit_concurrency(self, want: dict) -> None:
        limit = want.get("reserved_concurrent_executions")
        if limit is None or limit < 0:
            self.client.delete_function_concurrency(FunctionName=want["function_name"])
        else:
            self.client.put_function_concurrency(FunctionName=want["function_name"], ReservedConcurrentExecutions=limit)


def _code(want: dict) -> dict:
    if want.get("filename"):
        return {"ZipFile": Path(want["filename"]).read_bytes()}
    if want.get("s3_bucket"):
        version = {"S3ObjectVersion": want["s3_object_version"]} if want.get("s3_object_version") else {}
        return {"S3Bucket": want["s3_bucket"], "S3Key": want["s3_key"], **version}
    raise Failure("the emulated apply knows functions from a zip only (`filename` or `s3_bucket`)")


def _function(aws: Aws, state: dict, _answer: dict) -> dict:
    arn = aws.arn("lambda", f"function:{state['function_name']}")
    invoke = f"arn:aws:apigateway:{aws.region}:lambda:path/2015-03-31/functions/{arn}"
    return {
        "id": state["function_name"],
        "arn": arn,
        "invoke_arn": f"{invoke}/invocations",
        "response_streaming_invoke_arn": f"{invoke}/response-streaming-invocations",
        "qualified_arn": f"{arn}:$LATEST",
        "qualified_invoke_arn": f"arn:aws:apigateway:{aws.region}:lambda:path/2015-03-31/functions/{arn}:$LATEST/invocations",
    }


def _told_function(aws: Aws, state: dict, answer: dict) -> dict:
    """Without what was added to the environment."""
    variables = dict(answer.get("Environment", {}).get("Variables", {}))
    asked = [block.get("variables") or {} for block in state.get("environment") or ()]
    if not any(ENDPOINT in names for names in asked):
        variables.pop(ENDPOINT, None)
    told = _function(aws, state, answer)
    if asked:
        told["environment"] = [{"variables": variables or None}]
    limit = aws.client("lambda").get_function_concurrency(FunctionName=state["function_name"]).get("ReservedConcurrentExecutions")
    if limit is not None or (state.get("reserved_concurrent_executions") or -1) >= 0:
        told["reserved_concurrent_executions"] = -1 if limit is None else limit
    return {**told, "source_code_hash": _hash(state, answer)}


def _hash(state: dict, answer: dict) -> object:
    """The code's hash: as it was given, while the code is the one that was deployed."""
    given = state.get("source_code_hash")
    return answer["CodeSha256"] if values.is_unknown(given) or given is None else given


def _read_permission(aws: Aws, state: dict) -> dict | None:
    policy = json.loads(aws.client("lambda").get_policy(FunctionName=state["function_name"])["Policy"])
    found = any(statement["Sid"] == state["statement_id"] for statement in policy["Statement"])
    return {} if found else None


CALLS = {
    "aws_lambda_function": Calls(
        "lambda",
        create="create_function",
        key={"FunctionName": "function_name"},
        read="get_function",
        answer="Configuration",
        update="update_function_configuration",
        delete="delete_function",
        local=frozenset(
            {
                # The code is sent as `Code`, or by a call of its own.
                *("filename", "s3_bucket", "s3_key", "s3_object_version", "image_uri", "source_code_hash"),
                # A call of its own.
                "reserved_concurrent_executions",
                # Only the provider uses these.
                *("skip_destroy", "replace_security_groups_on_destroy", "replacement_security_group_ids", "code_sha256"),
            }
        ),
        renamed={"source_code_size": "CodeSize"},
        known=_function,
        told=_told_function,
        volatile=frozenset({"last_modified", "source_code_size", "code_sha256", "version"}),
    ),
    "aws_lambda_permission": Calls(
        "lambda",
        create="add_permission",
        key={"FunctionName": "function_name", "StatementId": "statement_id"},
        read=_read_permission,
        delete="remove_permission",
        local=frozenset({"statement_id_prefix"}),
        known=lambda _aws, state, _answer: {"id": state["statement_id"]},
    ),
    "aws_lambda_event_source_mapping": Calls(
        "lambda",
        create="create_event_source_mapping",
        key={"UUID": "uuid"},
        read="get_event_source_mapping",
        update="update_event_source_mapping",
        delete="delete_event_source_mapping",
        renamed={"last_modified": "LastModified"},
        known=lambda aws, _state, answer: {
            "id": answer["UUID"],
            "uuid": answer["UUID"],
            "function_arn": answer["FunctionArn"],
            "arn": aws.arn("lambda", f"event-source-mapping:{answer['UUID']}"),
        },
        volatile=frozenset({"last_modified"}),
    ),
    "aws_lambda_function_event_invoke_config": Calls(
        "lambda",
        create="put_function_event_invoke_config",
        key={"FunctionName": "function_name", "Qualifier": "qualifier"},
        read="get_function_event_invoke_config",
        update="put_function_event_invoke_config",
        delete="delete_function_event_invoke_config",
        known=lambda _aws, state, _answer: {"id": state["function_name"]},
    ),
}
