"""Settings: layers, origins, and errors that name the key and the layer."""

from __future__ import annotations

import pytest

from replay.errors import UsageError
from replay.settings import Settings, load_settings, rows, secret_of, setting_names


def load(tmp_path, text="", environment=None, **flags):
    file = tmp_path / "shadow-replay.toml"
    file.write_text(text)
    return load_settings(file=file, environment=environment or {}, flags=flags)


def test_flags_win_over_environment_over_file_over_defaults(tmp_path):
    environment = {"SHADOW_REPLAY_CONCURRENCY": "3", "SHADOW_REPLAY_SAMPLE": "0.5", "HOME": "/x"}
    loaded = load(tmp_path, "concurrency = 2\nsample = 0.1\nbatch = 9", environment, concurrency=4)
    settings = loaded.settings
    assert (settings.concurrency, settings.sample, settings.batch, settings.worst) == (4, 0.5, 9, 8)
    assert [loaded.origins[name] for name in ("concurrency", "sample", "batch", "worst")] == [
        "flag",
        "environment",
        "file",
        "default",
    ]


def test_a_flag_that_was_not_given_is_no_layer(tmp_path):
    assert load(tmp_path, "concurrency = 2", concurrency=None).settings.concurrency == 2


@pytest.mark.parametrize(
    ("text", "environment", "flags", "words"),
    [
        ("concurency = 2", {}, {}, "no setting 'concurency'"),
        ("", {"SHADOW_REPLAY_NOPE": "1"}, {}, "the environment: there is no setting 'nope'"),
        ("concurrency = 0", {}, {}, "concurrency is 0, expected a whole number of at least 1"),
        ("concurrency = true", {}, {}, "concurrency is True"),
        ("", {}, {"sample": "1.5"}, "the command line: sample is '1.5', expected a number from 0 to 1"),
        ("", {}, {"sample": "nan"}, "sample"),
        ("", {}, {"call_seconds": "0"}, "call_seconds"),
        ("mode = 'sideways'", {}, {}, "one of both, forced, free"),
        ("any_bundle = 'maybe'", {}, {}, "true or false"),
        ("= 3", {}, {}, "not TOML"),
        ("candidates = [1]", {}, {}, "a list of texts"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, text, environment, flags, words):
    with pytest.raises(UsageError, match="(?s).*" + __import__("re").escape(words)):
        load(tmp_path, text, environment, **flags)


def test_candidates_are_a_list_in_every_layer(tmp_path):
    assert load(tmp_path, 'candidates = ["a", "b"]').settings.candidates == ("a", "b")
    assert load(tmp_path, "", {"SHADOW_REPLAY_CANDIDATES": "a, b"}).settings.candidates == ("a", "b")


def test_a_secret_is_masked_wherever_settings_are_shown(tmp_path):
    loaded = load(tmp_path, "", {"SHADOW_REPLAY_API_KEY": "sk-very-secret"})
    assert loaded.settings.api_key == "sk-very-secret"
    assert "sk-very-secret" not in str(rows(loaded))
    assert "sk-very-secret" not in repr(loaded)


def test_every_setting_has_a_row_with_help(tmp_path):
    table = rows(load(tmp_path))
    own = [name for name in Settings.__dataclass_fields__ if name not in ("kafka", "worker", "feed")]
    assert [row.name for row in table][: len(own)] == own
    assert {row.name for row in table} == setting_names()
    assert all(row.help for row in table)


def test_a_section_may_be_a_table_or_a_prefix(tmp_path):
    both = '[kafka]\nbootstrap = "a:1"\n[worker]\nspan = 7'
    settings = load(tmp_path, both, {"SHADOW_REPLAY_KAFKA_TRACES": "t"}, kafka_bootstrap="b:2").settings
    assert (settings.kafka.bootstrap, settings.kafka.traces, settings.worker.span) == ("b:2", "t", 7)
    assert settings.feed == Settings().feed


def test_an_unknown_key_of_a_section_is_an_error_with_its_full_name(tmp_path):
    with pytest.raises(UsageError, match="no setting 'kafka_bootstap'"):
        load(tmp_path, '[kafka]\nbootstap = "a:1"')


def test_a_secret_of_the_wrong_kind_is_not_printed(tmp_path):
    with pytest.raises(UsageError) as error:
        load(tmp_path, "[kafka]\npassword = 918273")
    assert "kafka_password" in str(error.value)
    assert "918273" not in str(error.value)


def test_a_secret_may_stand_in_a_file(tmp_path):
    file = tmp_path / "password"
    file.write_text("hunter2\n")
    assert secret_of(None, str(file), "kafka_password") == "hunter2"
    assert secret_of("given", str(file), "kafka_password") == "given"
    assert secret_of(None, None, "kafka_password") is None
    with pytest.raises(UsageError, match="kafka_password_file: .*nowhere cannot be read"):
        secret_of(None, str(tmp_path / "nowhere"), "kafka_password")
