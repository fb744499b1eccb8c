"""common owns the parameters that every test has whatever its methods: exits, gates and votes.

And those that it has where it is asked for them by name: they are off in all others, and no search sets them.
"""

from __future__ import annotations

from typing import Literal, TypedDict, Unpack

from maestro_protocol.space import ParameterSpec, Scale, Unit


class SearchHints(TypedDict, total=False):
    """What a parameter says of itself for a search; see the fields of ParameterSpec."""

    scale: Literal["linear", "log"]
    search_low: float
    search_high: float
    switch: str
    below: str


def bars(
    name: str, default: int, low: int, high: int, about: str, step: int = 1, **more: Unpack[SearchHints]
) -> ParameterSpec:
    """A parameter that counts bars; a search draws it evenly in its logarithm."""
    fixed = {"name": name, "default": default, "low": low, "high": high, "step": step, "about": about}
    return ParameterSpec.model_validate({"kind": "int", "unit": "bars", "scale": "log", **fixed, **more})


def number(
    name: str,
    default: float,
    bounds: tuple[float, float, float],
    unit: Unit,
    about: str,
    **more: Unpack[SearchHints],
) -> ParameterSpec:
    """A number; *bounds* are lowest, highest and step. An amount of money grows with the position."""
    low, high, step = bounds
    grows: Scale | None = "notional" if unit == "usd" else None
    fixed = {"name": name, "default": default, "low": low, "high": high, "step": step, "unit": unit, "about": about}
    return ParameterSpec.model_validate({"kind": "float", "scales_with": grows, **fixed, **more})


def whole(
    name: str, default: int, bounds: tuple[int, int], unit: Unit, about: str, **more: Unpack[SearchHints]
) -> ParameterSpec:
    """A whole number between *bounds*, both included, drawn evenly by a search."""
    fixed = {"name": name, "default": default, "low": bounds[0], "high": bounds[1], "unit": unit, "about": about}
    return ParameterSpec.model_validate({"kind": "int", **fixed, **more})


def _switch(name: str, about: str, needs: Literal["taker_volume"] | None = None) -> ParameterSpec:
    return ParameterSpec(name=name, kind="bool", default=False, unit="switch", about=about, needs=needs)


def _votes() -> ParameterSpec:
    about = "methods that must have signalled the same side within quorum_bars"
    return ParameterSpec(name="quorum", kind="int", default=1, low=1, high=8, unit="votes", about=about)


EXITS: tuple[ParameterSpec, ...] = (
    number(
        "atr_stop_mult",
        1.5,
        (0.5, 5.0, 0.1),
        "x_atr",
        "distance of the stop from the signal's close, in ATR",
        scale="log",
        search_low=1.5,
    ),
    number(
        "hard_tp_usd",
        300.0,
        (50.0, 5000.0, 50.0),
        "usd",
        "profit at which the target order stands, before costs",
        scale="log",
        search_low=700.0,
    ),
    bars(
        "timeout_bars", 120, 12, 576, "bars in a trade after which the next open closes it", step=12, search_low=48.0
    ),
)

OPTIONAL_EXITS: tuple[ParameterSpec, ...] = (
    number(
        "tp_atr",
        0.0,
        (0.0, 20.0, 0.1),
        "x_atr",
        "distance of the target from the signal's close, in ATR, instead of hard_tp_usd; 0 is off",
    ),
    number(
        "tp_r",
        0.0,
        (0.0, 20.0, 0.1),
        "ratio",
        "distance of the target from the signal's close, in the stop's (R), instead of hard_tp_usd; 0 is off",
    ),
    number(
        "trail_atr",
        0.0,
        (0.0, 20.0, 0.1),
        "x_atr",
        "distance at which the stop follows the best price of the bars held, in the signal's ATR; 0 is off",
    ),
    number(
        "break_even_r",
        0.0,
        (0.0, 20.0, 0.1),
        "ratio",
        "gain in R after which the stop goes to the entry price plus costs; 0 is off",
    ),
)

GATES: tuple[ParameterSpec, ...] = (
    _switch("gate_cvd", "enter only when the volume delta has the side's sign", "taker_volume"),
    _switch("gate_imb", "enter only when taker imbalance towards the side is at least imb_min", "taker_volume"),
    number(
        "imb_min",
        0.02,
        (0.0, 0.5, 0.01),
        "ratio",
        "least taker imbalance towards the side",
        switch="gate_imb",
        search_high=0.1,
    ),
    _switch("gate_atrz", "enter only when the ATR's z-score is at least atr_z_min"),
    number(
        "atr_z_min",
        0.0,
        (-3.0, 3.0, 0.1),
        "z",
        "least z-score of the ATR among its last 288 values",
        switch="gate_atrz",
        search_low=-1.0,
        search_high=1.5,
    ),
    _switch("gate_vhf", "enter only when the vertical horizontal filter is at least vhf_min"),
    number(
        "vhf_min",
        0.3,
        (0.0, 1.0, 0.01),
        "ratio",
        "least vertical horizontal filter",
        switch="gate_vhf",
        search_low=0.2,
        search_high=0.6,
    ),
)

SIGNALS: tuple[ParameterSpec, ...] = (
    bars("atr_bars", 14, 2, 200, "length of the average true range (Wilder)", search_low=5.0),
    bars("cvd_bars", 36, 2, 576, "bars over which the volume delta is summed", switch="gate_cvd"),
    bars("imb_bars", 12, 1, 288, "bars over which taker imbalance is taken", switch="gate_imb"),
    bars("vhf_bars", 28, 5, 288, "bars of the vertical horizontal filter", switch="gate_vhf"),
    _votes(),
    bars("quorum_bars", 6, 1, 48, "bars within which votes are counted, the signal's own included"),
)

COMMON: tuple[ParameterSpec, ...] = EXITS + GATES + SIGNALS
