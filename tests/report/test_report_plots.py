"""What plots are drawn from: their figures hold whatever the data."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro.report import formatting
from maestro.report.plots import equity, heatmap, null_distribution, panel, parameter_path
from maestro_protocol.messages.campaign import Curve, NullModel

finite = st.floats(-1e6, 1e6)


@given(st.lists(finite, min_size=1, max_size=900), st.data())
def test_equity_ends_at_the_sum_and_never_hides_the_deepest_fall(pnl: list[float], data: st.DataObject) -> None:
    sealed = data.draw(st.integers(0, len(pnl)))
    track = equity.track(Curve(run_id="a", start_ms=0, period_ms=3_600_000, pnl=tuple(pnl), sealed_from=sealed))
    path_ = list(itertools.accumulate(pnl, initial=0.0))
    deepest = min(value - peak for value, peak in zip(path_, itertools.accumulate(path_, max), strict=True))
    assert track.equity[-1] == pytest.approx(path_[-1])
    assert track.open_end == pytest.approx(path_[sealed])
    assert min(track.below) == pytest.approx(deepest)
    assert max(track.below) <= 0
    assert len(track.days) == len(track.equity) == len(track.below) <= equity.POINTS + 1
    assert track.days == sorted(track.days)
    assert (track.sealed_day is None) == (sealed == len(pnl))


@given(st.lists(finite, min_size=1, max_size=300))
def test_histogram_counts_every_value_once(values: list[float]) -> None:
    bars = null_distribution.histogram(values, *panel.padded(values))
    assert sum(top for *_, top in bars) == len(values)


def test_p_value_and_percentile_of_a_null_model() -> None:
    model = NullModel(run_id="a", observed=1.0, values=tuple(n / 100 for n in range(200)))
    assert null_distribution.p_of(model) == pytest.approx(101 / 201)  # (1 + #{null >= observed}) / (1 + n)
    assert null_distribution.beats(model) == pytest.approx(0.5)
    unknown = model.model_copy(update={"observed": None})
    assert null_distribution.p_of(unknown) is None
    assert null_distribution.beats(unknown) is None


@given(finite, st.floats(1e-6, 1e6), st.integers(2, 8))
def test_ticks_are_few_round_and_inside(low: float, span: float, most: int) -> None:
    high = low + span
    if high <= low or span < abs(low) * 1e-9:
        return
    places = panel.ticks(low, high, most)
    assert len(places) <= most + 1
    assert all(low - span * 1e-6 <= place <= high + span * 1e-6 for place in places)


@given(st.lists(st.one_of(st.just(math.nan), st.sampled_from([1.0, 1.5, 2.0])), min_size=1, max_size=60))
def test_steps_say_the_value_at_every_test(line: list[float]) -> None:
    xs, ys = parameter_path.steps(line)
    assert xs == sorted(xs)
    for place, value in enumerate(line, start=1):
        held = [y for left, right, y in zip(xs[::2], xs[1::2], ys[::2], strict=True) if left < place < right]
        assert len(held) == 1
        assert held[0] == value or (value != value and held[0] != held[0])


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=200))
def test_sides_of_the_map_hold_every_value_in_order(values: list[int]) -> None:
    side = heatmap.side("fast", [float(value) for value in values])
    assert len(side.labels) <= heatmap.CELLS
    places = [side.part[float(value)] for value in sorted(values)]
    assert places == sorted(places)
    assert set(places) == set(range(len(side.labels)))


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (formatting.usd(-1234.5), "−1,234.50"),
        (formatting.fixed(-0.001), "0.00"),
        (formatting.fixed(None), "–"),
        (formatting.shown(0.0), "0"),
        (formatting.shown(0.0002), "< 0.001"),
        (formatting.shown(-0.0002), "0.000"),
        (formatting.shown(12345.678), "12,346"),
        (formatting.shown(None), "–"),
        (formatting.chance(None), "p undefined"),
        (formatting.setting(True), "on"),
        (formatting.setting(-0.5), "−0.5"),
        (formatting.wanted(">= 0.95"), "≥ 0.95"),
        (formatting.listed(["a", "b", "c"]), "a, b and c"),
        (formatting.day(1_735_689_600_000), "1 Jan 2025"),
    ],
)
def test_numbers_are_said_as_people_read_them(said: str, wanted: str) -> None:
    assert said == wanted
