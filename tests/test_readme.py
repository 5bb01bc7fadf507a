"""The README says what the program does: its tables are made of the code."""

from __future__ import annotations

from pathlib import Path

from replay.cli import EXIT_CODES, main
from replay.gate.config import load_gate
from replay.settings import Settings, load_settings, rows

README = (Path(__file__).parent.parent / "README.md").read_text()


def settings_table() -> str:
    lines = ["| setting | default | what it does |", "|---|---|---|"]
    table = rows(load_settings(file=None, environment={}, flags={}))
    return "\n".join([*lines, *(f"| `{row.name}` | {row.value} | {row.help} |" for row in table)])


def test_the_settings_table_is_the_settings():
    assert settings_table() in README, f"put this into the README:\n{settings_table()}"


def test_the_gate_it_shows_can_prove_what_it_asks_for(tmp_path, capsys):
    (tmp_path / "gate.yaml").write_text(README.split("```yaml\ngate:")[1].split("```")[0].join(["gate:", ""]))
    assert main(["gate", "plan", "--gate", str(tmp_path / "gate.yaml")]) == 0, capsys.readouterr()
    assert len(load_gate(tmp_path / "gate.yaml").metrics) == 6


def test_every_exit_code_is_documented():
    assert all(f"| {code} | " in README for code in EXIT_CODES)


def test_every_setting_can_be_set_by_environment():
    table = rows(load_settings(file=None, environment={}, flags={}))
    environment = {f"SHADOW_REPLAY_{row.name.upper()}": "" if row.value == "-" else row.value for row in table}
    loaded = load_settings(file=None, environment=environment, flags={})
    assert set(loaded.origins.values()) == {"environment"}
    assert loaded.settings == Settings()


def test_the_library_it_shows_says_what_it_should(capsys):
    exec(README.split("```python\n")[1].split("```")[0], {})
    told = capsys.readouterr().out
    assert "'answer.substituted': [1.0], 'answer.polarity': [1.0]" in told
    assert "number_substituted" in told
