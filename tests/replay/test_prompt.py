"""Prompts render what they are given as data, name what is missing, and end soon whatever they say."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.errors import RecordError
from replay.prompt import BUILT_IN, MAX_PROMPT, Prompt, template_problems, variable_problems
from replay.trace import Document

HOSTILE_VALUES = [
    "{{ 7*7 }}",
    "{% for x in range(10**9) %}{% endfor %}",
    "{# comment #}",
    "{{ ''.__class__.__mro__ }}",
    "{% include '/etc/passwd' %}",
    "<b>&amp;</b>",
    "#} %} }}",
    "\x00\u202e🎉",
]

#: A template, and the word in what is wrong with it.
REFUSED = {
    "{{ 'a' * 1000000000 }}": "Mul",
    "{{ 9 ** 9 ** 9 }}": "Pow",
    "{{ '%1000000000d' % 1 }}": "Mod",
    "{{ x ~ x }}": "Concat",
    "{{ x + x }}": "Add",
    "{{ 'x'.center(1000000000) }}": "method",
    "{{ '{:1000000000}'.format(1) }}": "method",
    "{{ attributes.update({'a': 1}) }}": "method",
    "{{ x.__class__() }}": "method",
    "{{ ''|attr('format') }}": "attr",
    "{{ x|center(10) }}": "center",
    "{{ x|random }}": "random",
    "{{ ['a']|map('upper') }}": "map",
    "{{ [x, x]|join }}": "constants",
    "{{ {'a': x} }}": "constants",
    "{% set y = (x, x) %}": "constants",
    "{% set y %}{{ x }}{{ x }}{% endset %}": "AssignBlock",
    "{% macro f() %}{% endmacro %}": "Macro",
    "{% call x() %}{% endcall %}": "CallBlock",
    "{% filter upper %}{% endfilter %}": "FilterBlock",
    "{% include 'other.j2' %}": "Include",
    "{% import 'other.j2' as other %}": "Import",
    "{% from 'other.j2' import thing %}": "FromImport",
    "{% extends 'other.j2' %}": "Extends",
    "{% block a %}{% endblock %}": "Block",
    "{{ range(10) }}": "undeclared",
    "{{ lipsum(5) }}": "undeclared",
    "{{ cycler('a') }}": "undeclared",
    "{{ self.x() }}": "calls",
    "{% for a in x recursive %}{{ loop(a) }}{% endfor %}": "calls",
    "{{ stranger }}": "undeclared variable 'stranger'",
    "{{ x": "not a template",
    "{% for %}": "not a template",
    "{% nothing %}": "not a template",
    "{{ x|nothing }}": "nothing",
    "{{ " + "(" * 1000 + "1" + ")" * 1000 + " }}": "not a template",
    "{% for a in x %}" * 30 + "{% endfor %}" * 30: "not a template",
}


def template(text: str, *variables: str) -> Prompt:
    assert template_problems(text, variables) == ()
    return Prompt(text, variables=variables)


def test_a_bundle_may_have_no_prompt() -> None:
    assert Prompt(None).render({"a": 1}) is None


def test_the_empty_prompt_is_a_prompt() -> None:
    assert Prompt("").render({}) == ""


def test_renders_attributes_time_and_documents() -> None:
    prompt = template(
        "{{ company }}, {{ user.tier|upper }}, {{ attributes['odd-name'] }}, {{ now }}"
        "{% for d in context %} [{{ d.id }}: {{ d.content }}]{% endfor %}\n",
        "company",
        "user",
    )
    attributes = {"company": "Acme", "user": {"tier": "gold"}, "odd-name": 3, "unused": None}
    documents = (Document(id="a", content="first"), Document(id="b", content="second"))
    rendered = prompt.render(attributes, now="2024-05-01T00:00:00+00:00", context=documents)
    assert rendered == "Acme, GOLD, 3, 2024-05-01T00:00:00+00:00 [a: first] [b: second]"


@pytest.mark.parametrize("value", HOSTILE_VALUES)
def test_values_are_data(value: str) -> None:
    prompt = template("<{{ x }}> {{ attributes.x }} {% for d in context %}{{ d.content }}{% endfor %}", "x")
    rendered = prompt.render({"x": value}, context=[Document(id="1", content=value)])
    assert rendered == f"<{value}> {value} {value}"


@given(st.text())
def test_any_text_passes_unchanged(value: str) -> None:
    assert Prompt("{{ x }}", variables=("x",)).render({"x": value}) == value


@pytest.mark.parametrize("text", [*HOSTILE_VALUES, *REFUSED, "ends in a newline\n"])
def test_a_literal_prompt_is_never_a_template(text: str) -> None:
    assert Prompt(text, "literal").render({"x": 1}) == text


@pytest.mark.parametrize(
    ("text", "attributes", "named", "field"),
    [
        ("{{ tier }}", {}, "'tier'", "$.request.attributes.tier"),
        ("{{ user.tier }}", {"user": {}}, "'user.tier'", "$.request.attributes.user.tier"),
        ("{{ user.tier }}", {}, "'user'", "$.request.attributes.user"),
        ("{{ user['tier'] }}", {"user": "text"}, "'user.tier'", "$.request.attributes.user.tier"),
        ("{{ attributes['odd-name'] }}", {}, "'odd-name'", "$.request.attributes.odd-name"),
        ("{% if tier is defined %}{% endif %}{{ user.a }}", {"user": {}}, "'user.a'", "$.request.attributes.user.a"),
        ("{% for x in tier %}{% endfor %}", {}, "'tier'", "$.request.attributes.tier"),
        ("{% if tier %}{% endif %}", {}, "'tier'", "$.request.attributes.tier"),
        ("{{ now }}", {}, "`now`", "$.started_at"),
    ],
)
def test_a_missing_attribute_is_named(text: str, attributes: dict[str, object], named: str, field: str) -> None:
    with pytest.raises(RecordError) as caught:
        template(text, "tier", "user").render(attributes)
    assert named in str(caught.value)
    assert caught.value.field == field
    assert caught.value.stage == "prompt"


@pytest.mark.parametrize("text", ["{{ context[0].id }}", "{{ now.year }}", "{{ x.items() }}", "{{ x < 1 }}"])
def test_what_does_not_fit_the_values_is_the_records_error(text: str) -> None:
    with pytest.raises(RecordError, match="cannot be rendered"):
        Prompt(text, variables=("x",)).render({"x": "text"}, now="2024")


@pytest.mark.parametrize(("text", "word"), list(REFUSED.items()))
def test_what_the_language_does_not_have_is_refused(text: str, word: str) -> None:
    problems = template_problems(text, ["x"])
    assert any(word in problem for problem in problems), problems


@pytest.mark.parametrize("text", [text for text, word in REFUSED.items() if word != "not a template"])
def test_a_template_nobody_checked_is_refused_too(text: str) -> None:
    with pytest.raises(RecordError):
        Prompt(text, variables=("x",)).render({"x": {"a": [1]}, "odd": 1})


def test_all_problems_are_listed() -> None:
    problems = template_problems("{{ a }}\n{{ 1 + 1 }}\n{{ b }}\n{% include 'x' %}", [])
    assert len(problems) == 4
    assert "line 2: Add is not available in prompts" in problems


def test_output_is_bounded() -> None:
    with pytest.raises(RecordError, match="longer than"):
        template("{% for d in context %}{{ x }}{% endfor %}", "x").render(
            {"x": "a" * (MAX_PROMPT // 2)}, context=[Document(id=str(i)) for i in range(3)]
        )


@pytest.mark.parametrize(
    "text",
    [
        "{% for a in x %}{% for b in x %}{% for c in x %}{% for d in x %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}",
        "{% for a in x if a == 'none' %}{% for b in x %}{% endfor %}{% endfor %}" * 200,
        "{{ x|list|join(x) }}",
        "{{ x|join(x) }}",
    ],
)
def test_work_is_bounded(text: str) -> None:
    started = time.monotonic()
    with pytest.raises(RecordError):
        template(text, "x").render({"x": "a" * 5000})
    assert time.monotonic() - started < 5


def test_lists_are_written_as_plain_json_on_request() -> None:
    assert template("{{ x|tojson }}", "x").render({"x": {"a": "<é>", "b": [1, None]}}) == '{"a":"<é>","b":[1,null]}'


def test_a_rendering_leaves_the_attributes_alone() -> None:
    attributes = {"x": {"a": [2, 1]}}
    template("{{ x.a|sort|join(',') }}{{ x.get('b', 'none') }}", "x").render(attributes)
    assert attributes == {"x": {"a": [2, 1]}}


def test_declared_names_must_be_new_identifiers() -> None:
    assert variable_problems(["company", "user"]) == ()
    assert len(variable_problems([*BUILT_IN, "odd-name"])) == len(BUILT_IN) + 1
