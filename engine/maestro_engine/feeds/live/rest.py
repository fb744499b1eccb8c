"""rest owns asking an exchange over HTTPS: one client, retries that honour Retry-After, one clear error."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from importlib.util import find_spec

import httpx2
import numpy as np

from maestro_engine.feeds.port import FeedClock
from maestro_protocol.errors import ConfigError, DataError

RETRIED = frozenset({408, 418, 429, 500, 502, 503, 504})
REFUSED_HERE = {
    403: "the exchange refuses this address: ask from another network, or by way of a proxy (MAESTRO_PROXY)",
    451: "the exchange may not answer where you are: use one that may, such as --source bitunix, or --source sim",
}
"""Answers that no asking again changes, and what may."""
LONGEST_WAIT_S = 60.0
"""A Retry-After longer than this is not waited for: the caller learns of it instead."""


class Rest:
    """GET with up to *tries* attempts. ``proxy`` is None (direct) or a URL, ``socks5h://`` included."""

    def __init__(
        self,
        base_url: str,
        clock: FeedClock,
        rng: np.random.Generator,
        *,
        proxy: str | None = None,
        tries: int = 4,
        timeout_s: float = 10.0,
    ) -> None:
        """*timeout_s* is a whole attempt's, from connecting to the last byte, however slowly those come."""
        check_proxy(proxy)
        self._timeout_s = timeout_s
        self._clock, self._rng, self._tries = clock, rng, tries
        # trust_env off: only the settings decide on a proxy, never a variable somebody left in the environment.
        self._http = httpx2.AsyncClient(base_url=base_url, proxy=proxy, timeout=timeout_s, trust_env=False)

    async def get(self, path: str, params: Mapping[str, str | int] | None = None) -> bytes:
        """The body of a 2xx answer. Raises :class:`DataError` when there is none after all attempts."""
        why = ""
        for attempt in range(self._tries):
            wait: float | None = 0.5 * 2.0**attempt * float(self._rng.uniform(0.5, 1.0))
            try:
                async with asyncio.timeout(self._timeout_s):
                    answer = await self._http.get(path, params=dict(params or {}))
            except TimeoutError:
                why = f"no whole answer in {self._timeout_s:g} s"
            except httpx2.RequestError as error:
                why = f"{type(error).__name__} {error}".strip()
            else:
                if answer.is_success:
                    return answer.content
                why = f"HTTP {answer.status_code} {answer.text[:120]}".strip()
                if answer.status_code in REFUSED_HERE:
                    raise DataError(f"{self._http.base_url}{path}: {why}; {REFUSED_HERE[answer.status_code]}")
                wait = _wait_s(answer, wait)
            if wait is None or attempt + 1 == self._tries:
                break
            await self._clock.sleep(wait)
        raise DataError(f"{self._http.base_url}{path}: {why}; is the exchange up and the address right?")

    async def aclose(self) -> None:
        await self._http.aclose()


def check_proxy(proxy: str | None) -> None:
    """Raises :class:`ConfigError` for a proxy that cannot be used, before anything is connected."""
    if proxy is None:
        return
    if not proxy.startswith(("http://", "https://", "socks5://", "socks5h://")):
        raise ConfigError(f"proxy {proxy!r}: give http://, https://, socks5:// or socks5h://host:port")
    missing = [name for name in ("python_socks", "socksio") if find_spec(name) is None]
    if proxy.startswith("socks") and missing:
        raise ConfigError(f"proxy {proxy!r}: SOCKS needs the packages python-socks and httpx2[socks]; install them")


def _wait_s(answer: httpx2.Response, backoff_s: float | None) -> float | None:
    """Seconds before asking again, or None when it is no use."""
    if answer.status_code not in RETRIED or backoff_s is None:
        return None
    asked = answer.headers.get("retry-after", "")
    wait = max(backoff_s, float(asked)) if asked.isdecimal() else backoff_s
    return wait if wait <= LONGEST_WAIT_S else None
