"""The provider: answers each call of the protocol."""

from __future__ import annotations

import copy
import functools
import traceback
from collections.abc import Callable
from types import ModuleType

from ..errors import Failure
from . import data_sources, plan, protocol, rendered, values

DEFAULT_REGION = "us-east-1"
NO_EMULATOR = (
    "there is nothing to apply this to: set EMULATOR to where MiniStack listens, or RENDER=1 to make a state and nothing else,"
    " or use the real AWS provider (--provider real)"
)


def answering_failures(method: Callable) -> Callable:
    """Makes what a method raises a diagnostic that Terraform shows beside the resource."""

    @functools.wraps(method)
    def answer(self: Provider, request: object, context: object) -> object:
        try:
            return method(self, request, context)
        except Exception as error:
            # A failure is for the user, an answer of the emulator (boto3's) too; of anything else the place is wanted.
            expected = isinstance(error, Failure) or hasattr(error, "response")
            detail = "" if expected else traceback.format_exc()
            response = getattr(self.messages, method.__name__).Response()
            kept = getattr(request, "prior_state", None)
            if kept is not None and hasattr(response, "new_state"):
                response.new_state.CopyFrom(kept)
            summary = f"{getattr(request, 'type_name', 'provider')}: {error or type(error).__name__}"
            response.diagnostics.add(severity=self.messages.Diagnostic.ERROR, summary=summary, detail=detail)
            return response

    return answer


class Provider:
    """Serves a schema; `emulator` carries out what is applied. Without one nothing can be applied, unless the apply is to
    render a state only (`renders`)."""

    def __init__(self, messages: ModuleType, schema: dict, emulator: object | None, renders: bool = False):
        self.messages, self.schema, self.emulator, self.renders = messages, schema, emulator, renders
        # Each configuration of the provider in each Terraform process has a connection of its own.
        self.settings: dict[str, dict] = {}
        self.empty_settings = {"region": DEFAULT_REGION, "default_tags": {}}

    def GetProviderSchema(self, _request: object, _context: object) -> object:
        return self._schema_response

    @functools.cached_property
    def _schema_response(self) -> object:
        response = self.messages.GetProviderSchema.Response()
        response.provider.CopyFrom(protocol.schema_message(self.messages, self.schema["provider"]))
        response.provider_meta.CopyFrom(protocol.schema_message(self.messages, {"attributes": {}, "blocks": {}}))
        for kind, target in (
            ("resources", response.resource_schemas),
            ("data_sources", response.data_source_schemas),
        ):
            for name, block in self.schema[kind].items():
                target[name].CopyFrom(protocol.schema_message(self.messages, block))
        response.server_capabilities.get_provider_schema_optional = True
        return response

    def GetMetadata(self, _request: object, _context: object) -> object:
        response = self.messages.GetMetadata.Response()
        for name in self.schema["resources"]:
            response.resources.add(type_name=name)
        for name in self.schema["data_sources"]:
            response.data_sources.add(type_name=name)
        return response

    def ValidateProviderConfig(self, _request: object, _context: object) -> object:
        return self.messages.ValidateProviderConfig.Response()

    def ValidateResourceConfig(self, request: object, _context: object) -> object:
        """Terraform itself checks names and types; that something cannot be set at all is left to providers."""
        response = self.messages.ValidateResourceConfig.Response()
        config = values.decode(request.config) or {}
        for name in values.unsettable(self.schema["resources"][request.type_name], config):
            diagnostic = response.diagnostics.add(
                severity=self.messages.Diagnostic.ERROR,
                summary="Value for unconfigurable attribute",
                detail=f'Can\'t configure a value for "{name}": its value will be decided by AWS.',
            )
            diagnostic.attribute.steps.add(attribute_name=name.split(".")[0])
        return response

    def ValidateDataResourceConfig(self, _request: object, _context: object) -> object:
        return self.messages.ValidateDataResourceConfig.Response()

    def GetResourceIdentitySchemas(self, _request: object, _context: object) -> object:
        return self.messages.GetResourceIdentitySchemas.Response()

    def GetFunctions(self, _request: object, _context: object) -> object:
        return self.messages.GetFunctions.Response()

    def ConfigureProvider(self, request: object, context: object) -> object:
        config = values.decode(request.config) or {}
        default_tags = [block["tags"] for block in config.get("default_tags") or () if block.get("tags")]
        region = config.get("region")
        self.settings[context.peer()] = {
            "region": region if isinstance(region, str) else DEFAULT_REGION,
            "default_tags": default_tags[0] if default_tags and not values.is_unknown(default_tags[0]) else {},
        }
        return self.messages.ConfigureProvider.Response()

    def StopProvider(self, _request: object, _context: object) -> object:
        return self.messages.StopProvider.Response()

    def UpgradeResourceState(self, request: object, _context: object) -> object:
        state = self.messages.DynamicValue(json=request.raw_state.json)
        return self.messages.UpgradeResourceState.Response(upgraded_state=state)

    @answering_failures
    def PlanResourceChange(self, request: object, context: object) -> object:
        response = self.messages.PlanResourceChange.Response()
        prior, proposed = values.decode(request.prior_state), values.decode(request.proposed_new_state)
        if proposed is None:
            response.planned_state.CopyFrom(request.proposed_new_state)
            return response
        block, config = self.schema["resources"][request.type_name], values.decode(request.config)
        settings = self._settings(context)
        if prior is None:
            planned = plan.plan_creation(block, config, proposed, settings)
        else:
            kind = self.emulator.kind(request.type_name) if self.emulator else None
            volatile = kind.volatile if kind else frozenset()
            planned = plan.plan_update(block, config, prior, proposed, settings, volatile)
            for name in plan.replacements(prior, planned, kind.forcing if kind else frozenset()):
                response.requires_replace.add().steps.add(attribute_name=name)
        response.planned_state.msgpack = values.encode(planned)
        return response

    @answering_failures
    def ApplyResourceChange(self, request: object, _context: object) -> object:
        response = self.messages.ApplyResourceChange.Response()
        prior, planned = values.decode(request.prior_state), values.decode(request.planned_state)
        block = self.schema["resources"][request.type_name]
        if self.emulator is None:
            if not self.renders:
                raise Failure(NO_EMULATOR)
            rendered_ = planned and rendered.render(request.type_name, block, planned)
            response.new_state.msgpack = values.encode(rendered_)
            return response
        kind = self.emulator.kind(request.type_name)
        if planned is None:
            kind.delete(prior)
        elif prior is None:
            planned = values.settled(block, planned, kind.create(planned))
        else:
            planned = values.settled(block, planned, kind.update(prior, planned))
        response.new_state.msgpack = values.encode(planned)
        return response

    @answering_failures
    def ReadResource(self, request: object, _context: object) -> object:
        state = values.decode(request.current_state)
        if self.emulator is not None and state is not None:
            state = self.emulator.kind(request.type_name).read(copy.deepcopy(state))
        return self.messages.ReadResource.Response(new_state={"msgpack": values.encode(state)})

    @answering_failures
    def ReadDataSource(self, request: object, context: object) -> object:
        config = values.decode(request.config)
        found = data_sources.read(request.type_name, config, self._settings(context), self.emulator)
        attributes = self.schema["data_sources"][request.type_name]["attributes"]
        # What an older or newer schema does not have is left out.
        state = {**config, **{name: value for name, value in found.items() if name in attributes}}
        return self.messages.ReadDataSource.Response(state={"msgpack": values.encode(state)})

    def _settings(self, context: object) -> dict:
        return self.settings.get(context.peer(), self.empty_settings)
