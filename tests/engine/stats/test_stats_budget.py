"""What the statistics of a whole campaign may cost: time, and libraries at import."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest

from maestro_engine.stats.bootstrap import intervals, positive_mean_p
from maestro_engine.stats.effective import effective_trials
from maestro_engine.stats.pbo import pbo
from maestro_engine.stats.signflip import sign_flip


def test_no_heavy_library_is_imported() -> None:
    code = (
        "import sys, pkgutil, importlib, maestro_engine.stats as s\n"
        "for m in pkgutil.iter_modules(s.__path__): importlib.import_module(f'{s.__name__}.{m.name}')\n"
        "print(sorted({'scipy', 'pandas', 'numba', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_all_statistics_of_500_tests_fit_in_their_budget() -> None:
    """500 trials of 1,000 periods: CSCV, effective trials, 5 finalists' intervals and p-values, 40 patches."""
    rng = np.random.default_rng(1)
    x = np.repeat(rng.normal(size=(1000, 50)), 10, axis=1) + 0.5 * rng.normal(size=(1000, 500))
    started = time.perf_counter()
    assert pbo(x) is not None
    assert effective_trials(x) is not None
    for i in range(5):
        assert intervals(x[:, i]) is not None
        assert positive_mean_p(x[:200, i]) is not None
    for i in range(40):
        sign_flip(x[:100, i], np.arange(100) // 3, seed=i)
    assert time.perf_counter() - started < 9.0  # 0.9 s measured on two cores; a busy machine is slower
