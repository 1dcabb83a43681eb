"""The schema of the provider from which the CDKTF bindings were made, as far as the bindings tell it.

They tell each argument's name and type, whether it is required, which arguments are blocks, and what else a resource
shows. They do not tell a set from a list, nor which optional arguments the provider fills in where they are absent:
here each is a list, and a resource's optional arguments are all filled in.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

from cdktf import BooleanMap, IResolvable, NumberMap, StringMap, TerraformMetaArguments
from cdktf_cdktf_provider_aws.provider import AwsProviderConfig

from tests.terraform.bindings import NEWER_THAN_THE_BINDINGS, config_of, element_of, is_struct

Type = str | list[Any]  # as Terraform writes types in JSON: "string", ["list", "string"]

ANYTHING = "dynamic"
SCALARS: dict[Any, Type] = {str: "string", bool: "bool", int: "number", float: "number"}
# Properties of a resource whose type in Python is none that an argument has.
SHOWN: dict[Any, Type] = {
    IResolvable: "bool",  # numbers and strings are shown as themselves
    StringMap: ["map", "string"],
    NumberMap: ["map", "number"],
    BooleanMap: ["map", "bool"],
}
META_ARGUMENTS = inspect.signature(TerraformMetaArguments).parameters.keys()  # Terraform's own, of every resource


@dataclass(frozen=True)
class Attribute:
    """An argument that is no block, or what only the provider fills in.

    ``required`` and ``optional``: a configuration has to set it, or may. ``computed``: the provider fills it in where
    it is absent.
    """

    type: Type
    required: bool = False
    optional: bool = False
    computed: bool = False


@dataclass(frozen=True)
class NestedBlock:
    """A block in a block; ``many``: it may stand there more than once."""

    block: Block
    required: bool
    many: bool


@dataclass(frozen=True)
class Block:
    """A resource, a data source, the provider's own configuration, or a block in one of them."""

    attributes: Mapping[str, Attribute]
    blocks: Mapping[str, NestedBlock]


@dataclass(frozen=True)
class Schema:
    """What a provider says it knows: its configuration, and types of resources and of data sources by name."""

    provider: Block
    resources: Mapping[str, Block]
    data_sources: Mapping[str, Block]


def schema_for(stacks: Iterable[Mapping[str, Any]]) -> Schema:
    """Returns the schema of every type that these stacks' configurations use."""
    kinds: dict[str, set[str]] = {"resource": set(), "data": set()}
    for stack in stacks:
        for section, found in kinds.items():
            found.update(stack.get(section, {}))
    return Schema(
        provider=_block(AwsProviderConfig, without={"alias"}),
        resources={kind: _resource(kind.removeprefix("aws_"), _newer(kind)) for kind in kinds["resource"]},
        data_sources={kind: _resource(f"data_{kind}", {}) for kind in kinds["data"]},
    )


def _newer(kind: str) -> dict[str, Attribute]:
    """The attributes of a type of resource that are newer than the bindings."""
    hints = NEWER_THAN_THE_BINDINGS.get(kind, {})
    return {name: Attribute(_type(hint), optional=True) for name, hint in hints.items()}


def _resource(module_name: str, newer: Mapping[str, Attribute]) -> Block:
    """The schema of a resource or data source, with the attributes that are newer than the bindings."""
    arguments = _block(config_of(module_name), without=META_ARGUMENTS)
    attributes = {
        name: Attribute(type_, computed=True)
        for name, type_ in _shown(element_of(module_name)).items()
        if name not in arguments.blocks
    }
    for name, argument in arguments.attributes.items():
        attributes[name] = replace(argument, computed=argument.optional)
    return Block({**attributes, **newer}, arguments.blocks)


def _block(struct: type, without: Set[str] = frozenset()) -> Block:
    """The schema of the arguments that a class of the bindings holds, ``without`` those that are Terraform's own."""
    hints = typing.get_type_hints(inspect.getattr_static(struct, "__init__"))
    attributes, blocks = {}, {}
    for name, parameter in inspect.signature(struct).parameters.items():
        if name in without:
            continue
        required = parameter.default is parameter.empty
        many, inner = _struct_in(hints[name])
        if inner:
            blocks[name] = NestedBlock(_block(inner), required, many)
        else:
            attributes[name] = Attribute(_type(hints[name]), required, optional=not required)
    return Block(attributes, blocks)


def _struct_in(hint: Any) -> tuple[bool, type | None]:
    """The class of a block's arguments, if an argument is one, and whether there may be many."""
    for allowed in _alternatives(hint):
        if is_struct(allowed):
            return False, allowed
        if typing.get_origin(allowed) in (Sequence, list):
            _, inner = _struct_in(typing.get_args(allowed)[0])
            if inner:
                return True, inner
    return False, None


def _shown(element: type) -> dict[str, Type]:
    """Every attribute that a resource has for others to refer to, with its type."""
    return {
        name: _type(typing.get_type_hints(shown.fget)["return"])
        for name, shown in vars(element).items()
        if isinstance(shown, property) and not name.endswith("_input")
    }


def _type(hint: Any) -> Type:
    """Terraform's word for a type of the bindings; what they do not tell may be anything."""
    alternatives = _alternatives(hint)
    for allowed in alternatives:
        if allowed in SCALARS:
            return SCALARS[allowed]
        arguments = typing.get_args(allowed)
        if typing.get_origin(allowed) in (Sequence, list):
            return ["list", _type(arguments[0])]
        if typing.get_origin(allowed) is Mapping:
            return ["map", _type(arguments[1])]
    return next((SHOWN[allowed] for allowed in alternatives if allowed in SHOWN), ANYTHING)


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) is typing.Union else (hint,)
