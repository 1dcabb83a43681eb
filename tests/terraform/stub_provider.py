"""A provider for Terraform that has a schema and nothing behind it: it validates nothing itself and changes nothing.

Terraform checks a configuration against the schema, resolves its references and plans. It starts no provider for that,
but connects to this process and speaks version 5 of its plugin protocol, of which the messages below are the part that
validating and planning new resources needs.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import msgpack
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from orchestration.constructs.network import ZONES
from tests.terraform.provider import PROVIDER
from tests.terraform.stub_schema import Block, NestedBlock, Schema, Type

REATTACH_VARIABLE = "TF_REATTACH_PROVIDERS"  # tells Terraform which providers run already, and where
PACKAGE = "tfplugin5"
HOST = "127.0.0.1"
UNKNOWN = msgpack.ExtType(0, b"")  # a value that is known after the apply
LIST = 2  # how blocks are kept: several of a kind, in their order
THREADS = 8  # Terraform plans ten resources at a time, and no answer takes long
SOMETHING = {"string": "something", "number": 1, "bool": True}  # what a data source shows, by its type

# Terraform's docs/plugin-protocol/tfplugin5.proto: message → its fields as number, name, and type. A field in a list is
# repeated. A map is, as it is sent, repeated pairs of key and value.
MESSAGES: dict[str, tuple[tuple[int, str, str | list[str]], ...]] = {
    "Empty": (),
    "DynamicValue": ((1, "msgpack", "bytes"),),
    "Attribute": (
        (1, "name", "string"),
        (2, "type", "bytes"),
        (4, "required", "bool"),
        (5, "optional", "bool"),
        (6, "computed", "bool"),
    ),
    "NestedBlock": (
        (1, "type_name", "string"),
        (2, "block", "Block"),
        (3, "nesting", "int64"),
        (4, "min_items", "int64"),
        (5, "max_items", "int64"),
    ),
    "Block": ((2, "attributes", ["Attribute"]), (3, "block_types", ["NestedBlock"])),
    "Schema": ((2, "block", "Block"),),
    "SchemaByName": ((1, "key", "string"), (2, "value", "Schema")),
    "Schemas": (
        (1, "provider", "Schema"),
        (2, "resource_schemas", ["SchemaByName"]),
        (3, "data_source_schemas", ["SchemaByName"]),
    ),
    "PrepareRequest": ((1, "config", "DynamicValue"),),
    "Prepared": ((1, "prepared_config", "DynamicValue"),),
    "PlanRequest": ((1, "type_name", "string"), (3, "proposed_new_state", "DynamicValue")),
    "Planned": ((1, "planned_state", "DynamicValue"),),
    "ReadRequest": ((1, "type_name", "string"), (2, "config", "DynamicValue")),
    "Read": ((1, "state", "DynamicValue"),),
}


def _classes() -> dict[str, Any]:
    """The class of each message."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name=f"{PACKAGE}.proto", package=PACKAGE, syntax="proto3")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, field_name, kind in fields:
            repeated = isinstance(kind, list)
            single = kind[0] if isinstance(kind, list) else kind
            added = message.field.add(name=field_name, number=number)
            added.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
            if single in MESSAGES:
                added.type, added.type_name = field.TYPE_MESSAGE, f".{PACKAGE}.{single}"
            else:
                added.type = field.Type.Value(f"TYPE_{single.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in MESSAGES}


MESSAGE = _classes()


class StubProvider:
    """Answers Terraform's calls by a schema."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    def calls(self) -> dict[str, tuple[str, Callable[[Any], Any]]]:
        """Every call that is answered: the message that it takes, and what answers it."""
        return {
            "GetSchema": ("Empty", self._schemas),
            "PrepareProviderConfig": ("PrepareRequest", _prepared),
            "ValidateResourceTypeConfig": ("Empty", _nothing),
            "ValidateDataSourceConfig": ("Empty", _nothing),
            "Configure": ("Empty", _nothing),
            "PlanResourceChange": ("PlanRequest", self._plan),
            "ReadDataSource": ("ReadRequest", self._read),
            "Stop": ("Empty", _nothing),
        }

    def _schemas(self, _: Any) -> Any:
        return MESSAGE["Schemas"](
            provider=_schema(self._schema.provider),
            resource_schemas=_by_name(self._schema.resources),
            data_source_schemas=_by_name(self._schema.data_sources),
        )

    def _plan(self, asked: Any) -> Any:
        """Plans what is configured; what is computed is known after the apply."""
        state = _decode(asked.proposed_new_state)
        for name, attribute in self._schema.resources[asked.type_name].attributes.items():
            if attribute.computed and state[name] is None:
                state[name] = UNKNOWN
        return MESSAGE["Planned"](planned_state=_encode(state))

    def _read(self, asked: Any) -> Any:
        """Reads something of the right type: Terraform wants all that a data source shows to be known."""
        state = _decode(asked.config)
        for name, attribute in self._schema.data_sources[asked.type_name].attributes.items():
            if attribute.computed and state[name] is None:
                state[name] = _something(attribute.type)
        return MESSAGE["Read"](state=_encode(state))


@contextlib.contextmanager
def serving(schema: Schema) -> Iterator[dict[str, str]]:
    """Serves a provider with this schema; yields the environment variable that leads Terraform to it."""
    calls = {
        name: grpc.unary_unary_rpc_method_handler(
            lambda asked, _, answer=answer: answer(asked),
            request_deserializer=MESSAGE[takes].FromString,
            response_serializer=lambda answered: answered.SerializeToString(),
        )
        for name, (takes, answer) in StubProvider(schema).calls().items()
    }
    server = grpc.server(ThreadPoolExecutor(THREADS))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(f"{PACKAGE}.Provider", calls),))
    port = server.add_insecure_port(f"{HOST}:0")
    server.start()
    try:
        address = {"Network": "tcp", "String": f"{HOST}:{port}"}
        # A provider under test is one that Terraform leaves running.
        reached = {"Protocol": "grpc", "ProtocolVersion": 5, "Pid": os.getpid(), "Test": True, "Addr": address}
        yield {REATTACH_VARIABLE: json.dumps({PROVIDER.as_posix(): reached})}
    finally:
        server.stop(grace=None).wait()


def _nothing(_: Any) -> Any:
    """No objections: the answers to calls that only find faults are empty without them."""
    return MESSAGE["Empty"]()


def _prepared(asked: Any) -> Any:
    """The provider's own configuration, as it is written."""
    return MESSAGE["Prepared"](prepared_config=asked.config)


def _by_name(blocks: Mapping[str, Block]) -> list[Any]:
    return [MESSAGE["SchemaByName"](key=name, value=_schema(block)) for name, block in blocks.items()]


def _schema(block: Block) -> Any:
    return MESSAGE["Schema"](block=_block(block))


def _block(block: Block) -> Any:
    attributes = [
        MESSAGE["Attribute"](
            name=name,
            type=json.dumps(attribute.type).encode(),
            required=attribute.required,
            optional=attribute.optional,
            computed=attribute.computed,
        )
        for name, attribute in block.attributes.items()
    ]
    return MESSAGE["Block"](
        attributes=attributes, block_types=[_nested(name, nested) for name, nested in block.blocks.items()]
    )


def _nested(name: str, nested: NestedBlock) -> Any:
    return MESSAGE["NestedBlock"](
        type_name=name,
        block=_block(nested.block),
        nesting=LIST,
        min_items=int(nested.required),
        max_items=0 if nested.many else 1,  # 0: any number
    )


def _decode(value: Any) -> dict[str, Any]:
    state: dict[str, Any] = msgpack.unpackb(value.msgpack)
    return state


def _encode(state: Mapping[str, Any]) -> Any:
    return MESSAGE["DynamicValue"](msgpack=msgpack.packb(state))


def _something(kind: Type) -> Any:
    """A value of a type; a list is as long as a region's stack wants the list of its zones to be."""
    if isinstance(kind, list):
        return [_something(kind[1])] * ZONES if kind[0] == "list" else {}
    return SOMETHING.get(kind)
