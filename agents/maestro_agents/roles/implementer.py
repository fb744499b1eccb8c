"""implementer owns the step from an idea to something that runs: variants of regions, and the windows of each."""

from __future__ import annotations

from collections.abc import Sequence

from maestro_agents.roles.base import Answer, Question, RoleRules, briefed
from maestro_agents.roles.regions import VARIATIONS, drawn
from maestro_agents.roles.search_space import Field
from maestro_agents.search import Chance, Trial, Variant, walk_forward
from maestro_agents.search.view import SearchView
from maestro_protocol.messages.plan import RunConfigDraft, VariantDraft, Variation
from maestro_protocol.messages.report import Briefing
from maestro_protocol.space import Value
from maestro_protocol.values import as_mapping, as_params


def draft(briefing: Briefing) -> RunConfigDraft:
    """The round's variants, each with the windows it is tested on, as many tests as the round has left."""
    return _filled(briefing, _of_choice(briefing))


def complete(question: Question, answer: Answer) -> Answer:
    """A model's draft with the variants that it left to the search."""
    if not isinstance(question, Briefing) or not isinstance(answer, RunConfigDraft) or answer.variants:
        return answer
    return _filled(question, answer)


def _of_choice(briefing: Briefing) -> RunConfigDraft:
    """The chosen variation with the critic's changes, every parameter named and inside its bounds."""
    field, chosen = Field(briefing), _chosen(briefing)
    methods, given = field.methods[:1], dict[str, Value]()
    note = "Nothing was chosen: by the rules of the race."
    if chosen is not None:
        methods, given = chosen.methods, as_mapping(chosen.params)
        note = f"Variation {_choice(briefing)} first, as the critic chose it."
    idea = field.idea(methods, given, costs=False)  # the critic answers for the costs
    return RunConfigDraft(
        agent="implementer",
        turn=briefing.turn,
        methods=idea.methods,
        params=as_params(idea.values),
        jitter=(),
        notes=note,
    )


def _choice(briefing: Briefing) -> int:
    critique = briefing.critique
    return 0 if critique is None or critique.chosen is None else critique.chosen


def _chosen(briefing: Briefing) -> Variation | None:
    """The chosen variation; with the critic's changes where it is one variant and no region."""
    if briefing.proposal is None:
        return None
    chosen = briefing.proposal.variations[_choice(briefing)]
    critique = briefing.critique
    if critique is None or critique.chosen is None or chosen.region is not None:
        return chosen
    changed = as_mapping(chosen.params) | {c.parameter: c.new for c in critique.proposed_change}
    return chosen.model_copy(update={"params": as_params(changed)})


def _filled(briefing: Briefing, answer: RunConfigDraft) -> RunConfigDraft:
    view = SearchView(briefing)
    made = _existing(view)
    if not made and (briefing.round is None or briefing.round.kind != "walk_forward"):
        made = _new(view, answer)
    drafts = tuple(_drafted(view, *each) for each in made)
    return answer.model_copy(update={"variants": drafts})


Made = tuple[Variant, tuple[int, ...], int | None]
"""A variant, the places of its windows, and the variation that it comes from."""


def _existing(view: SearchView) -> list[Made]:
    """Further tests of variants that ran: none where the round is for new ones, or all were on all windows.

    Of a walk-forward all choices, those too that are tested already: its worth is read from them.
    """
    asked = view.briefing.round
    if asked is None:
        return []
    if asked.kind == "promote":
        return _gathered(view.race.promoted(view.seen, asked.tests, view.out, whole=False))
    if asked.kind == "walk_forward":
        return _gathered(walk_forward(view.seen, view.lots, view.race.first, view.race.windows))
    return []


def _gathered(trials: Sequence[Trial]) -> list[Made]:
    windows: dict[Variant, list[int]] = {}
    for trial in trials:
        windows.setdefault(trial.variant, []).append(trial.window)
    return [(variant, tuple(places), None) for variant, places in windows.items()]


def _new(view: SearchView, answer: RunConfigDraft) -> list[Made]:
    """New variants, a share of each variation, the chosen one first; the last has what is left of the windows."""
    briefing, first = view.briefing, view.first_look()
    tests = briefing.tests if briefing.round is None else briefing.round.tests
    count = -(-tests // len(first))
    known = set(view.runs)
    made: list[Made] = []
    if briefing.proposal is None:
        made = [(variant, first, None) for variant in _by_the_race(view, count, known)]
    else:
        order = sorted(range(VARIATIONS), key=lambda place: place != _choice(briefing))
        for turn, place in enumerate(order):
            share = -(-(count - len(made)) // (VARIATIONS - turn))
            made += [(variant, first, place) for variant in _of_variation(view, answer, place, share, known)]
    left = tests
    out: list[Made] = []
    for variant, places, variation in made:
        if left > 0:
            out.append((variant, places[:left], variation))
        left -= len(places)
    return out


def _of_variation(
    view: SearchView, answer: RunConfigDraft, place: int, share: int, known: set[Variant]
) -> list[Variant]:
    briefing = view.briefing
    assert briefing.proposal is not None
    variation = briefing.proposal.variations[place]
    if place == _choice(briefing) and variation.region is None:
        variation = variation.model_copy(update={"methods": answer.methods, "params": answer.params})
    cuts = [] if briefing.critique is None else [cut for cut in briefing.critique.cuts if cut.variation == place]
    return drawn(view, variation, cuts, share, _chance(view, place), known)


def _by_the_race(view: SearchView, count: int, known: set[Variant]) -> list[Variant]:
    """Where nobody proposes: neighbours of the leaders, or every method drawn wide where there are none."""
    asked, leaders = view.briefing.round, view.leaders()
    if leaders and asked is not None and asked.kind != "explore":
        return view.race.neighbours(leaders, count, _chance(view, -1), known)
    return view.race.explored(Field(view.briefing).methods, count, _chance(view, -1), known)


def _chance(view: SearchView, place: int) -> Chance:
    briefing = view.briefing
    return Chance(briefing.seed, "segment", briefing.segment, briefing.round_number, place, len(view.seen))


def _drafted(view: SearchView, variant: Variant, places: tuple[int, ...], variation: int | None) -> VariantDraft:
    return VariantDraft(
        methods=variant.methods,
        params=as_params(variant.params),
        windows=tuple(view.window(place) for place in places),
        variation=variation,
        parent=view.runs.get(variant),
    )


RULES = RoleRules(
    name="implementer",
    duty="turns the chosen variations into complete, validated variants and windows",
    rules={"RunConfigDraft": briefed(draft)},
    completions={"RunConfigDraft": complete},
)
