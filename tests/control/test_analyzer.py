"""The analyzer speaks when the evidence says so: noise on target seldom moves it, and no bar counts twice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from control_support import HOUR, episode, metrics, owners_rules, report

from maestro.control.learning import measure
from maestro.control.learning.analyzer import Analyzer
from maestro_engine.inference.port import EngineStatistics
from maestro_protocol.messages.report import Alert
from maestro_protocol.messages.rules import Measure, Policies, Rule, Rules
from maestro_protocol.ports import EpisodeScore
from maestro_protocol.values import Change

RULES, POLICIES, _ = owners_rules()


def analyzer(policy: str, rules: Rules = RULES, policies: Policies = POLICIES) -> Analyzer:
    return Analyzer(rules.rules, policies, policies.policy(policy), EngineStatistics())


def suggest(rule: Rule) -> tuple[Change, ...]:
    return (Change(parameter=rule.change[0].parameter, old=None, new=1),)


def noisy(dice: np.random.Generator, number: int, start: int, hit: float) -> EpisodeScore:
    """An episode of eight trades whose true hit is *hit* and whose true payoff is 1.3."""
    wins = int(dice.binomial(8, hit))
    sizes = dice.exponential(100e6, 8).astype(int)
    win, loss = int(1.3 * sizes[:wins].sum()), -int(sizes[wins:].sum())
    return episode(
        number, start, n_trades=8, wins=wins, losses=8 - wins, gross_win=win, gross_loss=loss, total_pnl=win + loss,
        maxdd=-float(dice.exponential(300)), blunders=int(dice.binomial(8, 0.002)), high_vol=dice.random() < 0.5,
    )  # fmt: skip


def fires(policy: str, hit: float, tests: int, seed: int) -> set[str]:
    """The rules that spoke while *tests* tests of 35 episodes on stretches of their own were fed."""
    dice, watching, spoke = np.random.default_rng(seed), analyzer(policy), set[str]()
    for test in range(tests):
        episodes = [noisy(dice, n, (test * 35 + n) * HOUR, hit) for n in range(35)]
        spoke |= {alert.rule for alert in watching.feed(f"seg1_test{test:03d}", episodes, suggest)}
    return spoke


def test_noise_on_target_fires_no_more_often_than_was_declared() -> None:
    """Looked at every ten episodes for 350 of them, 200 times over: at most alpha, with room for chance."""
    fired = sum("hit_low" in fires("sequential", 0.52, 10, seed) for seed in range(200))
    assert fired <= 200 * 0.05 + 7


def test_what_is_far_off_target_is_found() -> None:
    found = sum("hit_low" in fires("sequential", 0.36, 10, seed) for seed in range(20))
    assert found >= 18
    assert "payoff_low" not in fires("sequential", 0.54, 10, 1)


def test_a_stretch_of_the_market_counts_once_for_a_configuration() -> None:
    """Five tests on the same window are one look at the market; under the streak policy they are five."""
    window = [episode(n, n * HOUR, wins=6, losses=14) for n in range(10)]
    late = [episode(n, (n + 5) * HOUR, wins=6, losses=14) for n in range(10)]
    sequential, streak = analyzer("sequential"), analyzer("streak")
    for test in range(5):
        sequential.feed(f"seg1_test{test:03d}", window, suggest)
        streak.feed(f"seg1_test{test:03d}", window, suggest)
    assert (sequential.seen, streak.seen) == (10, 50)
    sequential.feed("seg1_test006", late, suggest)
    assert sequential.seen == 15, "only the half that nobody had seen is new"
    assert sequential.last_episode == "seg1_test006_ep09"


def test_only_the_train_part_is_looked_at() -> None:
    watching = analyzer("streak")
    phases = ("gap", "validation")
    for phase in phases:
        alerts = watching.feed(
            "t", [episode(n, n * HOUR, phase=phase, wins=0, losses=20) for n in range(50)], suggest
        )
        assert alerts == ()
    assert watching.seen == 0
    assert watching.losing() is None


def test_it_looks_after_every_ten_episodes_and_not_before() -> None:
    bad = [episode(n, n * HOUR, wins=2, losses=18) for n in range(9)]
    watching = analyzer("streak")
    assert watching.feed("t1", bad, suggest) == ()
    alerts = watching.feed("t2", [episode(1, 100 * HOUR, wins=2, losses=18)], suggest)
    hit = next(alert for alert in alerts if alert.rule == "hit_low")
    assert hit.episodes == 10
    assert hit.value == pytest.approx(0.1)
    assert "3 episodes in a row below 0.48" in hit.evidence
    assert hit.change == (Change(parameter="atr_stop_mult", old=None, new=1),)


def test_a_streak_ends_with_one_episode_on_target() -> None:
    watching = analyzer("streak")
    hits = [5, 5, 12, 5, 5, 12, 5, 5, 12, 12]
    episodes = [episode(n, n * HOUR, wins=w, losses=20 - w) for n, w in enumerate(hits)]
    assert "hit_low" not in {alert.rule for alert in watching.feed("t", episodes, suggest)}


def test_an_episode_without_trades_says_nothing() -> None:
    watching = analyzer("streak")
    nothing = dict.fromkeys(("n_trades", "wins", "losses", "gross_win", "gross_loss"), 0)
    alerts: tuple[Alert, ...] = watching.feed(
        "t", [episode(n, n * HOUR, high_vol=None, **nothing) for n in range(10)], suggest
    )
    assert alerts == ()


def test_losing_needs_more_than_bad_luck() -> None:
    dice = np.random.default_rng(5)
    steady, wild = analyzer("sequential"), analyzer("sequential")
    for n in range(60):
        steady.feed("t", [episode(n, n * HOUR, total_pnl=int(dice.normal(-50e6, 60e6)))], suggest)
        wild.feed("t", [episode(n, n * HOUR, total_pnl=(-1) ** n * 600_000_000 - 10_000_000)], suggest)
    losing = steady.losing()
    assert losing is not None
    assert losing.value < -20
    assert wild.losing() is None


def test_a_window_that_ran_twice_is_one_window_when_a_patch_is_judged() -> None:
    """Else a month of data, run through again and again, would be as good as a year."""
    before = [report(f"b{place}", metrics(expectancy=1.0)) for place in range(20)]
    after = [report(f"a{place}", metrics(expectancy=2.0 + place)) for place in range(20)]
    rule, groups = Measure(metric="expectancy", p_max=0.2, min_windows=10), list(range(20))
    once = [test.model_copy(update={"window": place}) for place, test in enumerate(after)]
    change, helps = measure.paired(once, before, groups, rule, EngineStatistics(), 1)
    assert (change.windows, helps) == (20, True)
    again = [test.model_copy(update={"window": place % 5}) for place, test in enumerate(after)]
    change, helps = measure.paired(again, before, groups, rule, EngineStatistics(), 1)
    assert (change.windows, helps) == (5, False)


@pytest.mark.parametrize(("p_value", "kept"), [(0.2, True), (0.2001, False), (0.39, False), (None, False)])
def test_a_patch_is_kept_up_to_the_p_value_that_the_policy_names(p_value: float | None, kept: bool) -> None:
    class Declared(EngineStatistics):
        def sign_flip(self, differences: Sequence[float], groups: Sequence[int], seed: int) -> float | None:
            return p_value

    before = [report(f"b{place}", metrics(expectancy=1.0)) for place in range(20)]
    after = [report(f"a{place}", metrics(expectancy=2.0)).model_copy(update={"window": place}) for place in range(20)]
    rule = Measure(metric="expectancy", p_max=0.2, min_windows=10)
    change, helps = measure.paired(after, before, list(range(20)), rule, Declared(), 1)
    assert (change.p_value, helps) == (p_value, kept)
