"""Budgets by option: of the campaign, of a role, of a day; what nobody knows or what is no amount is refused."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from maestro.cli.model_options import parse_budget
from maestro_protocol.errors import UnknownKey, UsageError
from maestro_protocol.messages.campaign import BudgetPlan, Limits


def test_what_nobody_names_has_the_products_default() -> None:
    assert parse_budget([]) == BudgetPlan()


def test_limits_of_the_campaign_of_roles_and_of_the_day() -> None:
    plan = parse_budget(
        ["usd=5", "strategist.usd=1", "role.requests=30", "day.usd=10", "day.seconds=none", "when_exhausted=offline"]
    )
    default = BudgetPlan()
    assert (plan.usd, plan.tokens, plan.when_exhausted) == (Decimal(5), default.tokens, "offline")
    assert plan.role == default.role.model_copy(update={"requests": 30})
    (own,) = plan.roles
    assert (own.role, own.usd, own.requests, own.tokens) == ("strategist", Decimal(1), 30, default.role.tokens)
    assert plan.day == default.day.model_copy(update={"usd": Decimal(10), "seconds": None})


@pytest.mark.parametrize("unit", Limits.model_fields)
def test_every_limit_can_be_taken_off_and_only_by_saying_so(unit: str) -> None:
    plan = parse_budget([f"{unit}=none", f"role.{unit}=none", f"critic.{unit}=none", f"day.{unit}=none"])
    assert [getattr(limits, unit) for limits in (plan, plan.role, *plan.roles, plan.day)] == [None] * 4


@pytest.mark.parametrize(
    ("texts", "error", "words"),
    [
        (["stratgist.usd=1"], UnknownKey, "did you mean 'strategist.usd'"),
        (["day.token=1"], UnknownKey, "did you mean 'day.tokens'"),
        (["dispatcher.usd=1"], UnknownKey, "unknown key 'dispatcher.usd'"),
        (["role=1"], UnknownKey, "unknown key 'role'"),
        (["day.when_exhausted=ask"], UnknownKey, "unknown key"),
        (["a.b.usd=1"], UnknownKey, "unknown key"),
        (["usd"], UsageError, "write NAME=VALUE"),
        ([""], UsageError, "write NAME=VALUE"),
        (["day.usd=1", "day.usd=2"], UsageError, "each name once"),
        (["day.usd=-1"], UsageError, "day.usd: Input should be greater"),
        (["critic.tokens=1.5"], UsageError, "critic.tokens: "),
        (["usd=nan"], UsageError, "usd: "),
        (["role.seconds=inf"], UsageError, "role.seconds: "),
        (["when_exhausted=never"], UsageError, "when_exhausted: "),
    ],
)
def test_what_is_no_budget_is_refused_in_one_line(texts: list[str], error: type[UsageError], words: str) -> None:
    with pytest.raises(error) as refused:
        parse_budget(texts)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_models_price_is_named_in_usd_per_million_tokens() -> None:
    plan = parse_budget([], prices=["my-llama=0/0", "org/other:7b=0.5/1.25", "my-llama=1/2"])
    assert [(price.model, price.input, price.output) for price in plan.prices] == [
        ("my-llama", Decimal(1), Decimal(2)),
        ("org/other:7b", Decimal("0.5"), Decimal("1.25")),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("my-llama", "write MODEL=INPUT/OUTPUT"),
        ("my-llama=1", "write MODEL=INPUT/OUTPUT"),
        ("=1/2", "write MODEL=INPUT/OUTPUT"),
        ("my-llama=-1/0", "input: "),
        ("my-llama=0/nan", "output: "),
        ("my-llama=/", "input: "),
        ("x" * 301 + "=0/0", "model: "),
    ],
)
def test_what_is_no_price_is_refused_in_one_line(text: str, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_budget([], prices=[text])
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_budget_is_part_of_what_was_asked_for(maestro: Any, bars_file: Any) -> None:
    run = ("campaign", "run", "--data", bars_file, "--symbol", "BTCUSDT", "--tests", "3", "--segments", "1", "--json")
    ended = maestro(*run, "--budget", "critic.usd=0.5", "--budget", "day.requests=7")
    assert ended.code == 0, ended.err
    campaign = json.loads(ended.out)["campaign"]
    first = json.loads(maestro("campaign", "journal", campaign).out.splitlines()[0])["body"]["budget"]
    assert first["day"]["requests"] == 7
    assert [(own["role"], own["usd"]) for own in first["roles"]] == [("critic", "0.5")]
    other = json.loads(maestro(*run).out)["campaign"]
    assert other != campaign
    assert "-r2" not in other, "another budget is another campaign"
    assert maestro(*run, "--budget", "critic.usdd=0.5").code == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--brain", "citric=anthropic"), "unknown role"),
        (("--brain", "critic=anthropic", "--brain", "critic=openai"), "given twice"),
        (("--budget", "critic.usdd=1"), "did you mean 'critic.usd'"),
        (("--brain", "critic=anthropic"), "needs ANTHROPIC_API_KEY"),
    ],
)
def test_an_ablation_takes_brains_and_budgets_as_a_campaign_does(
    options: tuple[str, ...], words: str, maestro: Any, bars_file: Any
) -> None:
    ended = maestro("study", "ablation", "--data", bars_file, "--symbol", "BTCUSDT", "--tests", "5", *options)
    assert ended.code == 2
    assert words in ended.err
    assert "Traceback" not in ended.err
