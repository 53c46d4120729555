"""One type of resource on the emulator: which calls of the API create, read, update and delete it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from botocore.exceptions import ClientError

from ..errors import Failure
from . import shapes, tags
from .aws import Aws

#: In every type: what follows from other things, and what only the provider itself uses.
OF_THE_PROVIDER = frozenset({"id", "region", "tags", "tags_all", "timeouts"})
GONE = ("NotFound", "NoSuch", "NonExistent", "DoesNotExist", "404")


def is_gone(error: ClientError) -> bool:
    """Whether the API says that there is no such thing."""
    return any(word in error.response["Error"]["Code"] for word in GONE)


class Kind:
    """How resources of one type come and go. A state is a resource's attributes as Terraform has them."""

    #: Attributes that no update can change: the resource is replaced.
    forcing: frozenset[str] = frozenset()
    #: Computed attributes that change with every update.
    volatile: frozenset[str] = frozenset()

    def create(self, want: dict) -> dict:
        """Makes it; gives back its state, with what is known now."""
        raise NotImplementedError

    def read(self, state: dict) -> dict | None:
        """Its state as the emulator tells it, or None when it is gone."""
        raise NotImplementedError

    def update(self, prior: dict, want: dict) -> dict:
        """Changes it; gives back its state."""
        raise NotImplementedError

    def delete(self, state: dict) -> None:
        """Removes it; that it is gone already is fine."""
        raise NotImplementedError


@dataclass(frozen=True)
class Calls:
    """The calls of one type. `create` and `update` may be several: each gets what it takes, and those after the first are
    made only when there is something for them beside the key."""

    service: str
    create: tuple[str, ...] | str
    #: Parameters that say which resource, each with the attribute that holds it.
    key: Mapping[str, str]
    #: One call, or a function of (aws, state) that gives back the API's answer or None. None: the API cannot tell.
    read: str | Callable[[Aws, dict], dict | None] | None
    delete: str | Callable[[Aws, dict], None] | None
    update: tuple[str, ...] | str = ()
    #: Where the answer of `read` holds what is wanted.
    answer: str | None = None
    #: The parameter that holds everything else.
    inside: str | None = None
    #: Attributes whose name is another one in the API.
    renamed: Mapping[str, str] = field(default_factory=dict)
    #: Attributes that are no parameters, each for a reason beside it.
    local: frozenset[str] = frozenset()
    #: Parameters that are always given.
    always: Mapping[str, object] = field(default_factory=dict)
    #: Attributes that are known after the creation, from (aws, state, answer).
    known: Callable[[Aws, dict, dict], dict] = lambda _aws, _state, _answer: {}
    #: What else a read shows, from (aws, state, answer): a correction of what the API tells in another form.
    told: Callable[[Aws, dict, dict], dict] = lambda _aws, _state, _answer: {}
    volatile: frozenset[str] = frozenset()


