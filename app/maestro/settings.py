"""settings owns the environment: the only place that reads it. Keys come from here and go to their SDK alone."""

from __future__ import annotations

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
