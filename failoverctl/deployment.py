"""The deployment that a verb is about, reached through whichever region answers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from botocore.exceptions import ClientError
from botocore.session import get_session

from failoverctl import lab
from failoverctl.errors import NO_CREDENTIALS, CannotTell, Refused, credentials_fault, is_denied, root_of
from failoverctl.together import Answered, ask_each
from handlers.core.control import ControlRecord
from handlers.core.errors import FailoverError, Misconfigured, TransientFailure
from handlers.core.lease import clock_error
from handlers.core.reading import LONGEST_LINE
from handlers.gateways.aws import Service, client, code_of, named_errors
from handlers.gateways.control_table import ControlTable
from orchestration.settings import SETTINGS_FILE_VARIABLE, Settings, SettingsError, load
from orchestration.specification.names import Names

Answer = TypeVar("Answer")

# A healthy region answers a request in well under a second; this is for each, beside the second to connect.
READ_TIMEOUT_S = 1.0
# All that a verb asks of a region before it shows anything: three requests one after the other that hang.
LOOK_S = 2.5
HERE = Path("settings.toml")
SUFFIX_VARIABLE = "FAILOVER_ENVIRONMENT_SUFFIX"


@dataclass(frozen=True)
class Identity:
    """Who asks, as STS knows it: no text of the person's own."""

    account: str
    arn: str

    @property
    def name(self) -> str:
        """The identity as records and messages have it: the ARN, or its end where that is longer than they take."""
        return self.arn[-LONGEST_LINE:]

    @property
    def short(self) -> str:
        """The part of it that people call themselves by."""
        return self.arn.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Reading:
    """The control record, which region it was read through, and the time by that region's clock (since 1970)."""

    record: ControlRecord
    through: str
    now: float


