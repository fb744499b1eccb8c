"""Owner's rules are data: a key that nobody knows refuses to start; risk decides who is asked, and for what."""

from __future__ import annotations

from pathlib import Path

import pytest
from control_support import SPACE, owners_rules, run_config
from hypothesis import given
from hypothesis import strategies as st

from maestro.control import gatekeeping
from maestro.control.rules import read_yaml
from maestro_protocol.errors import ConfigError, UnknownKey
from maestro_protocol.ids import is_id
from maestro_protocol.messages.rules import GatePolicy, PatchRisk, Policies, RiskClass, RiskClasses, Rules
from maestro_protocol.values import Change


@pytest.mark.parametrize(
    ("text", "model", "words"),
    [
        ("version: 1\nrulez: []", Rules, "unknown key 'rulez'; did you mean 'rules'"),
        ("version: 1\nrules: [{nmae: x}]", Rules, "did you mean 'name'"),
        ("version: 2\nrules: []", Rules, "version"),
        ("[]", Rules, "rules.yaml"),
        ("version: 1\nrules: [", Rules, "is not YAML"),
        ("version: 1\nrules: [{name: a, metric: hit, when: {}, on_target: 1, change: []}]", Rules, "rules.0"),
        (
            "version: 1\nrules: [{name: a, metric: hit, when: {below: .nan}, on_target: 1}]",
            Rules,
            "rules.0",
        ),
        ("version: 1\nlook_every_episode: 10", Policies, "did you mean 'look_every_episodes'"),
        ("version: 1\nbudgett: high", GatePolicy, "did you mean 'budget'"),
        ("version: 1\nrules: []\nversion: 1", Rules, "version is said twice"),
        ("version: 1\nrules: [{name: a, name: b}]", Rules, "name is said twice"),
        ("version: 1\n? [a]\n: 1", Rules, "is not YAML"),
        ("", Rules, "holds no settings"),
        ("- version: 1", Rules, "holds no settings"),
    ],
)
def test_a_rules_file_that_does_not_hold_is_refused_in_one_line(
    text: str, model: type, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        read_yaml(path, model)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    for name, content in (
        ("huge", b"#" * 1_000_001),
        ("binary", b"\xff\xfe\x00"),
        ("folder", None),
        ("missing", b""),
    ):
        path = tmp_path / name
        if content is None:
            path.mkdir()
        elif content:
            path.write_bytes(content)
        with pytest.raises(ConfigError, match=name):
            read_yaml(path, Rules)


def test_code_in_yaml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("version: !!python/object/apply:os.system ['touch owned']")
    with pytest.raises(ConfigError, match="is not YAML"):
        read_yaml(path, Rules)


def test_the_shipped_rules_are_the_specs() -> None:
    rules, policies, gates = owners_rules()
    assert {rule.name for rule in rules.rules} == {
        "hit_low", "payoff_low", "maxdd_high", "blunders_high", "calm_market",
    }  # fmt: skip
    assert policies.policy("sequential").trigger == "sequential"
    assert policies.look_every_episodes == 10
    with pytest.raises(UnknownKey, match="did you mean 'streak'"):
        policies.policy("steak")
    assert gates.classes.high.needs >= 1


def _policy(*patches: PatchRisk) -> GatePolicy:
    ask = RiskClass(needs=1, timeout_minutes=5)
    return GatePolicy(
        version=1,
        classes=RiskClasses(low=ask, medium=ask, high=ask),
        patches=patches,
        budget="high",
        holdout_again="high",
    )


def test_the_highest_risk_of_a_patch_counts() -> None:
    policy = _policy(
        PatchRisk(parameters=("atr_stop_mult",), over=0.1, risk="medium"),
        PatchRisk(parameters=("atr_stop_mult", "hard_tp_usd"), over=0.5, risk="high"),
    )
    spec, before = SPACE["atr_stop_mult"], run_config().values()
    width = spec.high - spec.low

    def risk(*changes: Change) -> str:
        return gatekeeping.risk_of(changes, before, SPACE, policy)

    def step(share: float) -> Change:
        return Change(parameter="atr_stop_mult", old=None, new=spec.low + share * width)

    at = (1.5 - spec.low) / width
    assert risk(step(at + 0.09)) == "low"
    assert risk(step(at + 0.11)) == "medium"
    assert risk(step(at + 0.55)) == "high"
    assert risk(step(at + 0.11), Change(parameter="timeout_bars", old=96, new=9_999)) == "medium"
    assert risk() == "low"
    assert risk(Change(parameter="gate_vhf", old=False, new=True)) == "low"


def test_a_gate_is_bound_to_exactly_the_config_that_may_run() -> None:
    policy = _policy()
    one = gatekeeping.patch_request(run_config("seg1-p1"), {}, "high", policy, "why", 1_000, "c1")
    same = gatekeeping.patch_request(run_config("seg1-p1"), {}, "high", policy, "why", 2_000, "c1")
    other = gatekeeping.patch_request(
        run_config("seg1-p1", atr_stop_mult=2.0), {}, "high", policy, "why", 1_000, "c1"
    )
    assert one.bound_to == same.bound_to != other.bound_to
    assert one.gate_id == same.gate_id != other.gate_id
    assert one.expires_at == 1_000 + 5 * 60_000
    first = gatekeeping.budget_bytes("c1", 1, 1)
    assert first not in (gatekeeping.budget_bytes("c1", 2, 1), gatekeeping.budget_bytes("c2", 1, 1))


@given(st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,95}", fullmatch=True), st.integers(1, 10**6), st.integers(0, 96))
def test_a_gates_name_is_an_id_however_long_its_campaigns_is(campaign: str, number: int, more: int) -> None:
    for what in (f"budget{number}-implementer", f"holdout{number}.abcdef12", f"seg1-{'x' * more}.abcdef12"):
        name = gatekeeping.gate_id(campaign, what)
        assert is_id(name)
        assert name.startswith(gatekeeping.gate_id(campaign, ""))
        if len(campaign) <= 64 and len(what) <= 31:
            assert name == f"{campaign}.{what}"


def test_long_names_that_differ_at_their_end_are_different_gates() -> None:
    names = [
        gatekeeping.gate_id(campaign + end, what)
        for campaign in ("a" * 64, "b" * 95)
        for end in ("", "c")
        for what in ("budget1", "r" * 40 + "1", "r" * 40 + "2")
    ]
    assert len(set(names)) == 12
