"""The errors that a drill expects: each has a message for people, and no traceback is shown."""

from __future__ import annotations

from drills.world.dns import ResolutionError
from drills.world.network import NetworkError
from drills.world.postgres import PostgresError
from orchestration.packaging import PackagingError
from orchestration.settings import SettingsError

EXPECTED = (SettingsError, PackagingError, PostgresError, NetworkError, ResolutionError)
