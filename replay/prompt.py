"""The prompt of a bundle: a jinja2 template in a sandbox, or literal text.

What a trace carries is data. It is handed to the template as values and never read as a template, whatever it
looks like. The template itself comes with a bundle, which may come from a stranger, so its language is small:
output, conditions, loops, tests, and filters and methods from a table. Nothing in it can make much out of little
(no arithmetic, no joining of variables, no macros), and turns of loops are counted. So every rendering ends soon.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Literal

from jinja2 import StrictUndefined, Template, meta, nodes, pass_context
from jinja2.exceptions import TemplateError, TemplateSyntaxError, UndefinedError
from jinja2.nodes import Node
from jinja2.sandbox import ImmutableSandboxedEnvironment

from replay.errors import RecordError
from replay.exact_json import Json, dumps
from replay.trace import Document

#: What every template may use without declaring it.
BUILT_IN: Mapping[str, str] = {
    "attributes": "all attributes of the request, for names that are no identifiers",
    "now": "when the request came in, ISO 8601; undefined if the trace does not say",
    "context": "retrieved documents, each with id, content and score",
}

#: Characters. A longer prompt is a mistake, or an attribute that does not belong in one.
MAX_PROMPT = 1_000_000
#: Turns of loops in one rendering. Nested loops that write nothing would never end.
MAX_STEPS = 100_000


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: The nodes of a template's syntax tree, by jinja2's names. What is not here is refused.
_LANGUAGE = _words(
    "And Assign Call Compare CondExpr Const Dict Filter For Getattr Getitem If Keyword List Name Neg Not Operand Or "
    "Output Pair Slice Template TemplateData Test Tuple"
)
#: Filters whose output is bounded by their input and the same every time: no `random`, no `center(10**9)`.
_FILTERS = _words(
    "abs capitalize count d default dictsort first float int items join last length list lower map max min reject "
    "rejectattr reverse select selectattr sort string title tojson trim unique upper wordcount"
)
_METHODS = _words("endswith get items keys lower lstrip rstrip split startswith strip title upper values")

#: Where a rendering keeps the number of steps it has left; no template can name it.
_STEPS_LEFT = "steps left"
#: The filter every loop is put through to count its turns; no template can name it either.
_COUNTED = "counted turns"
#: How jinja2 says which name was not there.
_UNDEFINED_NAME = re.compile(r"'([^']*)'(?: is undefined)?$")

#: What a template can raise on the values of one trace, besides jinja2's own errors.
_RENDER_ERRORS = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError)


@dataclass(frozen=True)
class Prompt:
    """The system prompt. `text` null: the bundle sends none. `literal`: the text is sent as it stands."""

    text: str | None
    kind: Literal["template", "literal"] = "template"
    variables: tuple[str, ...] = ()
    """Attributes of the request that the template may name."""

    def render(
        self, attributes: Mapping[str, Json], *, now: str | None = None, context: Sequence[Document] = ()
    ) -> str | None:
        """The prompt for one request. Raises `RecordError`, naming the attribute the trace lacks."""
        if self.text is None or self.kind == "literal":
            return self.text
        values = self._values(attributes, now, context)
        try:
            return _joined(self._template.generate(values))
        except _RENDER_ERRORS as error:
            raise _unrendered(error) from None
        except TemplateError as error:
            raise _named(_missing(self.text, error, values), error) from None

    @cached_property
    def _template(self) -> Template:
        tree = _environment().parse(self.text or "")
        for problem in _foreign_constructs(tree):
            raise TemplateSyntaxError(problem, tree.lineno)
        return _environment().from_string(tree)

    def _values(self, attributes: Mapping[str, Json], now: str | None, context: Sequence[Document]) -> dict[str, Json]:
        documents = [{"id": item.id, "content": item.content, "score": item.score} for item in context]
        values: dict[str, Json] = {name: attributes[name] for name in self.variables if name in attributes}
        values |= {"attributes": dict(attributes), "context": documents, _STEPS_LEFT: [MAX_STEPS]}
        return values if now is None else {**values, "now": now}


def template_problems(text: str, variables: Sequence[str]) -> tuple[str, ...]:
    """Everything that is wrong with a template, as far as it can be known before there is a trace."""
    try:
        tree = _environment().parse(text)
        names = meta.find_undeclared_variables(tree)
        foreign = tuple(_foreign_constructs(tree))
        if not foreign:  # compiling evaluates constants, so only what is known to be small is compiled
            _environment().from_string(text)
    except TemplateSyntaxError as error:
        return (f"line {error.lineno}: not a template: {error.message}",)
    except (RecursionError, SyntaxError, ValueError, OverflowError) as error:
        return (f"not a template: {type(error).__name__}: {error}",)
    known = sorted({*variables, *BUILT_IN})
    undeclared = (
        f"uses the undeclared variable {name!r}; expected one of {', '.join(known)}, or list it under `variables`"
        for name in sorted(names.difference(known))
    )
    return (*undeclared, *foreign)


def variable_problems(variables: Sequence[str]) -> tuple[str, ...]:
    """What is wrong with the names a template declares."""
    taken = (f"{name!r} is built in and need not be declared" for name in variables if name in BUILT_IN)
    odd = (
        f"{name!r} is not an identifier; use attributes[{name!r}] in the template"
        for name in variables
        if not name.isidentifier()
    )
    return (*taken, *odd)


def _foreign_constructs(tree: Node) -> Iterator[str]:
    """What jinja2 knows and the language of prompts does not, in the order of the text."""
    for node in tree.find_all(Node):
        why = _why_foreign(node)
        if why is not None:
            yield f"line {node.lineno}: {why}"


def _why_foreign(node: Node) -> str | None:
    kind = type(node).__name__
    if kind not in _LANGUAGE:
        return f"{kind} is not available in prompts"
    if isinstance(node, nodes.Call):
        method = node.node.attr if isinstance(node.node, nodes.Getattr) else None
        return None if method in _METHODS else f"calls something other than a method of {', '.join(sorted(_METHODS))}"
    if isinstance(node, nodes.List | nodes.Tuple | nodes.Dict) and _is_read(node) and not _constant(node):
        return "a list or mapping of anything but constants"
    if isinstance(node, nodes.Filter) and node.name not in _environment().filters:
        return f"the filter {node.name!r} is not one of {', '.join(sorted(_FILTERS))}"
    if isinstance(node, nodes.Filter) and node.name == "map" and node.args:
        return "map is for attributes only, as in map(attribute='id')"
    return None


def _is_read(node: Node) -> bool:
    """Not the names a loop unpacks into, which are a tuple too."""
    return getattr(node, "ctx", "load") == "load"


def _constant(node: Node) -> bool:
    parts = list(node.iter_child_nodes())
    return all(isinstance(part, nodes.Const) or (isinstance(part, nodes.Pair) and _constant(part)) for part in parts)


class _Sandbox(ImmutableSandboxedEnvironment):
    #: Intercepted, so that jinja2 does not work them out while it compiles: 'a' * 10**9 would take all memory.
    intercepted_binops = frozenset(ImmutableSandboxedEnvironment.default_binop_table)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for loop in list(tree.find_all(nodes.For)):
            loop.iter = nodes.Filter(loop.iter, _COUNTED, [], [], None, None, lineno=loop.lineno)
        return tree

    def is_safe_callable(self, obj: Any) -> bool:
        owner = getattr(obj, "__self__", None)
        return isinstance(owner, str | dict) and getattr(obj, "__name__", "") in _METHODS


@cache
def _environment() -> _Sandbox:
    environment = _Sandbox(undefined=StrictUndefined, autoescape=False, loader=None, cache_size=0)
    environment.globals.clear()
    for name in set(environment.filters) - _FILTERS:
        del environment.filters[name]
    own = {"tojson": _to_json, "join": _join, _COUNTED: pass_context(_counted)}
    environment.filters.update(own)
    return environment


def _counted(context: Mapping[str, Json], items: Iterable[Any]) -> Iterator[Any]:
    left = context[_STEPS_LEFT]
    for item in items:
        left[0] -= 1
        if left[0] < 0:
            raise ValueError(f"its loops take more than {MAX_STEPS:,} turns")
        yield item


def _join(items: Iterable[Any], separator: str = "", attribute: str | None = None) -> str:
    parts = [str(item if attribute is None else item[attribute]) for item in items]
    if len(parts) * len(separator) > MAX_PROMPT:
        raise ValueError(f"join makes more than {MAX_PROMPT:,} characters")
    return separator.join(parts)


def _to_json(value: Any) -> str:
    """Plain JSON: jinja2's own escapes for HTML, which a model would read as odd spelling."""
    return dumps(value).decode()


