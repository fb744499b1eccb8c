"""Older logs: their Portuguese keys and words are read wherever a message is read, and never written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from maestro_protocol.envelope import ENVELOPE, MESSAGE
from maestro_protocol.messages.legacy_keys import KEYS, WORDS, translate
from maestro_protocol.messages.plan import Critique, Spoken

GOLDEN = Path(__file__).with_name("golden")


def golden(name: str) -> dict[str, Any]:
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


def variation(name: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"nome": name, "metodos": ["macd_trend"], "parametros": params, "rationale": "ruído"}


OLDER: list[dict[str, Any]] = [
    {
        "tipo": "SegmentPlan",
        "agente": "maestro",
        "turno": 1,
        "segmento": 1,
        "goal": "explore",
        "testes": 100,
        "metodos": ["macd_trend"],
        "ranges": [{"parametro": "atr_stop_mult", "low": 1.0, "high": 2.5}],
        "motivo": "explorar",
    },
    {
        "tipo": "Proposal",
        "agente": "strategist",
        "turno": 2,
        "proposta": "três larguras do stop",
        "plano_curto": ["estreito", "médio", "largo"],
        "metricas_esperadas": [{"metrica": "payoff", "valor": 1.3}],
        "proximo_passo": "a crítica escolhe",
        "variacoes": [variation("a", {"atr_stop_mult": 1.2}), variation("b", {}), variation("c", {"fast": 9})],
    },
    {
        "tipo": "Critique",
        "agente": "critic",
        "turno": 3,
        "veredito": "aprovado_com_ajustes",
        "analise": [{"metrica": "payoff", "atual": 1.05, "problema": "alvo perto demais"}],
        "escolhida": 2,
        "ajuste_proposto": {"hard_tp_usd": "300 -> 500"},
        "alvos": [{"metrica": "hit", "op": ">=", "valor": 0.52}],
        "teste_rapido": {"testes": 5, "metrica": "hit", "op": ">=", "valor": 0.48},
        "proximo_passo": "rascunho",
    },
    {
        "tipo": "PlanEvent",
        "agente": "critic",
        "turno": 9,
        "episodio_id": "seg1_test050_ep07",
        "acao": "ajustar",
        "mudanca": {"atr_stop_mult": "1.5 -> 1.8"},
        "motivo": "hit abaixo do alvo",
        "evidencia": "hit médio 0.41",
        "regra": "hit_low",
        "aplica_a": "seg1_test051-100",
    },
    {
        "tipo": "PatchApplied",
        "agente": "maestro",
        "turno": 10,
        "acao": "apply",
        "patch": {
            "parametro": "atr_stop_mult",
            "valor_antigo": 1.5,
            "valor_novo": 1.8,
            "motivo": "stops cedo demais",
            "aplicado_em": 1735689600000,
        },
        "aplicado_a": "seg1_test051-100",
        "metricas_apos_patch": [{"metrica": "hit", "before": 0.41, "after": 0.47, "p_value": 0.03, "windows": 12}],
        "status": "applied",
        "motivo": "dentro dos limites",
        "proximo_passo": "medir",
    },
]
CHANGED = OLDER[3] | {"alteracao": OLDER[3]["mudanca"]}
del CHANGED["mudanca"]
SOLD = {("lado" if key == "side" else key): value for key, value in golden("TradeEvent")["body"].items()}
SOLD["episodio_id"] = SOLD.pop("episode_id")
SOLD["motivo"] = SOLD.pop("reason")
OLDER += [CHANGED, SOLD]


def keys(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from keys(item)
    elif isinstance(value, list):
        for item in value:
            yield from keys(item)


def english(value: Any) -> Any:
    """An independent reading of an old message: names replaced in its text."""
    text = json.dumps(value)
    for old, new in KEYS.items():
        text = text.replace(f'"{old}":', f'"{new}":')
    return json.loads(
        text.replace('"aprovado_com_ajustes"', '"approved_with_changes"').replace('"ajustar"', '"adjust"')
    )


@pytest.mark.parametrize("older", OLDER, ids=lambda older: older.get("tipo", "TradeEvent"))
def test_an_older_message_is_understood_and_written_in_english(older: dict[str, Any]) -> None:
    message = MESSAGE.validate_python(older)
    assert message == MESSAGE.validate_python(english(older))
    assert MESSAGE.validate_json(json.dumps(older)) == message
    assert ENVELOPE.validate_python(golden("Proposal") | {"body": older}).body == message
    assert type(message).model_validate(older) == message
    assert not set(keys(json.loads(message.model_dump_json()))) & KEYS.keys()


def test_every_portuguese_key_is_spoken_in_those_messages() -> None:
    assert {key for older in OLDER for key in keys(older)} >= KEYS.keys()


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_no_portuguese_key_is_ever_written(path: Path) -> None:
    assert not set(keys(json.loads(path.read_text(encoding="utf-8")))) & KEYS.keys()


@pytest.mark.parametrize(("field", "words"), WORDS.items())
def test_words_of_closed_sets_are_understood_in_any_case(field: str, words: dict[str, str]) -> None:
    for old, new in words.items():
        assert translate({field: old}) == translate({field: old.upper()}) == {field: new}
    assert translate({field: "talvez", "reason": next(iter(words))}) == {field: "talvez", "reason": next(iter(words))}


@pytest.mark.parametrize("first", ["agente", "agent"])
def test_a_key_said_in_both_languages_is_refused(first: str) -> None:
    said = golden("Critique")["body"]
    del said["agent"]
    both = {first: "critic", "agente": "critic", "agent": "critic"} | said
    with pytest.raises(ValidationError, match="agente"):
        Critique.model_validate(both)
    with pytest.raises(ValidationError, match="alteracao"):
        MESSAGE.validate_python(OLDER[3] | {"alteracao": {}})


def test_what_a_person_wrote_is_not_translated() -> None:
    assert Spoken.model_validate({"agente": "critic", "turno": 1}).agent == "critic"
    assert translate({"motivo": "valor"}) == {"reason": "valor"}
    assert translate("valor") == "valor"


@given(st.recursive(st.none() | st.integers() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=3)))
def test_anything_that_is_no_mapping_stays_as_it_is(value: object) -> None:
    assert translate(value) == value


def test_a_message_nested_without_end_is_refused_and_breaks_nothing() -> None:
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValidationError):
        MESSAGE.validate_python(golden("Critique")["body"] | {"analysis": deep})
