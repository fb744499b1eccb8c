"""Database URLs as people copy them: understood, or one line that repeats nothing of the password."""

from __future__ import annotations

import pytest

from maestro.store.opening import open_database
from maestro_protocol.errors import ConfigError


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://ann:canary@host:fivethousand/name", "the port of the database URL is no number"),
        ("postgresql://ann:canary@host:99999/name", "not within 1 to 65535"),
        ("postgresql://ann:can@ary@host/name", "its @ written as %40"),
        ("postgresql://ann:can@ary:canary@host/name", "its @ written as %40"),
        ("postgresql://ann:can@ary@host:5432/name?sslmode=require", "its @ written as %40"),
        ("postgres//ann:canary@host/name", "not a database URL"),
        ("oracle://ann:canary@host/name", "'oracle' databases are not supported"),
    ],
)
def test_a_url_that_cannot_be_is_one_line_without_its_password(url: str, reason: str) -> None:
    with pytest.raises(ConfigError) as refused:
        open_database(url)
    told = str(refused.value)
    assert reason in told
    assert "\n" not in told
    assert "ary" not in told.replace("ordinary", "")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:canary@host/name?sslmode=require",
        "postgres://ann:can%40ary@host:5432/name?sslmode=verify-full&application_name=x",
        "postgresql://ann:canary@/name?host=/run/postgresql",
        "postgresql+asyncpg://ann:canary@host/name",
    ],
)
async def test_ordinary_urls_are_understood_and_shown_without_their_password(url: str) -> None:
    database = open_database(url)
    assert "ary" not in database.place
    await database.close()
