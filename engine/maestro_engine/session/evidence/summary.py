"""summary owns summary.html: one page that needs nothing but itself, the verdict first, then the equity's path."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from string import Template

from maestro_engine.session.evidence.metrics import Sample

WIDTH, HEIGHT = 880, 220
_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Session $run</title>
<style>
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 56rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
td { border-bottom: 1px solid #8884; padding: .25rem .5rem; overflow-wrap: anywhere }
td:last-child { font-variant-numeric: tabular-nums; text-align: right }
svg { width: 100%; height: auto; background: #8881 }
polyline { fill: none; stroke: #2a78d6; stroke-width: 1.5 }
</style></head><body>
<h1>Session $run</h1>
<h2>Equity</h2>
$chart
<h2>Figures</h2>
<table>$rows</table>
</body></html>
""")


def summary_page(run: str, rows: Sequence[tuple[str, str]], samples: Sequence[Sample]) -> str:
    """The page. *rows* are shown as they are, escaped."""
    cells = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>\n" for name, value in rows)
    return _PAGE.substitute(run=escape(run), rows=cells, chart=_chart(samples))


def _chart(samples: Sequence[Sample]) -> str:
    equity = [float(sample.equity) for sample in samples]
    if len(equity) < 2:
        return "<p>Too short for a chart.</p>"
    low, high = min(equity), max(equity)
    span = (high - low) or 1.0
    first, last = samples[0].elapsed_s, samples[-1].elapsed_s
    points = " ".join(
        f"{WIDTH * (s.elapsed_s - first) / ((last - first) or 1.0):.1f},{HEIGHT - HEIGHT * (e - low) / span:.1f}"
        for s, e in zip(samples, equity, strict=True)
    )
    told = f"Equity from {low:,.2f} to {high:,.2f} over {last - first:,.0f} s"
    return (
        f'<svg viewBox="0 -4 {WIDTH} {HEIGHT + 8}" role="img" aria-label="{told}"><polyline points="{points}"/></svg>'
        f"<p>{told}</p>"
    )
