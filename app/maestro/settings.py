"""settings owns the environment: the only place that reads it. Keys come from here and go to their SDK alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What the environment says. Every name but the vendors' own begins with ``MAESTRO_``."""

    model_config = SettingsConfigDict(env_prefix="MAESTRO_", extra="ignore", frozen=True)

    runs: Path = Path("runs")
    """Where campaigns are kept, with the database beside them."""
    specs: Path | None = None
    """The owner's rules and policies; the packaged ones where a file is not there."""
    prompts: Path | None = None
    """The owner's prompt templates; the packaged ones where a file is not there."""
    database_url: SecretStr | None = None
    """PostgreSQL or SQLite by URL; a SQLite file in the runs folder by default."""
    bus_url: SecretStr | None = None
    """Redis by URL; in this process by default."""
    vendors: Mapping[str, SecretStr] | None = None
    """What the environment says of model vendors, by the variable's name without ``MAESTRO_`` (``OPENAI_API_KEY``);
    null is the environment of this process."""
    proxy: str | None = None
    """For a session's WebSocket and REST: ``http://`` or ``socks5h://``."""
    live_api_key: SecretStr | None = None
    live_api_secret: SecretStr | None = None

    def of_vendor(self, variable: str | None) -> SecretStr | None:
        """The value of ``MAESTRO_<variable>``, else of *variable* itself; null where neither is set."""
        if variable is None:
            return None
        if self.vendors is not None:
            return self.vendors.get(variable)
        values = (os.environ.get(name) for name in (f"MAESTRO_{variable}", variable))  # noqa: TID251 # the one reader
        return next((SecretStr(value) for value in values if value is not None), None)

    def secrets(self) -> list[str]:
        """Every secret that the environment told, so that none is ever written."""
        from maestro_agents.api import brain_adapters

        own = [value for value in dict(self).values() if isinstance(value, SecretStr)]
        keys = [self.of_vendor(adapter.key_variable) for adapter in brain_adapters().values()]
        return [secret.get_secret_value() for secret in (*own, *keys) if secret is not None]


_OFF = ("", "0", "false", "f", "no", "n", "off")


def kill_switch_on() -> bool:
    """Whether ``MAESTRO_KILL_SWITCH`` says that everything stops and nothing starts: anything but a clear no does.

    A session asks four times a second, so this reads one variable and no more.
    """
    return os.environ.get("MAESTRO_KILL_SWITCH", "").strip().lower() not in _OFF  # noqa: TID251 # the one reader
