"""The files of an inferred bundle, each guess marked where it stands and listed for a person to check."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from replay.bundle import BUNDLE_SCHEMA, EndpointSettings
from replay.bundle_contracts import Guess, Offers, inferred_tools
from replay.bundle_files import MANIFEST, RELEASE
from replay.bundle_seen import Seen, most_common, most_common_json
from replay.bundle_yaml import dump_yaml
from replay.contract import ToolContract
from replay.exact_json import Json
from replay.models import RouteSpec
from replay.routes import check_params

UNKNOWN_MODEL = "unknown"
_NO_PRICES = "they are not recorded, and without them costs are unknown"


class Draft:
    """The bundle that is being written, and everything that was guessed on the way."""

    def __init__(self, seen: Seen, bundle_id: str, offers: Offers) -> None:
        self._seen = seen
        self._bundle_id = bundle_id
        self._tools = inferred_tools(seen, offers)
        self._prompt_text = most_common(+Counter({k: n for k, n in seen.prompts.items() if k is not None}), str)
        self.guesses: list[Guess] = []
        self._prompt_guess()
        self.guesses += offers.guesses
        known = {tool.contract.name for tool in self._tools}
        self.not_offered = {name: use.calls for name, use in sorted(seen.uses.items()) if name not in known}
        self.guesses += [
            Guess("tool_contracts", f"{name} was called {count} times and never offered; it is left out")
            for name, count in self.not_offered.items()
        ]

    def write(self, out: Path, endpoint: EndpointSettings) -> None:
        files: dict[str, str] = {}
        names = self._tool_files(files)
        files[MANIFEST] = self._manifest(files, names)
        files[RELEASE] = self._release(endpoint)
        for name, text in files.items():
            path = out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())

    def _tool_files(self, files: dict[str, str]) -> list[str]:
        names: list[str] = []
        for tool in self._tools:
            name = _file_name(tool.contract.name, taken=[it.lower() for it in names])
            names.append(name)
            fields = tool.contract.model_dump(exclude_defaults=True)
            fields.setdefault("effect", tool.contract.effect)  # a reader should not have to know the default
            fields.setdefault("parameters", tool.contract.parameters)
            ordered = {key: fields[key] for key in ToolContract.model_fields if key in fields}
            self.guesses += [Guess(f"{name} {key}", why) for key, why in tool.guesses.items()]
            files[name] = _block(ordered, tool.guesses)
        return names

    def _manifest(self, files: dict[str, str], tools: Sequence[str]) -> str:
        spec, why = self._route()
        self.guesses += [Guess(f"{MANIFEST} model_route.{key}", text) for key, text in why.items()]
        self._notes()
        route = {"transport": spec.transport, "model": spec.model, "params": dict(spec.params)}
        head = {"schema": BUNDLE_SCHEMA, "name": _name(self._bundle_id)}
        prompt = {guess.place: guess.why for guess in self.guesses if guess.place == "prompt_version"}
        return (
            f"# Inferred from {self._seen.traces} recorded traces. What is marked `guessed` is for a person to check.\n"
            + _block(head)
            + _block({"prompt_version": self._prompt(files)}, prompt)
            + "model_route:\n"
            + _indented(_block(route, why))
            + f"  # guessed: no prices; {_NO_PRICES}\n"
            + _block({"tool_contracts": list(tools)}, _joined(self.guesses, "tool_contracts"))
            + _block({"guardrail_policy": []}, _joined(self.guesses, "guardrail_policy"))
            + _block({"retriever_snapshot": None}, _joined(self.guesses, "retriever_snapshot"))
        )

    def _prompt(self, files: dict[str, str]) -> Json:
        text = self._prompt_text
        if text is None:
            return None
        if "\r\n" in text or text.startswith("\ufeff"):  # a file would lose them
            return {"literal_text": text}
        files["prompts/system.txt"] = text
        return {"literal": "prompts/system.txt"}

    def _prompt_guess(self) -> None:
        counts = [(count, text) for text, count in self._seen.prompts.items() if text is not None]
        without = self._seen.prompts[None]
        if not counts:
            self.guesses.append(Guess("prompt_version", "no system prompt was recorded; write it, or leave it out"))
        elif len(counts) > 1 or without:
            used = self._seen.prompts[self._prompt_text]
            text = f"the most common of {len(counts)} recorded prompts: {used} of {self._seen.traces} traces have it"
            self.guesses.append(Guess("prompt_version", f"{text}, {without} have none" if without else text))

    def _route(self) -> tuple[RouteSpec, dict[str, str]]:
        """The route, and why each guessed key of it is as it is."""
        why: dict[str, str] = {}
        model = most_common(self._seen.models, str)
        if model is None:
            why["model"] = "no trace names its model"
        elif len(self._seen.models) > 1:
            why["model"] = f"the most common of {_listed(self._seen.models)}"
        params = most_common_json(self._seen.params)
        spec = RouteSpec("openai", model or UNKNOWN_MODEL, {})
        refused = {name: check_params(RouteSpec("openai", "any", {name: value})) for name, value in params.items()}
        notes = [f"left out: {problems[0]}" for problems in refused.values() if problems]
        if len(self._seen.params) > 1:
            notes.insert(0, f"the most common of {len(self._seen.params)} recorded sets")
        if not params:
            notes.append("no trace says which were used")
        if notes:
            why["params"] = "; ".join(notes)
        taken = {name: value for name, value in params.items() if not refused[name]}
        return RouteSpec(spec.transport, spec.model, taken), why

    def _notes(self) -> None:
        self.guesses.append(Guess(f"{MANIFEST} model_route.prices", _NO_PRICES))
        if self._seen.rules:
            text = f"guardrails decided {self._seen.rules.total()} times ({_listed(self._seen.rules)}); write the rules"
            self.guesses.append(Guess("guardrail_policy", text))
        if self._seen.retrievals:
            text = f"{self._seen.retrievals} traces hold retrieved documents; name the snapshot they came from"
            self.guesses.append(Guess("retriever_snapshot", text))

    def _release(self, endpoint: EndpointSettings) -> str:
        found: dict[str, Json] = {"aliases": [self._bundle_id]}
        if endpoint.url is not None:
            found["endpoint"] = {"url": endpoint.url}
        return _block(found) + _block({"review": [str(guess) for guess in self.guesses]})


def _name(bundle_id: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f]", "", bundle_id)[:200] or "inferred"


def _file_name(tool: str, *, taken: Sequence[str]) -> str:
    """A name every file system takes, also those that do not tell upper case from lower."""
    stem = re.sub(r"[^A-Za-z0-9_-]", "_", tool)[:80]
    numbered = (f"tools/{stem}{'' if number == 1 else f'-{number}'}.yaml" for number in range(1, len(taken) + 2))
    return next(name for name in numbered if name.lower() not in taken)


def _joined(guesses: Iterable[Guess], place: str) -> dict[str, str]:
    texts = [guess.why for guess in guesses if guess.place == place]
    return {place: "; ".join(texts)} if texts else {}


def _listed(counts: Counter[str]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} ({count})" for name, count in ordered[:8])


def _block(fields: Mapping[str, Json], guesses: Mapping[str, str] | None = None) -> str:
    """The fields as YAML, each guess in a comment above its own."""
    parts = []
    for key, value in fields.items():
        why = (guesses or {}).get(key)
        if why is not None:
            parts.append(f"# guessed: {' '.join(why.split())}\n")
        parts.append(dump_yaml({key: value}))
    return "".join(parts)


def _indented(text: str) -> str:
    return "".join(f"  {line}\n" if line else "\n" for line in text.removesuffix("\n").split("\n"))
