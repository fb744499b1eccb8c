"""legacy_keys owns the keys and words of older logs: read wherever a message is read, never written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from pydantic import model_validator

from maestro_protocol.base import Frozen

KEYS: Mapping[str, str] = {
    "acao": "action",
    "agente": "agent",
    "ajuste_proposto": "proposed_change",
    "alteracao": "change",
    "alvos": "targets",
    "analise": "analysis",
    "aplica_a": "applies_to",
    "aplicado_a": "applied_to",
    "aplicado_em": "applied_at",
    "atual": "current",
    "escolhida": "chosen",
    "episodio_id": "episode_id",
    "evidencia": "evidence",
    "lado": "side",
    "metodos": "methods",
    "metrica": "metric",
    "metricas_apos_patch": "metrics_after_patch",
    "metricas_esperadas": "expected_metrics",
    "motivo": "reason",
    "mudanca": "change",
    "nome": "name",
    "parametro": "parameter",
    "parametros": "params",
    "plano_curto": "short_plan",
    "problema": "problem",
    "proposta": "proposal",
    "proximo_passo": "next_step",
    "regra": "rule",
    "segmento": "segment",
    "teste_rapido": "quick_test",
    "testes": "tests",
    "tipo": "type",
    "turno": "turn",
    "valor": "value",
    "valor_antigo": "old_value",
    "valor_novo": "new_value",
    "variacoes": "variations",
    "veredito": "verdict",
}

WORDS: Mapping[str, Mapping[str, str]] = {
    "verdict": {
        "aprovado": "approved",
        "aprovado_com_ajustes": "approved_with_changes",
        "rejeitado": "rejected",
    },
    "action": {"ajustar": "adjust", "manter": "keep", "matar": "kill", "reverter": "revert"},
}

DEPTH = 8
"""Deeper than any message goes; what lies below is not looked at."""


def translate(given: object, depth: int = DEPTH) -> object:
    """*given* with Portuguese keys and closed-set words in English, all the way down; anything else as it came.

    A key that would say again what another key says stays as it is, to be refused as unknown.
    """
    if depth and isinstance(given, list | tuple):
        return [translate(item, depth - 1) for item in cast("Sequence[object]", given)]
    if not depth or not isinstance(given, Mapping):
        return given
    pairs = cast("Mapping[str, object]", given)
    out: dict[str, object] = {}
    for key, value in pairs.items():
        english = KEYS.get(key, key)
        name = key if english in pairs or english in out else english
        out[name] = _word(name, value) if isinstance(value, str) else translate(value, depth - 1)
    return out


def _word(name: str, value: str) -> str:
    return WORDS.get(name, {}).get(value.lower(), value)


def typed(given: object) -> object:
    """*given* with the key that tells messages apart in English."""
    pairs = cast("Mapping[str, object]", given)
    if isinstance(given, Mapping) and "tipo" in pairs and "type" not in pairs:
        return {"type" if key == "tipo" else key: value for key, value in pairs.items()}
    return cast("object", given)


class Heard(Frozen):
    """A message that older logs hold: its keys, and those of what it holds, are understood in Portuguese too."""

    @model_validator(mode="before")
    @classmethod
    def _understand_portuguese(cls, given: object) -> object:
        return translate(given)
