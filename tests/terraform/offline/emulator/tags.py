"""Tags: the same in every service, but for the names of the calls."""

from __future__ import annotations

from collections.abc import Mapping


def change(client: object, service: str, state: dict, before: Mapping[str, str], after: Mapping[str, str]) -> None:
    """Changes the tags of a resource from `before` to `after`."""
    gone = sorted(set(before) - set(after))
    if service == "s3":
        # The whole set is replaced.
        client.put_bucket_tagging(Bucket=state["bucket"], Tagging={"TagSet": _listed(after)})
        return
    if service == "iam":
        which, tag, untag = {"RoleName": state["name"]}, "tag_role", "untag_role"
    elif service == "sqs":
        which, tag, untag = {"QueueUrl": state["url"]}, "tag_queue", "untag_queue"
    else:
        which, tag, untag = {_subject(client): state["arn"]}, "tag_resource", "untag_resource"
    if gone:
        getattr(client, untag)(**which, **{_parameter(client, untag, "keys"): gone})
    if after:
        name = _parameter(client, tag, "tags")
        listed = _input(client, tag).members[name].type_name == "list"
        getattr(client, tag)(**which, **{name: _listed(after) if listed else dict(after)})


def _listed(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def _input(client: object, call: str) -> object:
    return client.meta.service_model.operation_model(client.meta.method_to_api_mapping[call]).input_shape


def _parameter(client: object, call: str, ending: str) -> str:
    return next(name for name in _input(client, call).members if name.lower().endswith(ending))


def _subject(client: object) -> str:
    """The parameter of tag_resource that says which resource: ResourceArn, SecretId, …"""
    return next(name for name in _input(client, "tag_resource").members if not name.lower().endswith("tags"))
