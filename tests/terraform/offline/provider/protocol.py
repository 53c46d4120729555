"""Terraform's plugin protocol 6 over gRPC: names and messages come from its compiled definition."""

from __future__ import annotations

import importlib.util
import json
import os
from concurrent import futures
from pathlib import Path
from types import ModuleType

import grpc
from google.protobuf import message_factory

ADDRESS = "registry.terraform.io/hashicorp/aws"
#: A schema is larger than gRPC's default limit.
LARGEST_MESSAGE = 256 << 20


def load(folder: Path) -> ModuleType:
    """The messages of the protocol, from the file `tfplugin6_pb2.py`."""
    spec = importlib.util.spec_from_file_location("tfplugin6_pb2", folder / "tfplugin6_pb2.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def serve(messages: ModuleType, provider: object) -> tuple[grpc.Server, str]:
    """Starts a server that answers each call with the provider's method of that name. Also gives what Terraform takes in
    `TF_REATTACH_PROVIDERS` to find it."""
    service = messages.DESCRIPTOR.services_by_name["Provider"]
    handlers = {
        method.name: grpc.unary_unary_rpc_method_handler(
            getattr(provider, method.name),
            request_deserializer=message_factory.GetMessageClass(method.input_type).FromString,
            response_serializer=message_factory.GetMessageClass(method.output_type).SerializeToString,
        )
        for method in service.methods
        if hasattr(provider, method.name)
    }
    limits = [("grpc.max_send_message_length", LARGEST_MESSAGE), ("grpc.max_receive_message_length", LARGEST_MESSAGE)]
    server = grpc.server(futures.ThreadPoolExecutor(16), options=limits)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    attach = {
        "Protocol": "grpc",
        "ProtocolVersion": 6,
        "Pid": os.getpid(),
        "Test": True,
        "Addr": {"Network": "tcp", "String": f"127.0.0.1:{port}"},
    }
    return server, json.dumps({ADDRESS: attach})


NESTINGS = {"single": "SINGLE", "list": "LIST", "set": "SET", "map": "MAP"}


def schema_message(messages: ModuleType, block: dict) -> object:
    """A block as the protocol has it."""
    return messages.Schema(version=0, block=_block(messages, block))


def _block(messages: ModuleType, block: dict) -> object:
    message = messages.Schema.Block()
    for name, attribute in block["attributes"].items():
        uses = {use: attribute[use] for use in ("required", "optional", "computed")}
        message.attributes.add(name=name, type=json.dumps(attribute["type"]).encode(), **uses)
    for name, kind in block["blocks"].items():
        message.block_types.add(
            type_name=name,
            block=_block(messages, kind["block"]),
            nesting=getattr(messages.Schema.NestedBlock, NESTINGS[kind["nesting"]]),
            min_items=kind["min_items"],
            max_items=kind["max_items"],
        )
    return message
