"""analyzer owns the live look at scores: every so many episodes it asks each rule whether its metric is off target.

Windows overlap, so one stretch of the market is traded by many tests. Under the sequential policy each stretch
counts once for a configuration, because a test that sees the same bars five times is five times too sure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from maestro_protocol.messages.report import Alert
from maestro_protocol.messages.rules import Policies, Rule, SequentialPolicy, Streak
from maestro_protocol.ports import EpisodeScore, Look, Sequential, Statistics
from maestro_protocol.values import Change

Suggest = Callable[[Rule], tuple[Change, ...]]


def _payoff(e: EpisodeScore) -> float | None:
    return (e.gross_win / e.wins) / (-e.gross_loss / e.losses) if e.wins and e.losses else None


READ: dict[str, Callable[[EpisodeScore], float | None]] = {
    "hit": lambda e: e.wins / e.n_trades if e.n_trades else None,
    "payoff": _payoff,
    "maxdd": lambda e: e.maxdd if e.n_trades else None,
    "blunders_per_100": lambda e: 100.0 * e.blunders / e.n_trades if e.n_trades else None,
    "high_vol_share": lambda e: None if e.high_vol is None else float(e.high_vol),
    "total_pnl": lambda e: e.total_pnl / 1e6,
}
"""How a rule's metric is read from one episode; null where the episode cannot tell."""


def _payoff_shortfall(e: EpisodeScore, target: float) -> float | None:
    """Mean win less *target* mean losses, USD: below 0 where the payoff is below target, without a ratio's tails."""
    return (e.gross_win / e.wins + target * e.gross_loss / e.losses) / 1e6 if e.wins and e.losses else None


@dataclass
class _Streak:
    """The origin's trigger: so many values in a row beyond the line."""

    rule: Rule
    policy: Streak
    run: int = 0
    n: int = 0
    fired: bool = False
    """Stays so until the next look, whenever the row was complete."""

    def update(self, value: float) -> Look:
        self.run = self.run + 1 if self.rule.when.crossed(value) else 0
        self.n += 1
        self.fired = self.fired or self.run >= self.policy.episodes
        return Look(self.n, value, math.nan, self.fired)


@dataclass
class _Watch:
    """One rule's metric over the episodes so far, and the test of it."""

    rule: Rule
    test: Sequential
    as_difference: bool
    look: Look | None = None
    total: float = 0.0
    n: int = 0

    @property
    def mean(self) -> float:
        return self.total / self.n if self.n else math.nan

    def feed(self, episode: EpisodeScore) -> None:
        value = READ[self.rule.metric](episode)
        if value is None:
            return
        self.total += value
        self.n += 1
        tested = _payoff_shortfall(episode, self.rule.on_target) if self.as_difference else value
        if tested is not None:
            self.look = self.test.update(tested)

    @property
    def speaks(self) -> bool:
        if self.look is None or not self.look.rejects:
            return False
        return isinstance(self.test, _Streak) or self.rule.when.crossed(self.mean)


@dataclass
class Analyzer:
    """Watches one configuration of a variation; a new one starts when the configuration changes."""

    rules: Sequence[Rule]
    policies: Policies
    policy: Streak | SequentialPolicy
    statistics: Statistics
    seen: int = 0
    last_episode: str | None = None
    pnl: list[float] = field(default_factory=list[float])
    """PnL of the episodes that count, USD."""
    _watches: list[_Watch] = field(default_factory=list[_Watch])
    _counted: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    def __post_init__(self) -> None:
        self._watches = [self._watch(rule) for rule in self.rules if rule.metric in READ]

    def _watch(self, rule: Rule) -> _Watch:
        if isinstance(self.policy, Streak):
            return _Watch(rule, _Streak(rule, self.policy), as_difference=False)
        as_difference = rule.metric == "payoff"
        test = self.statistics.sequential(
            0.0 if as_difference else rule.on_target,
            below=rule.when.below is not None,
            alpha=self.policy.alpha,
            min_n=self.policy.min_episodes,
        )
        return _Watch(rule, test, as_difference)

    def feed(self, test: str, episodes: Iterable[EpisodeScore], suggest: Suggest) -> tuple[Alert, ...]:
        """Take in one test's episodes; give the alerts of the first look at which a rule speaks."""
        train = [episode for episode in episodes if episode.phase == "train"]
        fresh = [episode for episode in train if self._is_fresh(episode)]
        self._counted.extend((train[0].start_ms, train[-1].end_ms) for _ in train[:1])
        alerts: tuple[Alert, ...] = ()
        for episode in train if isinstance(self.policy, Streak) else fresh:
            self.seen += 1
            self.last_episode = f"{test}_ep{episode.episode:02d}"
            self.pnl.append(episode.total_pnl / 1e6)
            for watch in self._watches:
                watch.feed(episode)
            if not alerts and self.seen % self.policies.look_every_episodes == 0:
                alerts = self._look(suggest)
        return alerts

    def _is_fresh(self, episode: EpisodeScore) -> bool:
        return all(episode.end_ms <= start or episode.start_ms >= end for start, end in self._counted)

    def _look(self, suggest: Suggest) -> tuple[Alert, ...]:
        return tuple(self._alert(watch, suggest) for watch in self._watches if watch.speaks)

    def _alert(self, watch: _Watch, suggest: Suggest) -> Alert:
        rule, look = watch.rule, watch.look
        assert look is not None
        side = "below" if rule.when.below is not None else "above"
        if isinstance(self.policy, Streak):
            evidence = f"{self.policy.episodes} episodes in a row {side} {rule.when.line:g}"
        else:
            tested = "mean win less target times mean loss, USD" if watch.as_difference else rule.metric
            evidence = (
                f"mean {watch.mean:.4g} over {watch.n} episodes; {tested}: anytime-valid bound {look.bound:.4g} is "
                f"{side} {0.0 if watch.as_difference else rule.on_target:g} (error rate {self.policy.alpha:g})"
            )
        return Alert(
            rule=rule.name,
            metric=rule.metric,
            value=watch.mean,
            line=rule.when.line,
            episodes=watch.n,
            evidence=evidence,
            change=suggest(rule),
        )

    def losing(self) -> Alert | None:
        """An alert when PnL per episode lies below zero by more than the kill rule allows."""
        n = len(self.pnl)
        if n < 3:
            return None
        mean = math.fsum(self.pnl) / n
        spread = math.sqrt(math.fsum((x - mean) ** 2 for x in self.pnl) / (n - 1))
        t = mean / (spread / math.sqrt(n)) if spread > 0 else 0.0
        if t >= self.policies.kill.t_below:
            return None
        return Alert(
            rule="losing",
            metric="total_pnl",
            value=mean,
            line=0.0,
            episodes=n,
            evidence=f"mean {mean:.2f} USD per episode over {n} episodes, t = {t:.2f}",
            change=(),
        )
