"""What an assumption is, and how a table of them is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from failoverctl.account import Account
from failoverctl.errors import CannotTell, credentials_fault, is_denied
from handlers.core.errors import FailoverError
from handlers.core.readiness import Finding, NotSeen, Said

# Where it is asked: in each region, in that of the standby, in the deployment's first region, or of what has no region.
Where = Literal["each", "standby", "first", "once"]
EVERYWHERE = "both"  # how a finding names the region of what has none
AT_ONCE = 8

Ask = Callable[[Account, str], Said]


@dataclass(frozen=True)
class Assumption:
    """One thing that has to be true of AWS, or of an account, for the product to do what it promises.

    Attributes
    ----------
    holds
        what is assumed, in one sentence.
    calls
        how it is asked: the actions of IAM, as whoever asks needs them.
    otherwise
        what follows where it is false, and what to do.
    adopted
        the same around an adopted database, where it is something else; empty where it is not.
    rests
        the files of the project that rest on it, below its folder.
    ask
        asks it in one region (or of `EVERYWHERE`), and says what was seen; raises `NotSeen`
        or `FailoverError` where nothing was. None for what only an experiment shows.
    experiment
        what shows it where asking does not, in words. Of such a row there is no finding where nothing was seen.
    lab
        what the lab has none of, so that this cannot be asked there; None where it can.
    """

    name: str
    holds: str
    calls: tuple[str, ...]
    otherwise: str
    rests: tuple[str, ...]
    ask: Ask | None = None
    adopted: str = ""
    experiment: str = ""
    where: Where = "each"
    lab: str | None = None

    def remedy(self, *, adopts: bool) -> str:
        """Returns what follows where it is false, and what to do, around an adopted database or one of our own."""
        return (adopts and self.adopted) or self.otherwise


def ask_all(account: Account, table: Iterable[Assumption]) -> list[Finding]:
    """Returns what is found of each assumption, in the order of the table; what cannot be asked is never green.

    Raises `CannotTell` where the credentials are not taken, for then nothing can be asked.
    """
    rows = [(each, each.ask) for each in table if each.ask is not None]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        asked = [
            pool.submit(_found, account, each, ask, place) for each, ask in rows for place in _places(each, account)
        ]
        return [found for each in asked if (found := each.result()) is not None]


def _places(assumption: Assumption, account: Account) -> tuple[str, ...]:
    places = {"each": account.regions, "first": account.regions[:1], "once": (EVERYWHERE,)}
    return places.get(assumption.where, (assumption.where,))


def _found(account: Account, assumption: Assumption, ask: Ask, place: str) -> Finding | None:
    if account.in_lab and assumption.lab is not None:
        # Nothing to do about it here, and the same in most of the rows.
        return Finding(assumption.name, place, "cannot tell", f"cannot tell here: the lab has no {assumption.lab}", "")
    try:
        place = _place(place, account)
        level, fact = ask(account, place)
    except (NotSeen, CannotTell) as error:
        if assumption.experiment:
            return None
        level, fact = "cannot tell", str(error)
    except FailoverError as error:
        if fault := credentials_fault(error):
            raise CannotTell(fault) from error
        denied = f"{account.deployment.identity.arn} may not ask this ({', '.join(assumption.calls)}): "
        level, fact = "cannot tell", f"{denied if is_denied(error) else ''}{error}"
    remedy = assumption.remedy(adopts=account.settings.adopts)
    return Finding(assumption.name, place, level, fact, "" if level == "ok" else remedy)


def _place(where: str, account: Account) -> str:
    return account.peer(account.writer) if where == "standby" else where


def of_ready(*checks: str) -> Ask:
    """Returns the asking of what the region's function ``readiness`` says of ``checks``; the worst of them counts."""

    def ask(account: Account, region: str) -> Said:
        found = [account.ready(check, region) for check in checks]
        for level in ("failing", "cannot tell", "warning"):
            for each in found:
                if each.level == level:
                    return each.level, each.fact
        return "ok", "; ".join(each.fact for each in found)

    return ask
