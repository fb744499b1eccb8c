"""gallery owns the choice and order of the pictures."""

from __future__ import annotations

from maestro.report.facts import Facts
from maestro.report.plots import equity, heat, luck, path, returns, segments, trades
from maestro.report.plots.theme import Plot


def draw(facts: Facts) -> dict[str, Plot]:
    """All pictures of a campaign by name; one that cannot be drawn says why in its caption."""
    plots = (
        equity.plot(facts),
        luck.trial_sharpes(facts),
        luck.nulls(facts),
        luck.logits(facts),
        segments.walk_forward(facts),
        segments.scores(facts),
        heat.plot(facts),
        path.plot(facts),
        returns.months(facts),
        returns.daily(facts),
        trades.prices(facts),
        trades.spread(facts),
        trades.excursions(facts),
        trades.held(facts),
        trades.kinds(facts),
    )
    return {plot.name: plot for plot in plots}
