"""A role that somebody installed beside Maestro: asked in its place of the turn, read by the role after it, kept."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from campaign_support import (
    bodies,
    conducted,
    contents,
    differing,
    journal_of,
    resumed,
    retold,
    settings_in,
    small_config,
)
from typer.testing import CliRunner

from maestro.cli.main import app
from maestro.cli.model_options import parse_brain
from maestro.settings import Settings
from maestro.wiring import workspace
from maestro.wiring.brains import all_roles, expected_turns, forecast
from maestro.wiring.campaigns import versions
from maestro.wiring.request import request_of
from maestro_agents.api import ADVISORS
from maestro_protocol.envelope import Envelope
from maestro_protocol.errors import ConfigError, UsageError
from maestro_protocol.messages.campaign import BrainChoice, CampaignConfig
from maestro_protocol.messages.plan import Advice, Critique, Proposal
from maestro_protocol.messages.report import Briefing

OFFICER = Path(__file__).parents[2] / "extensions" / "risk_officer"
LINE = "maestro.roles:risk_officer maestro-risk-officer 0.3"


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    ADVISORS.reload()


@pytest.fixture
def officer(installed: Callable[[Path], Path]) -> None:
    installed(OFFICER)
    ADVISORS.reload()


def advised(settings: Settings, data: Path) -> CampaignConfig:
    config = small_config(data, settings)
    brains = all_roles((BrainChoice(role="risk_officer"),))
    return config.model_copy(update={"brains": brains, "versions": versions(brains)})


def turns(journal: list[Envelope]) -> list[str]:
    return [envelope.body.type for envelope in journal if isinstance(envelope.body, Proposal | Advice | Critique)]


@pytest.mark.usefixtures("officer")
def test_every_proposal_is_advised_on_and_the_critic_is_told(small_data: Path, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    config = advised(settings, small_data)
    assert LINE in config.versions
    journal = journal_of(conducted(config, settings).folder)
    told = turns(journal)
    assert told == ["Proposal", "Advice", "Critique"] * (len(told) // 3)
    asked = {e.id: e.body for e in journal if isinstance(e.body, Briefing)}
    advices = bodies(journal, Advice)
    judged = [question for question in asked.values() if question.wants == "Critique"]
    assert len(advices) == len(judged) > 2
    assert [question.advice for question in judged] == [(advice,) for advice in advices]
    assert all(not question.advice for question in asked.values() if question.wants not in ("Critique",))
    assert {(e.sender, asked[e.causation].wants) for e in journal if isinstance(e.body, Advice) and e.causation} == {
        ("risk_officer", "Advice")
    }


@pytest.mark.usefixtures("officer")
def test_it_is_resumed_and_told_again_word_for_word(small_data: Path, tmp_path: Path) -> None:
    whole = settings_in(tmp_path / "whole")
    run = conducted(advised(whole, small_data), whole)
    half = settings_in(tmp_path / "half")
    config = advised(half, small_data)
    journal = journal_of(run.folder)
    cut = next(place for place, envelope in enumerate(journal) if isinstance(envelope.body, Advice)) + 1
    keep(half, config, journal[:cut])
    assert differing(contents(resumed(config.campaign, half).folder), contents(run.folder)) == []
    again = retold(run.folder, settings_in(tmp_path / "elsewhere"), small_data)
    assert again.difference is None
    assert again.same


def keep(settings: Settings, config: CampaignConfig, journal: list[Envelope]) -> None:
    """A store that holds no more of a campaign than the first messages of its journal."""

    async def kept() -> None:
        store = await workspace.open_workspace_store(settings)
        await store.commit(config.campaign, journal)
        await store.close()

    asyncio.run(kept())


def test_without_it_a_campaign_says_what_it_misses(
    small_data: Path, tmp_path: Path, installed: Callable[[Path], Path]
) -> None:
    settings = settings_in(tmp_path)
    installed(OFFICER)
    ADVISORS.reload()
    run = conducted(advised(settings, small_data), settings)
    with pytest.MonkeyPatch.context() as away:
        away.setattr("sys.path", [place for place in sys.path if place != str(OFFICER)])
        ADVISORS.reload()
        with pytest.raises(ConfigError, match=f"ran with {LINE}: install that"):
            retold(run.folder, settings, small_data)


@pytest.mark.usefixtures("officer")
def test_it_is_asked_for_like_any_role_and_counts_in_the_estimate(small_data: Path, tmp_path: Path) -> None:
    choice = parse_brain("risk_officer=openai:gpt-6-sol")
    asked = request_of(None, {"brains": [choice.model_dump()]}, settings_in(tmp_path))
    assert asked.brains == (choice,)
    config = advised(settings_in(tmp_path), small_data)
    turns = expected_turns(config)
    assert turns["risk_officer"].least == turns["strategist"].least  # one for every proposal
    assert turns["strategist"].most > turns["risk_officer"].most > turns["risk_officer"].least
    config = config.model_copy(update={"brains": all_roles((choice,))})
    assert "models of risk_officer" in forecast(config, 0)


def test_where_nobody_brings_it_the_known_roles_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown role; known: maestro, strategist, critic, implementer"):
        parse_brain("risk_officer=offline")
    with pytest.raises(ConfigError, match=r"brains\.0\.role"):
        request_of(None, {"brains": [{"role": "king"}]}, settings_in(tmp_path))


@pytest.mark.usefixtures("officer")
def test_sessions_say_that_they_do_not_ask_it(tmp_path: Path) -> None:
    said = ["session", "run", "--rounds", "2", "--duration", "60", "--brain", "risk_officer=offline"]
    answer = CliRunner().invoke(app, [*said, "--out", str(tmp_path)])
    assert isinstance(answer.exception, UsageError)
    assert str(answer.exception) == (
        "--brain: risk_officer advises in campaigns; sessions ask maestro, strategist, critic, implementer"
    )
    assert not list(tmp_path.iterdir())