def _joined(pieces: Iterator[str]) -> str:
    parts: list[str] = []
    left = MAX_PROMPT
    for piece in pieces:
        left -= len(piece)
        if left < 0:
            raise RecordError(f"the rendered prompt is longer than {MAX_PROMPT:,} characters", stage="prompt")
        parts.append(piece)
    return "".join(parts)


def _unrendered(error: Exception) -> RecordError:
    return RecordError(f"the prompt cannot be rendered: {str(error).splitlines()[0]}", stage="prompt")


def _named(path: tuple[str, ...] | None, error: Exception) -> RecordError:
    if path is None or (path[0] in ("now", "context") and len(path) > 1):
        return _unrendered(error)
    if path == ("now",):
        text = "the prompt needs the time of the request (`now`), which this trace does not have"
        return RecordError(text, stage="prompt", field="$.started_at")
    name = ".".join(path[1:] if path[0] == "attributes" else path)
    text = f"the prompt needs the request attribute {name!r}, which this trace does not have"
    return RecordError(text, stage="prompt", field=f"$.request.attributes.{name}")


def _missing(text: str, error: Exception, values: Mapping[str, Json]) -> tuple[str, ...] | None:
    """The dotted name, such as ("user", "tier"), whose absence raised `error`; null if it was something else."""
    named = _UNDEFINED_NAME.search(str(error)) if isinstance(error, UndefinedError) else None
    if named is None:
        return None
    tree = _environment().parse(text)
    paths = map(_path, tree.find_all((nodes.Name, nodes.Getattr, nodes.Getitem)))
    missing = (path for path in paths if path and path[-1] == named[1] and not _resolves(path, values))
    return next(missing, None)


def _path(node: Node) -> tuple[str, ...] | None:
    if isinstance(node, nodes.Name):
        return (node.name,) if node.ctx == "load" else None
    inner = _path(node.node) if isinstance(node, nodes.Getattr | nodes.Getitem) else None
    if inner is None:
        return None
    if isinstance(node, nodes.Getattr):
        return (*inner, node.attr)
    key = node.arg.value if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) else None
    return (*inner, key) if isinstance(key, str) else None


def _resolves(path: tuple[str, ...], values: Mapping[str, Json]) -> bool:
    node: Json = values
    for part in path:
        if not isinstance(node, Mapping) or part not in node:
            return False
        node = node[part]
    return True
