"""made_up_parts owns the pieces of a campaign that never ran: results, verdicts and exhibits that could be."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
from made_up_sheets import tear_sheets

from maestro_protocol.messages.campaign import Curve, Exhibits, Figure, Finalist, Histogram, NullModel, Verdict
from maestro_protocol.messages.report import Metrics
from maestro_protocol.space import Value
from maestro_protocol.values import as_params

START = 1_735_689_600_000  # 1 January 2025
DAY = 86_400_000
BASE: dict[str, Value] = {
    "macd_fast": 12, "macd_slow": 26, "macd_signal": 9, "atr_stop_mult": 1.5, "hard_tp_usd": 300.0,
    "timeout_bars": 120, "gate_vhf": False, "vhf_min": 0.3, "atr_bars": 14,
}  # fmt: skip


def usd(value: float) -> Decimal:
    return Decimal(f"{value:.2f}")


def metrics(rng: np.random.Generator, edge: float = 0.0, scale: float = 1.0) -> Metrics:
    """Results of one test that could be, a little better for a larger *edge*."""
    n = int(rng.integers(12, 60) * scale) + 1
    hit = float(np.clip(rng.normal(0.5 + edge / 10, 0.07), 0.1, 0.9))
    wins = round(n * hit)
    win, loss = float(rng.normal(190, 25)), float(rng.normal(170, 20))
    gross_win, gross_loss = usd(wins * win), usd(-(n - wins) * loss)
    pnl = gross_win + gross_loss
    return Metrics(
        n_trades=n,
        wins=wins,
        losses=n - wins,
        hit=wins / n,
        payoff=win / loss,
        total_pnl=pnl,
        gross_win=gross_win,
        gross_loss=gross_loss,
        maxdd=usd(-abs(rng.normal(1400, 500))),
        blunders=int(rng.integers(0, 3)),
        blunders_per_100=float(rng.uniform(0, 4)),
        high_vol_share=float(rng.uniform(0.1, 0.5)),
        sharpe=float(pnl) / 550 + float(rng.normal(0, 3)),
        profit_factor=float(gross_win / -gross_loss) if gross_loss else None,
        expectancy=float(pnl) / n,
        exposure=float(rng.uniform(0.2, 0.6)),
        score=float(rng.normal(78 + 12 * edge, 9)),
    )


UNDEFINED = Metrics(
    n_trades=0, wins=0, losses=0, hit=None, payoff=None, total_pnl=Decimal(0), gross_win=Decimal(0),
    gross_loss=Decimal(0), maxdd=Decimal(0), blunders=0, blunders_per_100=None, high_vol_share=None, sharpe=None,
    profit_factor=None, expectancy=None, exposure=None, score=None,
)  # fmt: skip


SENTENCES = {
    "SURVIVES": "seg3-p1 survives: it made 4,310 USD on data the search never saw, more than luck explains.",
    "DOES NOT SURVIVE": "Nothing survives: the best of 143 configurations is no better than as many coin tosses.",
    "NOT ENOUGH EVIDENCE": "Not enough evidence: 61 trades on the sealed data cannot tell skill from luck.",
}


def figure(name: str, value: float | None, passes: bool | None, threshold: str, about: str) -> Figure:
    return Figure(name=name, value=value, passes=passes, threshold=threshold, about=about)


def nothing_known(verdict: Verdict) -> Verdict:
    """The same verdict with every figure undefined."""
    hidden = {"value": None, "passes": None}
    finalists = tuple(
        finalist.model_copy(
            update={
                "open_part": UNDEFINED,
                "holdout": UNDEFINED,
                "survives": None,
                "figures": tuple(f.model_copy(update=hidden) for f in finalist.figures),
            }
        )
        for finalist in verdict.finalists
    )
    figures = tuple(f.model_copy(update=hidden) for f in verdict.figures)
    return verdict.model_copy(update={"effective_trials": None, "figures": figures, "finalists": finalists})


def verdict(rng: np.random.Generator, word: str, edge: float) -> Verdict:
    good = word == "SURVIVES"
    return Verdict.model_validate(
        {
            "word": word,
            "sentence": SENTENCES[word],
            "trials": 143,
            "effective_trials": 21.4,
            "finalists": tuple(finalist(rng, place, good and place == 1, edge) for place in range(1, 6)),
            "figures": (
                figure("variants proposed", 143, None, "–", "everything anybody proposed counts"),
                figure("best trial's Sharpe, open part", 2.72, good, "> 2.05", "more than pure noise would show"),
                figure("probability of backtest overfitting", 0.08 if good else 0.58, good, "< 0.5", "by splits"),
                figure("sealed PnL, USD", 4310.2 if good else -1822.75, good, "> 0", "best finalist"),
                figure("walk-forward efficiency", None, None, ">= 0.5", "undefined: training earned nothing"),
            ),
            "sample_needed": "about 186 days of sealed data, about 899 trades" if "ENOUGH" in word else "",
        }
    )


def finalist(rng: np.random.Generator, place: int, survives: bool, edge: float) -> Finalist:
    values = BASE | {"atr_stop_mult": 1.2 + 0.3 * place, "hard_tp_usd": 100.0 + 100 * place}
    return Finalist(
        run_id=f"seg{place}-p1",
        methods=("macd_trend", "trend_breakout") if place == 2 else ("macd_trend",),
        params=as_params(values),
        open_part=metrics(rng, edge, 30),
        holdout=metrics(rng, edge, 8),
        figures=(
            figure("deflated Sharpe ratio", 0.2 + place / 9, survives, ">= 0.95", "after paying for every try"),
            figure("p against random entries", 0.004 + place / 40, survives, "<= 0.05", "same exits"),
            figure("minimum track record, periods", 310.0, None, "", "were it the only try"),
        ),
        survives=survives,
    )


NO_EXHIBITS = Exhibits(
    trial_sharpes=(),
    expected_maximum=None,
    pbo_logits=None,
    nulls=(NullModel(run_id="seg1-p1", observed=None, values=()),),
    curves=(),
)


def exhibits(rng: np.random.Generator, runs: Sequence[str]) -> Exhibits:
    counts, edges = np.histogram(rng.normal(-0.25, 1.3, 12_870), bins=24, range=(-4.2, 4.2))
    return Exhibits(
        trial_sharpes=tuple(rng.normal(-0.4, 1.1, 143)),
        expected_maximum=2.05,
        pbo_logits=Histogram(edges=tuple(edges), counts=tuple(int(count) for count in counts)),
        nulls=tuple(
            NullModel(run_id=run, observed=1.9 - place * 0.5, values=tuple(rng.normal(-0.5, 1.1, 200)))
            for place, run in enumerate(runs)
        ),
        curves=tuple(
            Curve(
                run_id=run,
                start_ms=START,
                period_ms=36_000_000,
                sealed_from=345,
                pnl=tuple(rng.normal([14 - 3 * place] * 345 + [-9] * 87, 260)),
            )
            for place, run in enumerate(runs)
        ),
        tear_sheets=tear_sheets(np.random.default_rng(3), runs, START),
    )
