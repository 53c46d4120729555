"""What may be done: no policy of a deployment allows more than it names.

A scan of the configuration's text does not see policies that are put together from lists, as these are. So an example is
rendered (an apply that makes nothing), and the texts of its policies are looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from .. import launch
from ..errors import Failure
from .outcome import Outcome
from .package import package

#: Actions that AWS lets nobody narrow down to a resource, from its Service Authorization Reference.
WITHOUT_RESOURCE = {
    "ec2:AssignPrivateIpAddresses": "Lambda's network interfaces do not exist before the function does",
    "ec2:CreateNetworkInterface": "Lambda's network interfaces do not exist before the function does",
    "ec2:DeleteNetworkInterface": "Lambda's network interfaces do not exist before the function does",
    "ec2:DescribeNetworkInterfaces": "it lists, and knows no resources",
    "ec2:DescribeSubnets": "it lists, and knows no resources",
    "ec2:UnassignPrivateIpAddresses": "Lambda's network interfaces do not exist before the function does",
    "ecr:GetAuthorizationToken": "it is for the whole registry",
}
#: Where a resource's type has policies. Those of a key are about that key, whatever they name.
POLICIES = {
    "aws_iam_policy": "policy",
    "aws_iam_role": "assume_role_policy",
    "aws_iam_role_policy": "policy",
    "aws_s3_bucket_policy": "policy",
    "aws_secretsmanager_secret_policy": "policy",
    "aws_sns_topic_policy": "policy",
    "aws_sqs_queue_policy": "policy",
    "aws_vpc_endpoint": "policy",
}


def narrow(example: Path, environment: Mapping[str, str]) -> Outcome:
    """Whether all policies of an example are as narrow as they can be. `environment` is the stub's, which renders."""
    name = f"grants {example.name}"
    try:
        state = rendered(example, environment)
    except Failure as failure:
        return Outcome(name, False, str(failure))
    statements = list(_statements(state))
    found = [f"{address}: {problem}" for address, statement in statements for problem in problems(statement)]
    found += [] if statements else ["there are no policies"]
    return Outcome(f"{name}: {len(statements)} statements", not found, "\n".join(found))


def rendered(example: Path, environment: Mapping[str, str]) -> dict:
    """The state of an example that was applied to nothing, as `terraform show -json` has it. An example that needs inputs has
    some in `terraform.tfvars.example`."""
    with launch.initialised(example, environment) as own:
        folder = Path(own["TF_DATA_DIR"])
        own["TF_VAR_function_package"] = str(package(folder))
        state = folder / "rendered.tfstate"
        inputs = ["-var-file=terraform.tfvars.example"] if (example / "terraform.tfvars.example").exists() else []
        applied = launch.run(example, ["apply", "-auto-approve", "-no-color", f"-state={state}", *inputs], own)
        if applied.returncode != 0:
            raise Failure(applied.stdout)
        return json.loads(launch.run(example, ["show", "-json", str(state)], own).stdout)


def _statements(state: dict) -> Iterator[tuple[str, dict]]:
    """Each statement, with the address of the resource whose policy it is in."""
    waiting = [state["values"]["root_module"]]
    while waiting:
        module = waiting.pop()
        waiting += module.get("child_modules", ())
        for resource in module.get("resources", ()):
            text = resource["values"].get(POLICIES.get(resource["type"], ""))
            if text:
                found = json.loads(text)["Statement"]
                yield from ((resource["address"], item) for item in (found if isinstance(found, list) else [found]))


def problems(statement: dict) -> Iterator[str]:
    """What a statement allows too much of. One that denies may be as wide as it likes."""
    if statement["Effect"] != "Allow":
        return
    sid = statement.get("Sid", "a statement without a name")
    actions, resources = _listed(statement.get("Action")), _listed(statement.get("Resource"))
    for action in actions:
        if "*" in action:
            yield f"{sid} allows the wildcard action {action}"
    for resource in resources:
        # Beyond the service, Region and account an ARN must name something.
        parts = resource.split(":", 5)
        wide = len(parts) < 6 or parts[5].startswith("*") or "*" in parts[2]
        if wide and not all(action in WITHOUT_RESOURCE for action in actions):
            yield f"{sid} allows {', '.join(actions)} on the wildcard resource {resource}"
    if "NotAction" in statement or "NotResource" in statement:
        yield f"{sid} allows everything but what it names"
    principals = statement.get("Principal")
    everyone = "*" in _listed(list(principals.values()) if isinstance(principals, dict) else principals)
    if everyone and "Condition" not in statement:
        yield f"{sid} allows everyone"


def _listed(value: object) -> list[str]:
    if value is None:
        return []
    items = value if isinstance(value, list) else [value]
    return [text for item in items for text in (item if isinstance(item, list) else [item])]
