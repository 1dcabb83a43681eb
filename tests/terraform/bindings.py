"""Checks synthesized resources against the CDKTF bindings' own types: attribute names, types, and what is required.

The bindings are generated from the schema of the provider version that is deployed, which may be newer than the
provider at hand. This says nothing about values, nor about arguments that exclude each other: Terraform does.
"""

from __future__ import annotations

import importlib
import inspect
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cdktf import TerraformElement, TerraformMetaArguments

# What the provider that is deployed knows and the bindings, made from an earlier one, do not: type → attribute → type.
NEWER_THAN_THE_BINDINGS = {"aws_lambda_permission": {"invoked_via_function_url": bool}}  # terraform-provider-aws#44829
# What every resource may have besides its own attributes: Terraform's, not the provider's.
META_ARGUMENTS = {"//", "count", "depends_on", "for_each", "lifecycle", "provider", "provisioner"}
EXPRESSION = re.compile(r"\$\{.*\}", re.DOTALL)


def faults(stack: dict[str, Any]) -> Iterator[str]:
    """Every attribute of a stack's resources and data sources that is unknown, missing or of another type."""
    for section, prefix in (("resource", ""), ("data", "data_aws_")):
        for kind, resources in stack.get(section, {}).items():
            config = config_of(prefix + kind.removeprefix("aws_"))
            newer = NEWER_THAN_THE_BINDINGS.get(kind, {})
            for name, resource in resources.items():
                own = {key: value for key, value in resource.items() if key not in META_ARGUMENTS | newer.keys()}
                yield from _faults(f"{kind}.{name}", own, config)
                for key in newer.keys() & resource.keys():
                    yield from _mismatches(f"{kind}.{name}.{key}", resource[key], newer[key])


def config_of(module_name: str) -> type:
    """The class that holds the arguments of a resource or data source."""
    return _only_class(module_name, TerraformMetaArguments)


def element_of(module_name: str) -> type:
    """The class that is a resource or data source, with a property for each attribute that others may refer to."""
    return _only_class(module_name, TerraformElement)


def _only_class(module_name: str, base: type) -> type:
    """The one class of a module of the bindings that is made from another."""
    module = importlib.import_module(f"cdktf_cdktf_provider_aws.{module_name}")
    (only,) = [found for found in vars(module).values() if inspect.isclass(found) and issubclass(found, base)]
    return only


def _faults(where: str, block: Mapping[str, Any], struct: type) -> Iterator[str]:
    parameters = inspect.signature(struct).parameters
    hints = typing.get_type_hints(inspect.getattr_static(struct, "__init__"))
    for name, value in block.items():
        if name not in parameters:
            yield f"{where}.{name}: there is no such attribute"
        else:
            yield from _mismatches(f"{where}.{name}", value, hints[name])
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in block:
            yield f"{where}.{name}: is required"


def _mismatches(where: str, value: Any, hint: Any) -> Iterator[str]:
    """What is wrong with a value, by the best of the types that it may have."""
    if isinstance(value, str) and EXPRESSION.search(value):
        return
    candidates = []
    for allowed in typing.get_args(hint) if typing.get_origin(hint) is typing.Union else (hint,):
        found = list(_mismatches_of(where, value, allowed))
        if not found:
            return
        candidates.append(found)
    # A block is a struct or a plain dictionary in the bindings; the struct's faults are the telling ones.
    yield from max(candidates, key=lambda found: max(len(fault.split(": ")[0]) for fault in found))


def _mismatches_of(where: str, value: Any, allowed: Any) -> Iterator[str]:
    origin, arguments = typing.get_origin(allowed), typing.get_args(allowed)
    if origin is typing.Union:
        yield from _mismatches(where, value, allowed)
    elif origin is Sequence and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _mismatches(f"{where}[{index}]", item, arguments[0])
    elif origin is Mapping and isinstance(value, dict):
        for key, item in value.items():
            yield from _mismatches(f"{where}[{key}]", item, arguments[1])
    elif isinstance(value, dict) and is_struct(allowed):
        yield from _faults(where, value, allowed)
    elif not _is_scalar(value, allowed):
        yield f"{where}: {value!r} is not a {getattr(allowed, '__name__', allowed)}"


def _is_scalar(value: Any, allowed: Any) -> bool:
    if isinstance(value, bool):  # which Python counts among the whole numbers
        return allowed is bool
    return allowed in (str, int, float) and isinstance(value, allowed)


def is_struct(allowed: Any) -> bool:
    """Whether a type is one of the bindings' blocks, and not an interface such as ``IResolvable``."""
    return hasattr(allowed, "__jsii_type__") and not getattr(allowed, "_is_protocol", False)
