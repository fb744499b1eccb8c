"""settings owns the environment: the only place that reads it. Keys come from here and go to their SDK alone."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import AliasChoices, Field, SecretStr
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
    anthropic_api_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("MAESTRO_ANTHROPIC_API_KEY", "ANTHROPIC_API_KEY")
    )
    anthropic_base_url: str | None = Field(
        default=None, validation_alias=AliasChoices("MAESTRO_ANTHROPIC_BASE_URL", "ANTHROPIC_BASE_URL")
    )
    openai_api_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("MAESTRO_OPENAI_API_KEY", "OPENAI_API_KEY")
    )
    openai_base_url: str | None = Field(
        default=None, validation_alias=AliasChoices("MAESTRO_OPENAI_BASE_URL", "OPENAI_BASE_URL")
    )
    proxy: str | None = None
    """For a session's WebSocket and REST: ``http://`` or ``socks5h://``."""
    live_api_key: SecretStr | None = None
    live_api_secret: SecretStr | None = None

    def secrets(self) -> list[str]:
        """Every secret that the environment told, so that none is ever written."""
        return [value.get_secret_value() for value in dict(self).values() if isinstance(value, SecretStr)]


_OFF = ("", "0", "false", "f", "no", "n", "off")


def kill_switch_on() -> bool:
    """Whether ``MAESTRO_KILL_SWITCH`` says that everything stops and nothing starts: anything but a clear no does.

    A session asks four times a second, so this reads one variable and no more.
    """
    return os.environ.get("MAESTRO_KILL_SWITCH", "").strip().lower() not in _OFF  # noqa: TID251 # the one reader
