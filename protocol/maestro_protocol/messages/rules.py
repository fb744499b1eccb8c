"""rules owns the shape of the owner's rules, trigger policies and gate policy: data, kept with every campaign."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from maestro_protocol.base import Frozen, Line, Name
from maestro_protocol.errors import UnknownKey
from maestro_protocol.messages.gate import Risk
from maestro_protocol.messages.plan import MONEY, MetricName


class When(Frozen):
    """The line that a mean must cross before its rule speaks."""

    below: float | None = None
    above: float | None = None

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if (self.below is None) == (self.above is None):
            raise ValueError("say either below or above")
        return self

    def crossed(self, value: float) -> bool:
        """Whether *value* is beyond the line; at it, it is not."""
        return value < self.below if self.below is not None else value > (self.above or 0.0)

    @property
    def line(self) -> float:
        """The value of the line itself, in the unit of the metric."""
        return self.below if self.below is not None else (self.above or 0.0)


class Step(Frozen):
    """How far a rule moves one parameter when it speaks, in the unit of the parameter."""

    parameter: Name
    step: float
    requires: Name | None = None
    """A switch without which the step means nothing; it is turned on first."""


class Rule(Frozen):
    """An adjustment rule of the owner: where a mean of recent episodes is beyond a line, it asks for these steps."""

    name: Name
    metric: MetricName
    when: When
    on_target: float
    """What the sequential policy tests against: it speaks only once "the mean is on target" is rejected."""
    change: Annotated[tuple[Step, ...], Field(min_length=1, max_length=4)]

    def scaled(self, share: float) -> Self:
        """The same rule for positions of *share* times the size; steps are stated as the parameters are."""
        if self.metric not in MONEY:
            return self
        side = "below" if self.when.below is not None else "above"
        when = self.when.model_copy(update={side: self.when.line * share})
        return self.model_copy(update={"when": when, "on_target": self.on_target * share})


class Rules(Frozen):
    """All adjustment rules of a campaign, the first that speaks first."""

    version: Literal[1]
    rules: Annotated[tuple[Rule, ...], Field(max_length=40)]

    def scaled(self, share: float) -> Self:
        """The same rules for positions of *share* times the size."""
        return self.model_copy(update={"rules": tuple(rule.scaled(share) for rule in self.rules)})


class Streak(Frozen):
    """The trigger of the eager policy: a rule speaks after so many episodes in a row beyond its line."""

    trigger: Literal["streak"]
    episodes: Annotated[int, Field(ge=1, le=100)]


class SequentialPolicy(Frozen):
    """The trigger of the honest policy: a rule speaks once an anytime-valid test at level *alpha* rejects."""

    trigger: Literal["sequential"]
    alpha: Annotated[float, Field(gt=0, lt=0.5)]
    min_episodes: Annotated[int, Field(ge=2, le=10_000)]


class Measure(Frozen):
    """How a patch is judged on the same windows with and without it."""

    metric: Literal["expectancy", "total_pnl", "score", "sharpe"]
    p_max: Annotated[float, Field(gt=0, le=1)]
    min_windows: Annotated[int, Field(ge=2)]


class Kill(Frozen):
    """When a variation is stopped: after so many tests, at a t statistic of its PnL a test below a line."""

    min_tests: Annotated[int, Field(ge=1)]
    t_below: Annotated[float, Field(le=0)]


class Policies(Frozen):
    """How often results are looked at, what makes a rule speak, how a patch is judged, when a variation ends."""

    version: Literal[1]
    look_every_episodes: Annotated[int, Field(ge=1, le=1_000)]
    policies: dict[Name, Annotated[Streak | SequentialPolicy, Field(discriminator="trigger")]]
    measure: Measure
    max_patches_per_segment: Annotated[int, Field(ge=0, le=100)]
    kill: Kill

    def policy(self, name: str) -> Streak | SequentialPolicy:
        """The trigger called *name*. Raises :class:`UnknownKey`."""
        if name not in self.policies:
            raise UnknownKey("policies.yaml", name, self.policies)
        return self.policies[name]


class RiskClass(Frozen):
    """What a risk needs before it is taken: so many approvals in so many minutes. Silence is a no."""

    needs: Annotated[int, Field(ge=0, le=9)]
    timeout_minutes: Annotated[int, Field(ge=1, le=43_200)]
    may_decide: tuple[Line, ...] = ()
    """Empty: the owner of the machine."""


class RiskClasses(Frozen):
    """What each class of risk needs before it is taken."""

    low: RiskClass
    medium: RiskClass
    high: RiskClass

    def of(self, risk: Risk) -> RiskClass:
        """What *risk* needs."""
        return {"low": self.low, "medium": self.medium, "high": self.high}[risk]


class PatchRisk(Frozen):
    """The risk of moving one of *parameters* by more than *over* of its whole range from where it is approved."""

    parameters: Annotated[tuple[Name, ...], Field(min_length=1, max_length=64)]
    over: Annotated[float, Field(ge=0, le=1)]
    risk: Risk


class GatePolicy(Frozen):
    """Which decisions wait for people, and by which class of risk."""

    version: Literal[1]
    classes: RiskClasses
    patches: Annotated[tuple[PatchRisk, ...], Field(max_length=100)]
    budget: Risk
    """Of raising the budget for models."""
    holdout_again: Risk
    """Of opening the sealed data a second time."""


class OpeningPolicy(Frozen):
    """What a look at sealed bars may use of the error that all looks at them share, and when a person is asked."""

    version: Literal[1]
    alpha: Annotated[float, Field(gt=0, lt=0.5)]
    """The chance that any of all looks at the same bars says SURVIVES of pure noise."""
    spends: Annotated[float, Field(gt=0, lt=1)]
    """Each look spends this share of what the looks before it left."""
    ask_from: Annotated[int, Field(ge=1, le=1_000)]
    """From this look on (1 is the first) a person is asked before the bars are opened."""

    def alpha_of(self, look: int) -> float:
        """The level of the *look*-th look: ``alpha * spends * (1 - spends) ** (look - 1)``, which sums to *alpha*.

        To six significant digits and never 0, which would be no test at all.
        """
        return max(float(f"{self.alpha * self.spends * (1 - self.spends) ** (look - 1):.6g}"), 1e-12)
