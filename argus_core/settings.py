"""The one table of `ARGUS_*` variables, read once into a frozen object."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from argus_core.errors import SettingsError

__all__ = ["VARIABLES", "Settings", "read_switch"]

VARIABLES = {
    "ARGUS_URL": "where the server is, as http://host:8421; without it events wait in the journal",
    "ARGUS_TOKEN": "a token with the scope `report`",
    "ARGUS_PROJECT": "the project, where the script names none (default: `default`)",
    "ARGUS_BATCH_ID": "joins the jobs of several processes into one batch",
    "ARGUS_HOME": "directory of the journal (default: the user's state directory)",
    "ARGUS_PROGRESS": "1: say on standard error how far the jobs are",
    "ARGUS_DATABASE": "the server's database, for `argus serve` and `argus token`",
    "ARGUS_DRY_RUN": "1: print every event, send and store nothing",
    "ARGUS_DISABLE": "1: do nothing at all",
}
"""Every variable that Argus reads, and what it is for."""

DEFAULT_PROJECT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the environment says. An argument of `Reporter` wins over each."""

    url: str | None = None
    token: str | None = field(default=None, repr=False)
    project: str = DEFAULT_PROJECT
    batch_id: str | None = None
    home: Path | None = None
    dry_run: bool = False
    disabled: bool = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read the variables of the table; empty ones count as unset.

        Raises:
            SettingsError: a switch is neither on nor off.
        """
        env = os.environ if environment is None else environment
        home = env.get("ARGUS_HOME")
        return cls(
            url=env.get("ARGUS_URL") or None,
            token=env.get("ARGUS_TOKEN") or None,
            project=env.get("ARGUS_PROJECT") or DEFAULT_PROJECT,
            batch_id=env.get("ARGUS_BATCH_ID") or None,
            home=_directory(home) if home else None,
            dry_run=_switch(env, "ARGUS_DRY_RUN"),
            disabled=_switch(env, "ARGUS_DISABLE"),
        )

    @property
    def journal_directory(self) -> Path:
        """Where the journals lie. Nothing is created by asking."""
        if self.home is not None:
            return self.home / "journal"
        from platformdirs import user_state_path

        return user_state_path("argus") / "journal"


def _directory(home: str) -> Path:
    try:
        return Path(home).expanduser().absolute()
    except RuntimeError as error:
        raise SettingsError(f"ARGUS_HOME names no directory, got {home!r}: {error}") from None


_ON = {"1", "true", "yes", "on"}
_OFF = {"", "0", "false", "no", "off"}


def read_switch(text: str) -> bool | None:
    """Return whether a text says on or off; None where it says neither."""
    said = text.strip().lower()
    return True if said in _ON else False if said in _OFF else None


def _switch(env: Mapping[str, str], name: str) -> bool:
    said = read_switch(env.get(name, ""))
    if said is None:
        raise SettingsError(f"{name} must be 1 or 0, got {env[name]!r}")
    return said
