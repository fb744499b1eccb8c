"""analyzer owns the live look at scores: every so many episodes it asks each rule whether its metric is off target.

Windows overlap, so one stretch of the market is traded by many tests. Under the sequential policy each stretch
counts once for a configuration, because a test that sees the same bars five times is five times too sure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from maestro.control.rules import Policies, Rule, SequentialPolicy, Streak
from maestro_protocol.messages.report import Alert
from maestro_protocol.ports import EpisodeScore, Look, Sequential, Statistics
from maestro_protocol.values import Change

Suggest = Callable[[Rule], tuple[Change, ...]]

READ: dict[str, Callable[[EpisodeScore], float | None]] = {
    "hit": lambda e: e.hit,
    "payoff": lambda e: e.payoff,
    "maxdd": lambda e: e.maxdd if e.n_trades else None,
    "blunders_per_100": lambda e: 100.0 * e.blunders / e.n_trades if e.n_trades else None,
    "high_vol_share": lambda e: None if e.high_vol is None else float(e.high_vol),
    "total_pnl": lambda e: e.total_pnl / 1e6,
}
"""How a rule's metric is read from one episode; null where the episode cannot tell."""


@dataclass
class _Streak:
    """The origin's trigger: so many episodes in a row beyond the line."""

    rule: Rule
    policy: Streak
    run: int = 0
    total: float = 0.0
    n: int = 0

    def update(self, value: float) -> Look:
        self.run = self.run + 1 if self.rule.when.crossed(value) else 0
        self.total += value
        self.n += 1
        return Look(self.n, self.total / self.n, math.nan, self.run >= self.policy.episodes)


@dataclass
class _Watch:
    rule: Rule
    test: Sequential
    look: Look | None = None

    def feed(self, episode: EpisodeScore) -> None:
        value = READ[self.rule.metric](episode)
        if value is not None:
            self.look = self.test.update(value)


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
        self._watches = [_Watch(rule, self._test(rule)) for rule in self.rules if rule.metric in READ]

    def _test(self, rule: Rule) -> Sequential:
        if isinstance(self.policy, Streak):
            return _Streak(rule, self.policy)
        return self.statistics.sequential(
            rule.on_target,
            below=rule.when.below is not None,
            alpha=self.policy.alpha,
            min_n=self.policy.min_episodes,
        )

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
        return tuple(
            self._alert(watch.rule, watch.look, suggest)
            for watch in self._watches
            if watch.look is not None and watch.look.rejects and watch.rule.when.crossed(watch.look.mean)
        )

    def _alert(self, rule: Rule, look: Look, suggest: Suggest) -> Alert:
        side = "below" if rule.when.below is not None else "above"
        if isinstance(self.policy, Streak):
            evidence = f"{self.policy.episodes} episodes in a row {side} {rule.when.line:g}"
        else:
            evidence = (
                f"mean {look.mean:.4g} over {look.n} episodes; anytime-valid bound {look.bound:.4g} is {side} "
                f"the target {rule.on_target:g} (error rate {self.policy.alpha:g})"
            )
        return Alert(
            rule=rule.name,
            metric=rule.metric,
            value=look.mean,
            line=rule.when.line,
            episodes=look.n,
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
