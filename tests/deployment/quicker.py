"""What boto3 and moto do again for each client and each answer, done once: a test makes hundreds of both."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache
from typing import Any
from unittest import mock

from botocore import httpsession
from moto.core.serialize import AttributePickerContext, XFormedAttributePicker

# A client loads the certificates of all authorities; those of a deployment connect to nobody.
_context = cache(httpsession.create_urllib3_context)

_possible_keys = XFormedAttributePicker.get_possible_keys
# By what moto looks at to tell them: the kind of object, the attribute, and its shape, which a service has once.
_known: dict[tuple[type, str, Any], tuple[str, ...]] = {}


def possible_keys(picker: XFormedAttributePicker, context: AttributePickerContext) -> tuple[str, ...]:
    """The names under which an object may hold an attribute of an answer."""
    asked = type(context.obj), context.key, context.shape
    if asked not in _known:
        _known[asked] = tuple(_possible_keys(picker, context))
    return _known[asked]


def install(stack: ExitStack) -> None:
    """Be quicker until ``stack`` is closed."""
    stack.enter_context(mock.patch.object(httpsession, "create_urllib3_context", _context))
    stack.enter_context(mock.patch.object(XFormedAttributePicker, "get_possible_keys", possible_keys))