class ApiKind(Kind):
    """A type whose resources come and go by calls that take what Terraform has, under other names."""

    #: What is updated by another call than the table's.
    elsewhere: frozenset[str] = frozenset()

    def __init__(self, name: str, block: dict, aws: Aws, calls: Calls):
        self.name, self.block, self.aws, self.calls = name, block, aws, calls
        self.client = aws.client(calls.service)
        self.create_calls, self.update_calls = _tuple(calls.create), _tuple(calls.update)
        self.volatile = calls.volatile
        self.forcing = self._forcing()

    def create(self, want: dict) -> dict:
        answer = self._send(self.create_calls, want)
        state = {**want, **self.calls.known(self.aws, want, answer)}
        self.retag({}, state)
        return self.read(state) or state

    def read(self, state: dict) -> dict | None:
        read = self.calls.read
        if read is None:
            return state
        try:
            answer = read(self.aws, state) if callable(read) else getattr(self.client, read)(**self._keys(read, state))
        except ClientError as error:
            if is_gone(error):
                return None
            raise
        if answer is None:
            return None
        found = answer if self.calls.answer is None else answer[self.calls.answer]
        found = {name: content for name, content in found.items() if name.lower() not in ("tags", "tagset")}
        told = shapes.observed(self.block, state, found, self.calls.renamed)
        return {**told, **self.calls.told(self.aws, state, found)}

    def update(self, prior: dict, want: dict) -> dict:
        if any(want.get(name) != prior.get(name) for name in want if name not in OF_THE_PROVIDER):
            self._send(self.update_calls, want)
        self.retag(prior.get("tags_all") or {}, want)
        return self.read(want) or want

    def delete(self, state: dict) -> None:
        delete = self.calls.delete
        if delete is None:
            return
        try:
            if callable(delete):
                delete(self.aws, state)
            else:
                getattr(self.client, delete)(**self._keys(delete, state))
        except ClientError as error:
            if not is_gone(error):
                raise

    def retag(self, before: Mapping[str, str], state: dict) -> None:
        """Sets the tags that a resource has now, by the service's own calls."""
        after = state.get("tags_all") or {}
        if "tags_all" in self.block["attributes"] and after != before:
            tags.change(self.client, self.calls.service, state, before, after)

    def _settable(self) -> dict[str, object]:
        """Attributes and blocks that a configuration may set and that the API must be told of."""
        attributes = {
            name: attribute
            for name, attribute in self.block["attributes"].items()
            if attribute["required"] or attribute["optional"]
        }
        both = {**attributes, **self.block["blocks"]}
        return {name: item for name, item in both.items() if name not in OF_THE_PROVIDER | self.calls.local}

    def _shape(self, call: str) -> object:
        """The input of a call, or what it holds `inside`."""
        shape = self._input(call)
        held = shape.members.get(self.calls.inside)
        if held is None:
            return shape
        return held.member if held.type_name == "list" else held

    def _input(self, call: str) -> object:
        model = self.client.meta.service_model
        return model.operation_model(self.client.meta.method_to_api_mapping[call]).input_shape

    def _forcing(self) -> frozenset[str]:
        """What no update takes: it can be changed only by a new resource."""

        def taken(name: str) -> bool:
            return any(shapes.member(self._shape(call).members, name, self.calls.renamed) for call in self.update_calls)

        keys = set(self.calls.key.values())
        return frozenset(name for name in self._settable() if name in keys or not taken(name)) - self.elsewhere

    def _send(self, calls: tuple[str, ...], want: dict) -> dict:
        """Makes the calls; an argument that none of them takes is an error before anything is made, so that nothing is
        made up."""
        requests = [(call, *self.request(call, want)) for call in calls]
        unknown = set.intersection(*(left for _, _, left, _ in requests)) if requests else set()
        unknown -= set(self.calls.key.values())
        if calls is self.update_calls:
            unknown -= self.forcing | self.elsewhere
        if unknown:
            raise Failure(f"the emulated apply does not know the argument {', '.join(sorted(unknown))}")
        answers: dict = {}
        for place, (call, request, _, says_something) in enumerate(requests):
            if place == 0 or says_something:
                answers = {**getattr(self.client, call)(**request), **answers}
        return answers

    def request(self, call: str, want: dict) -> tuple[dict, set[str], bool]:
        """What a call is given, the arguments that it does not take, and whether it says more than which resource."""
        settable = {name: want.get(name) for name in self._settable()}
        taken, left = shapes.parameters(self._shape(call), settable, self.calls.renamed)
        members, inside = self._input(call).members, self.calls.inside
        key = self._keys(call, want)
        says_something = bool(set(taken) - set(key))
        if inside in members:
            taken = {inside: [taken] if members[inside].type_name == "list" else taken}
        always = {name: value for name, value in self.calls.always.items() if name in members}
        return {**taken, **always, **key}, left, says_something

    def _keys(self, call: str, state: Mapping) -> dict:
        members = self._input(call).members
        return {
            parameter: state[name]
            for parameter, name in self.calls.key.items()
            if parameter in members and isinstance(state.get(name), str)
        }


def _tuple(calls: tuple[str, ...] | str) -> tuple[str, ...]:
    return (calls,) if isinstance(calls, str) else calls
