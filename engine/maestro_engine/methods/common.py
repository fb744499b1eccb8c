"""common owns the parameters that every test has whatever its methods: exits, gates and votes."""

from __future__ import annotations

from typing import Literal

from maestro_protocol.space import ParameterSpec, Scale, Unit


def bars(name: str, default: int, low: int, high: int, about: str, step: int = 1) -> ParameterSpec:
    """A parameter that counts bars."""
    return ParameterSpec(
        name=name, kind="int", default=default, low=low, high=high, step=step, unit="bars", about=about
    )


def _number(name: str, default: float, low: float, high: float, step: float, unit: Unit, about: str) -> ParameterSpec:
    """A parameter on a grid of *step*; an amount of money grows with the position."""
    scale: Scale | None = "notional" if unit == "usd" else None
    return ParameterSpec(
        name=name, kind="float", default=default, low=low, high=high, step=step, unit=unit, about=about,
        scales_with=scale,
    )  # fmt: skip


def _switch(name: str, about: str, needs: Literal["taker_volume"] | None = None) -> ParameterSpec:
    return ParameterSpec(name=name, kind="bool", default=False, unit="switch", about=about, needs=needs)


def _votes() -> ParameterSpec:
    about = "methods that must have signalled the same side within quorum_bars"
    return ParameterSpec(name="quorum", kind="int", default=1, low=1, high=8, unit="votes", about=about)


EXITS: tuple[ParameterSpec, ...] = (
    _number("atr_stop_mult", 1.5, 0.5, 5.0, 0.1, "x_atr", "distance of the stop from the signal's close, in ATR"),
    _number("hard_tp_usd", 300.0, 50.0, 5000.0, 50.0, "usd", "profit at which the target order stands, before costs"),
    bars("timeout_bars", 120, 12, 576, "bars in a trade after which the next open closes it", step=12),
)

GATES: tuple[ParameterSpec, ...] = (
    _switch("gate_cvd", "enter only when the volume delta has the side's sign", "taker_volume"),
    _switch("gate_imb", "enter only when taker imbalance towards the side is at least imb_min", "taker_volume"),
    _number("imb_min", 0.02, 0.0, 0.5, 0.01, "ratio", "least taker imbalance towards the side"),
    _switch("gate_atrz", "enter only when the ATR's z-score is at least atr_z_min"),
    _number("atr_z_min", 0.0, -3.0, 3.0, 0.1, "z", "least z-score of the ATR among its last 288 values"),
    _switch("gate_vhf", "enter only when the vertical horizontal filter is at least vhf_min"),
    _number("vhf_min", 0.3, 0.0, 1.0, 0.01, "ratio", "least vertical horizontal filter"),
)

SIGNALS: tuple[ParameterSpec, ...] = (
    bars("atr_bars", 14, 2, 200, "length of the average true range (Wilder)"),
    bars("cvd_bars", 36, 2, 576, "bars over which the volume delta is summed"),
    bars("imb_bars", 12, 1, 288, "bars over which taker imbalance is taken"),
    bars("vhf_bars", 28, 5, 288, "bars of the vertical horizontal filter"),
    _votes(),
    bars("quorum_bars", 6, 1, 48, "bars within which votes are counted, the signal's own included"),
)

COMMON: tuple[ParameterSpec, ...] = EXITS + GATES + SIGNALS
