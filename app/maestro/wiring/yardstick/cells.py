"""cells owns the study's grid: a market and a seed for every arm, run in any order, kept one line each, resumed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TypeVar, cast

from maestro.wiring.markets import read_bars
from maestro.wiring.yardstick.arms import Pick, arm, run_arm
from maestro.wiring.yardstick.objective import WARMUP_BARS, space_of, true_edges
from maestro_agents.search import Chance, Variant
from maestro_engine.data.bars import Bars
from maestro_engine.data.simulators.families import SIZES, Family, family_bars
from maestro_engine.data.windows import rolling_windows
from maestro_protocol.base import Frozen
from maestro_protocol.errors import StoreError, UsageError
from maestro_protocol.messages.campaign import WindowPlan

M = TypeVar("M", bound=Frozen)

RESULTS, LIMITS = "results.jsonl", "limits.jsonl"
TRUTH_SEED = 10_000_019
"""Of the fresh bars that tell the truth: no market that is searched has it."""
BEST = 5
"""The limit is the mean of so many of the best in hindsight."""


@dataclass(frozen=True, slots=True)
class Study:
    """What is asked of the study; results of one are not mixed with those of another."""

    families: tuple[str, ...]
    sizes: tuple[str, ...]
    files: tuple[str, ...]
    """Recorded bars, searched but for their sealed share, which is then the truth."""
    seeds: int
    arms: tuple[str, ...]
    methods: tuple[str, ...]
    tests: int = 500
    bars: int = 52_000
    fresh: int = 500_000
    """Bars on which picks are measured."""
    pool: int = 1_500
    """Variants among which the best in hindsight is looked for."""
    first_seed: int = 1
    """Of the seeds, which follow each other; a schedule is not judged by the seeds it was tuned on."""


@dataclass(frozen=True, slots=True)
class StudyMarket:
    """A family of markets in one size, or a file."""

    name: str
    size: str
    file: str | None = None


class Result(Frozen):
    """What one arm did on one market with one seed."""

    market: str
    size: str
    seed: int
    arm: str
    methods: tuple[str, ...]
    params: tuple[tuple[str, float], ...]
    edge: float | None
    """What the pick truly earns, USD a day after costs; null where the arm named none."""
    aside: bool
    """Whether the arm would not trade it."""
    tests: int
    first_seen: int | None
    seconds: float
    expected: float | None
    word: str | None

    @property
    def traded(self) -> float:
        """What the arm earns by its own word: 0 where it stands aside."""
        return 0.0 if self.aside or self.edge is None else self.edge


class Limit(Frozen):
    """What the best in hindsight earns on a market, USD a day."""

    market: str
    size: str
    edge: float


def markets_of(study: Study) -> list[StudyMarket]:
    """The markets of *study*, each family in every size it has. Raises UsageError for an unknown one."""
    unknown = [name for name in study.families if name not in SIZES]
    if unknown:
        raise UsageError(f"no family {unknown[0]!r} of markets; one of: {', '.join(SIZES)}")
    found = [StudyMarket(f, s) for f in study.families for s in SIZES[cast("Family", f)] if _asked(f, s, study.sizes)]
    return found + [StudyMarket(Path(path).stem, "recorded", path) for path in study.files]


def _asked(family: str, size: str, sizes: Sequence[str]) -> bool:
    """A family that has nothing to find but ``none`` is always asked for."""
    return size in sizes or list(SIZES[cast("Family", family)]) == [size]


def cells_of(study: Study) -> list[tuple[StudyMarket, int]]:
    """Every market with every seed, seed by seed: a study that was stopped has all markets alike."""
    return [(market, seed) for seed in _seeds(study) for market in markets_of(study)]


def _seeds(study: Study) -> range:
    return range(study.first_seed, study.first_seed + study.seeds)


def run_study(study: Study, folder: Path, jobs: int) -> Iterator[int]:
    """Run what *folder* does not hold yet; how many results are done, at first and after each cell.

    Raises StoreError where *folder* holds another study, UsageError for what is not known.
    """
    _claim(study, folder)
    cells = cells_of(study)
    known = {(r.market, r.size, r.seed, r.arm) for r in results_in(folder)}
    missing = [(m, s, [a for a in study.arms if (m.name, m.size, s, a) not in known]) for m, s in cells]
    work = [cell for cell in missing if cell[2]]
    limits = {(limit.market, limit.size) for limit in limits_in(folder)}
    unlimited = [m for m in markets_of(study) if m.file is None and (m.name, m.size) not in limits]
    done = len(cells) * len(study.arms) - sum(len(arms) for _, _, arms in work)
    yield done
    with ProcessPoolExecutor(jobs) as pool:
        for limit in pool.map(partial(_limit, study), unlimited):
            _append(folder / LIMITS, [limit])
        for results in pool.map(partial(_cell, study), work):
            _append(folder / RESULTS, results)
            done += len(results)
            yield done


def results_in(folder: Path) -> list[Result]:
    """What *folder* holds. Raises StoreError where it cannot be read."""
    return _rows(folder / RESULTS, Result)


def limits_in(folder: Path) -> list[Limit]:
    """The limits that *folder* holds. Raises StoreError where it cannot be read."""
    return _rows(folder / LIMITS, Limit)


def _claim(study: Study, folder: Path) -> None:
    path = folder / "study.json"
    own = {n: v for n, v in asdict(study).items() if n in ("methods", "tests", "bars", "fresh", "pool")}
    text = json.dumps(own, sort_keys=True)
    folder.mkdir(parents=True, exist_ok=True)
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        raise StoreError(f"{folder}: holds a study with other tests, bars or methods; give another --out")
    path.write_text(text, encoding="utf-8")


def _rows(path: Path, kind: type[M]) -> list[M]:
    """Complete lines of *path*; the last one may have been cut off as the study was stopped."""
    rows: list[M] = []
    *lines, _ = path.read_text(encoding="utf-8").split("\n") if path.is_file() else [""]
    for number, line in enumerate(lines, 1):
        try:
            rows.append(kind.model_validate_json(line))
        except ValueError:
            raise StoreError(f"{path}: line {number} is damaged; remove it and run the study again") from None
    return rows


def _append(path: Path, rows: Sequence[Frozen]) -> None:
    """Whole lines at the end of *path*, in place of what a stopped study may have left of one."""
    if path.is_file():
        kept = path.read_bytes()
        if not kept.endswith(b"\n"):
            path.write_bytes(kept[: kept.rfind(b"\n") + 1])
    with path.open("a", encoding="utf-8") as file:
        file.writelines(row.model_dump_json() + "\n" for row in rows)


@lru_cache(maxsize=2)
def _fresh(market: StudyMarket, n: int) -> Bars:
    if market.name == "fading":  # what comes after a fading edge is a market without one
        return family_bars("fading", 0.0, TRUTH_SEED, n)
    return family_bars(cast("Family", market.name), _size(market), TRUTH_SEED, n)


def _size(market: StudyMarket) -> float:
    return SIZES[cast("Family", market.name)][market.size]


def _cell(study: Study, cell: tuple[StudyMarket, int, Sequence[str]]) -> list[Result]:
    """Every arm of a cell on its market, and the truth about what they picked."""
    market, seed, arms = cell
    if market.file is not None:
        bars, _ = read_bars(Path(market.file))
    else:
        bars = family_bars(cast("Family", market.name), _size(market), seed, study.bars)
    picks = [run_arm(arm(name), bars, study.methods, study.tests, seed) for name in arms]
    named = list(dict.fromkeys(pick.variant for pick in picks if pick.variant is not None))
    edges = dict(zip(named, _truth(study, market, bars, named), strict=True)) if named else {}
    return [_result(market, seed, name, pick, edges) for name, pick in zip(arms, picks, strict=True)]


def _truth(study: Study, market: StudyMarket, bars: Bars, variants: Sequence[Variant]) -> list[float]:
    if market.file is None:
        return true_edges(_fresh(market, study.fresh), variants)
    _, sealed = rolling_windows(len(bars), bars.step_ms, WindowPlan(warmup_bars=WARMUP_BARS))
    return true_edges(bars.slice(sealed.start - WARMUP_BARS, len(bars)), variants)


def _result(market: StudyMarket, seed: int, name: str, pick: Pick, edges: dict[Variant, float]) -> Result:
    variant = pick.variant
    return Result(
        market=market.name,
        size=market.size,
        seed=seed,
        arm=name,
        methods=variant.methods if variant else (),
        params=tuple((n, float(v)) for n, v in variant.values) if variant else (),
        edge=edges[variant] if variant else None,
        aside=pick.aside,
        tests=pick.tests,
        first_seen=pick.first_seen,
        seconds=round(pick.seconds, 4),
        expected=pick.expected,
        word=pick.word,
    )


def _limit(study: Study, market: StudyMarket) -> Limit:
    """The mean of the best by truth of a pool of variants, as many of each method drawn from all over the ranges."""
    bars, chance = _fresh(market, study.fresh), Chance(0, "hindsight")
    space = space_of(study.methods, bars)
    drawn = (space.draw((study.methods[n % len(study.methods)],), chance) for n in range(study.pool))
    edges = sorted(true_edges(bars, list(dict.fromkeys(drawn))), reverse=True)[:BEST]
    return Limit(market=market.name, size=market.size, edge=max(0.0, sum(edges) / len(edges)))
