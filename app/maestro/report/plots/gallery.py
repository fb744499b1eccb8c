"""gallery owns the choice and order of the pictures."""

from __future__ import annotations

from maestro.report.campaign_data import Facts
from maestro.report.plots import equity, heatmap, null_distribution, parameter_path, returns, segments, trades
from maestro.report.plots.theme import Plot


def draw(facts: Facts) -> dict[str, Plot]:
    """All pictures of a campaign by name; one that cannot be drawn says why in its caption."""
    plots = (
        equity.plot(facts),
        null_distribution.trial_sharpes(facts),
        null_distribution.nulls(facts),
        null_distribution.logits(facts),
        segments.walk_forward(facts),
        segments.scores(facts),
        heatmap.plot(facts),
        parameter_path.plot(facts),
        returns.months(facts),
        returns.daily(facts),
        trades.prices(facts),
        trades.spread(facts),
        trades.excursions(facts),
        trades.held(facts),
        trades.kinds(facts),
    )
    return {plot.name: plot for plot in plots}
