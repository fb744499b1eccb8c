"""request owns what a person asks of a campaign: options over a file, a file over the product's defaults."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from maestro.control.rules import read_yaml
from maestro.settings import Settings
from maestro.wiring import markets, workspace
from maestro.wiring.brains import role_names
from maestro.wiring.campaigns import CampaignRequest, versions
from maestro.wiring.gates import tell_on_stderr
from maestro_protocol.config import DECLARED_FOR, Sizing
from maestro_protocol.errors import UnknownKey, UsageError
from maestro_protocol.messages.campaign import CampaignConfig

SESSION_SIZING = {"notional_usd": "5000"}
"""An account of 10,000 that may lose 50 a trade and a day carries little more in a session."""


class _Kind(BaseModel):
    """Enough of a file to tell an earlier campaign's ``campaign.yaml`` from a request."""

    model_config = ConfigDict(extra="ignore")
    type: str | None = None


def request_of(file: Path | None, said: Mapping[str, Any], settings: Settings) -> CampaignRequest:
    """A request: *said*, plain data under a request's keys, over *file*: key by key, brains role by role.

    *file* holds the keys of a :class:`CampaignRequest`, paths beside it; or it is the ``campaign.yaml`` of an earlier
    campaign, which is then asked for again. Raises ConfigError for the file and UsageError for what was said.
    """
    asked = {} if file is None else _read(file, settings, "data" in said or "market" in said)
    before = asked.get("sizing")
    over = {"seed"} if "market" in asked else {"symbol", "reading"}
    if any(said.get(name) is not None for name in over):
        asked.pop("expected", None)  # an option makes them other bars
    for name, value in said.items():
        under = asked.get(name)
        if name == "brains":
            chosen = {choice["role"] for choice in value}
            asked[name] = [*(choice for choice in under or () if choice["role"] not in chosen), *value]
        else:
            asked[name] = {**under, **value} if isinstance(under, dict) and isinstance(value, dict) else value
    if asked.get("engine") == "session":
        asked.setdefault("sizing", SESSION_SIZING)
    if isinstance(asked.get("sizing"), dict) and (file is None or "sizing" in said or not _is_config(file)):
        asked["sizing"] = _stated_for(asked["sizing"])
    if asked.get("symbol") is not None and asked.get("data") is None:
        raise UsageError("--symbol names the symbol of a file: give --data too")
    try:
        request = CampaignRequest.model_validate(asked)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from None
    _check_roles(request, file)
    if before is None or request.rules is None or request.targets is None or "sizing" not in said:
        return request
    return _resized(request, float(request.sizing.share / Sizing.model_validate(before).share))


def _check_roles(request: CampaignRequest, file: Path | None) -> None:
    roles, known = [choice.role for choice in request.brains], role_names()
    for place, role in enumerate(roles):
        if roles.count(role) > 1:
            raise UsageError(f"brains: {role} is given twice; a role has one brain")
        if role not in known:
            raise UnknownKey(f"{'' if file is None else f'{file}: '}brains.{place}.role", role, known)


def _resized(request: CampaignRequest, share: float) -> CampaignRequest:
    """*request* with the rules and targets of an earlier campaign for positions of *share* times its size."""
    assert request.rules is not None
    assert request.targets is not None
    targets = tuple(target.scaled(share) for target in request.targets)
    return request.model_copy(update={"rules": request.rules.scaled(share), "targets": targets})


def _is_config(file: Path) -> bool:
    return read_yaml(file, _Kind).type == "CampaignConfig"


def _stated_for(sizing: Mapping[str, Any]) -> dict[str, Any]:
    """*sizing* with amounts of money as they are declared, where it is a notional of another size than theirs."""
    other = sizing.get("notional_usd") is not None and Decimal(str(sizing["notional_usd"])) != DECLARED_FOR
    given = sizing.get("quantity") is not None or sizing.get("declared_for") is not None
    return {**sizing, "declared_for": DECLARED_FOR} if other and not given else dict(sizing)


def _read(file: Path, settings: Settings, other_data: bool) -> dict[str, Any]:
    if _is_config(file):
        return _again(read_yaml(file, CampaignConfig), settings, other_data)
    asked = read_yaml(file, CampaignRequest).model_dump(exclude_unset=True)
    if asked.get("data") is not None:
        asked["data"] = file.parent / asked["data"]
    return asked


def _again(config: CampaignConfig, settings: Settings, other_data: bool) -> dict[str, Any]:
    """What *config* was asked as. Raises UsageError where its data is not known on this machine."""
    now = versions(config.brains, config.methods, [metric.name for metric in config.metrics])
    if config.versions != now:
        tell_on_stderr(f"{config.campaign}: ran with {', '.join(config.versions)}; this is {', '.join(now)}")
    told = config.model_dump()
    names = {*CampaignRequest.model_fields} - {"data", "market", "symbol"}
    asked = {name: value for name, value in told.items() if name in names}
    asked["metrics"] = tuple(metric.name for metric in config.metrics)
    simulated = markets.SIMULATED.match(config.data.source)
    if other_data:
        return asked | {"reading": {}}
    asked["expected"] = told["data"]
    if simulated is not None:
        return asked | {"market": simulated[1]}
    path = workspace.known_data(settings, config.data.digest)
    if path is None:
        raise UsageError(f"{config.campaign}: its data ({config.data.source}) is not known here; name it with --data")
    return asked | {"data": path, "symbol": config.data.symbol}
