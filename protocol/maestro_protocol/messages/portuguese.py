"""portuguese owns the keys and words of older logs: read wherever a message is read, never written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

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


def translate(given: object) -> object:
    """*given* with Portuguese keys and closed-set words in English; anything else as it came."""
    if not isinstance(given, Mapping):
        return given
    out: dict[str, Any] = {}
    for key, value in cast("Mapping[str, Any]", given).items():
        name = KEYS.get(key, key)
        known = isinstance(value, str) and name in WORDS
        out.setdefault(name, WORDS[name].get(value.lower(), value) if known else value)
    return out
