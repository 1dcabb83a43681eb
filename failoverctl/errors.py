"""The two ways in which a verb does not do what it was asked for; each message says what to do instead."""

from __future__ import annotations

from botocore.exceptions import ClientError, NoCredentialsError, PartialCredentialsError

from handlers.core.errors import FailoverError
from handlers.gateways.aws import code_of

DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
# The credentials themselves are not taken: expired, of nobody, or signed by a clock that is wrong.
NOT_TAKEN = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)

REMEDY = "set credentials of the deployment's account (AWS_PROFILE, for example, or `aws sso login`)"
NO_CREDENTIALS = f"there are no AWS credentials here: {REMEDY}"


class Refused(Exception):
    """It is not done, and nothing was changed: exit code 1."""


class CannotTell(Exception):
    """What the answer rests on cannot be read, or an order got no answer: exit code 2."""


def root_of(error: BaseException) -> BaseException:
    """Returns what AWS, or the way to it, said: the cause of one of the project's own errors."""
    return error.__cause__ if isinstance(error, FailoverError) and error.__cause__ else error


def code_in(error: BaseException) -> str:
    """Returns the code of AWS's answer; empty where there was none."""
    root = root_of(error)
    return code_of(root) if isinstance(root, ClientError) else ""


def credentials_fault(error: BaseException) -> str | None:
    """Returns what is wrong with the credentials, and the remedy, where that is why there is no answer."""
    root = root_of(error)
    if isinstance(root, (NoCredentialsError, PartialCredentialsError)):
        return NO_CREDENTIALS
    if isinstance(root, ClientError) and code_of(root) in NOT_TAKEN:
        return f"AWS does not take these credentials ({code_of(root)}): {REMEDY}, and see whether this clock is right"
    return None


def is_denied(error: BaseException) -> bool:
    """Returns whether AWS knows who asks, and does not allow it."""
    root = root_of(error)
    return isinstance(root, ClientError) and code_of(root) in DENIED