class Deployment:
    """One deployment of the product, as a person's credentials reach it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.regions = settings.regions
        self.silent: dict[str, str] = {}  # regions that have not answered, each with what came instead
        self._identity: Identity | None = None
        self._clients: dict[tuple[str, str, float], Any] = {}

    @classmethod
    def find(cls, *, in_lab: bool, suffix: str | None, settings: Path | None) -> Deployment:
        """Returns the one of the running lab, or of the settings.

        Raises
        ------
        CannotTell
            no lab runs, or the settings cannot be used.
        """
        try:
            if in_lab:
                running = lab.find()
                running.enter()
                return cls(load(**running.settings))
            if settings is not None:
                os.environ[SETTINGS_FILE_VARIABLE] = str(settings)
            elif HERE.is_file():
                os.environ.setdefault(SETTINGS_FILE_VARIABLE, str(HERE.resolve()))
            if suffix is not None:
                os.environ[SUFFIX_VARIABLE] = suffix
            return cls(load())
        except SettingsError as error:
            raise CannotTell(f"{error}\nGive the deployment's settings with --settings FILE.") from None

    # --- who asks

    @property
    def identity(self) -> Identity:
        """Who asks; raises `CannotTell`."""
        if self._identity is None:
            self._identity = self.first(self.who, "AWS does not say whose credentials these are").get()
        return self._identity

    def who(self, region: str) -> Identity:
        """Returns who asks, as STS in one region says it."""
        with named_errors(f"asking STS in {region} whose credentials these are"):
            answer = self.client("sts", region).get_caller_identity()
        self._identity = Identity(str(answer["Account"]), str(answer["Arn"]))
        return self._identity

    @property
    def names(self) -> Names:
        """Names and ARNs of everything in it."""
        return Names(self.settings, self.identity.account)

    def peer(self, region: str) -> str:
        """Returns the other region."""
        return next(other for other in self.regions if other != region)

    # --- how it is reached

    def client(self, service: Service, region: str, *, read_timeout_s: float = READ_TIMEOUT_S) -> Any:
        """Returns a client that is asked once and waits shortly; one for each service, region and time limit."""
        key = (service, region, read_timeout_s)
        if not self._clients and get_session().get_credentials() is None:
            raise CannotTell(NO_CREDENTIALS)  # before each client looks for them anew
        if key not in self._clients:
            self._clients[key] = client(service, region, read_timeout_s=read_timeout_s, attempts=1)
        return self._clients[key]

    def make_clients(self, *services: Service) -> None:
        """Makes clients before threads ask by them: making one is not safe beside another."""
        for service in services:
            for region in self.regions:
                self.client(service, region)

    def in_either(self, service: Service, look: Callable[[str], Answer | None]) -> Answer | None:
        """Returns what ``look`` finds in a region, by a client of ``service``; None where neither region has it."""
        _ = self.names
        self.make_clients(service)
        answers = [answered.get() for answered in self.each(look) if answered.error is None]
        return next(filter(None, answers), None)

    def each(self, ask: Callable[[str], Answer], at_most_s: float = LOOK_S) -> Iterator[Answered[Answer]]:
        """Yields what each region answers, as `ask_each` does, and notes those that are silent."""
        missing = set(self.regions)
        for answered in ask_each(self.regions, ask, at_most_s):
            missing.discard(answered.region)
            if isinstance(answered.error, TransientFailure):
                self.silent[answered.region] = type(root_of(answered.error)).__name__
            yield answered
        self.silent.update(dict.fromkeys(missing, f"no answer in {at_most_s:g} s"))

    def first(self, ask: Callable[[str], Answer], otherwise: str) -> Answered[Answer]:
        """Returns the first answer that comes; `CannotTell` where none does, with ``otherwise`` and the reasons."""
        self.make_clients("sts", "dynamodb")
        reasons = []
        for answered in self.each(ask):
            if answered.error is None:
                return answered
            if not isinstance(answered.error, FailoverError):
                raise answered.error
            if fault := credentials_fault(answered.error):
                raise CannotTell(fault)
            reasons.append(f"{answered.region}: {answered.error}")
        silent = [region for region in self.regions if not any(reason.startswith(region) for reason in reasons)]
        reasons += [f"{region}: {self.silent.get(region, 'no answer')}" for region in silent]
        raise CannotTell(f"{otherwise}. {'; '.join(reasons)}")

    # --- the control record

    def read(self) -> Reading:
        """Returns the control record through the first region that shows it; raises `CannotTell`."""
        account = self.identity.account  # tells a wrong account before it asks for a table that is not there
        return self.first(self.read_in, f"the control record cannot be read with credentials of {account}").get()

    def read_in(self, region: str) -> Reading:
        """Returns the control record through one region.

        Raises
        ------
        CannotTell
            there is none, which every region would say; or the credentials may not read it.
        FailoverError
            the region did not answer, or the record cannot be understood.
        """
        table = ControlTable([self.client("dynamodb", region)], self._table, self._key)
        asked_at = time.time()
        try:
            record = table.read()
        except Misconfigured as error:
            raise self._no_record(error) from error
        return Reading(record, region, _by_its_clock(asked_at, time.time(), table.answered_at))

    def control(self, through: str) -> ControlTable:
        """Returns the control table for a change: through the region that answered, else through the other one."""
        replicas = [self.client("dynamodb", region) for region in (through, self.peer(through))]
        return ControlTable(replicas, self._table, self._key)

    @property
    def _table(self) -> str:
        return Names(self.settings, "").control_table

    @property
    def _key(self) -> str:
        return Names(self.settings, "").global_cluster

    def _no_record(self, error: Misconfigured) -> CannotTell:
        root = root_of(error)
        who = self._identity
        if fault := credentials_fault(error):
            return CannotTell(fault)
        if isinstance(root, ClientError) and code_of(root) == "ResourceNotFoundException":
            return CannotTell(
                f"account {who.account if who else 'of these credentials'} has no table {self._table} in "
                f"{' and '.join(self.regions)}: use credentials of the deployment's account, name its suffix "
                f"(--suffix), or deploy it (docs/deploy.md)"
            )
        if is_denied(error):
            return CannotTell(
                f"{who.arn if who else 'whoever asks'} may not read {self._table}: attach the policy "
                f"{Names(self.settings, '').policy('readers')}, or use other credentials"
            )
        return CannotTell(str(error))


def _by_its_clock(asked_at: float, answered_at: float, date: float | None) -> float:
    """Returns what time it is where a request was answered: by this clock, unless ``date`` says that it is wrong.

    ``date`` is in whole seconds. The lab's time may run faster than this machine's.
    """
    if date is None or clock_error(asked_at, answered_at, date) == 0:
        return answered_at
    return date + 0.5


@contextmanager
def changing(deployment: Deployment, what: str) -> Iterator[None]:
    """Says of a change that did not succeed whether it was refused, or whether nobody knows.

    ``what`` says what was to be done ("starting run x"); errors with a meaning of their own are caught inside.
    """
    try:
        yield
    except FailoverError as error:
        if fault := credentials_fault(error):
            raise CannotTell(fault) from error
        if is_denied(error):
            raise Refused(
                f"{deployment.identity.arn} may not do that ({what}): attach the policy "
                f"{deployment.names.policy('operators')}, or use other credentials. Nothing was changed."
            ) from error
        if isinstance(error, TransientFailure):
            raise CannotTell(
                f"{what} got no answer, so it may have been done or not: look with `failoverctl status`, then try "
                f"again ({error})"
            ) from error
        raise Refused(f"{what}: {error}") from error
