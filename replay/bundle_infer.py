"""Makes a bundle directory from recorded traces, so that a replay can run at once.

What was recorded is taken over; what was not is guessed on the safe side (a tool nobody describes is a write) and
marked: `# guessed: ...` in the file, and a line under `review` in release.yaml. The same traces in the same order
give the same bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from replay.bundle import EndpointSettings
from replay.bundle_contracts import InferredTool, Offers, inferred_tools, offered, offers_of
from replay.bundle_draft import Draft
from replay.bundle_loader import load_bundle
from replay.bundle_seen import PromptSeen, Seen, prompts_of
from replay.contract import ToolContract
from replay.errors import UsageError
from replay.exact_json import Json
from replay.trace import Trace


@dataclass(frozen=True, slots=True)
class InferReport:
    """What was written and what is to be checked. `not_offered`: tools that were called and that nobody offered."""

    directory: Path
    digest: str
    traces: int
    prompts: tuple[PromptSeen, ...]
    not_offered: Mapping[str, int]
    review: tuple[str, ...]

    def lines(self) -> list[str]:
        """The report for a person."""
        lines = [f"{self.directory}: a bundle inferred from {self.traces} traces", self.digest]
        if len(self.prompts) > 1:
            lines.append(f"{len(self.prompts)} system prompts were recorded under this id; the first is used:")
            lines += [f"  {it.traces} traces  sha256:{it.sha256[:12]}  {it.start}" for it in self.prompts]
        lines += [f"{name}: called {count} times, never offered; left out" for name, count in self.not_offered.items()]
        lines += ["to be checked by a person:", *(f"  - {item}" for item in self.review)] if self.review else []
        return lines


def infer_bundle(
    traces: Iterable[Trace],
    *,
    bundle_id: str,
    toolset: Mapping[str, Json] | None = None,
    route_url: str | None = None,
    out: Path,
) -> InferReport:
    """Write a bundle for the traces that name `bundle_id`, and load it.

    `toolset` is a `toolsets.json` (toolsets by id) or one toolset of it. Raises `UsageError` when `out` is not
    empty, when no trace names the id, or when the URL is none.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not empty; expected a new or empty directory")
    endpoint = _endpoint(route_url)
    seen, others = Seen(), Counter[str]()
    for trace in traces:
        if trace.bundle.id == bundle_id:
            seen.add(trace)
        else:
            others[str(trace.bundle.id)] += 1
    if not seen.traces:
        found = ", ".join(repr(name) for name, _ in others.most_common(8)) or "no traces at all"
        raise UsageError(f"no trace was produced by {bundle_id!r}; found {found}")
    draft = Draft(seen, bundle_id, offered(seen, toolset))
    draft.write(out, endpoint)
    return InferReport(
        directory=out,
        digest=load_bundle(out).digest,
        traces=seen.traces,
        prompts=tuple(prompts_of(seen)),
        not_offered=draft.not_offered,
        review=tuple(str(guess) for guess in draft.guesses),
    )


def contracts_of(traces: Iterable[Trace], toolsets: Mapping[str, Json] | None) -> dict[str, ToolContract]:
    """Contracts as they would be inferred, for comparing recordings without a bundle."""
    return {tool.contract.name: tool.contract for tool in _tools_of(_seen_in(traces), toolsets)}


def taken_for_writes(traces: Iterable[Trace], toolsets: Mapping[str, Json] | None) -> list[str]:
    """Tools that were called and of which nobody says what they do: `contracts_of` takes them for writes."""
    seen = _seen_in(traces)
    called = [tool for tool in _tools_of(seen, toolsets) if tool.contract.name in seen.uses]
    return [tool.contract.name for tool in called if tool.contract.effect == "write" and "effect" in tool.guesses]


def _seen_in(traces: Iterable[Trace]) -> Seen:
    seen = Seen()
    for trace in traces:
        seen.add(trace)
    return seen


def _tools_of(seen: Seen, toolsets: Mapping[str, Json] | None) -> list[InferredTool]:
    named = [toolsets[name] for name in sorted(seen.toolsets) if name in toolsets] if toolsets else []
    offers = {name: offer for toolset in reversed(named) for name, offer in offers_of(toolset)}
    found = Offers(offers, ()) if offers else offered(seen, toolsets)
    return inferred_tools(seen, found)


def _endpoint(url: str | None) -> EndpointSettings:
    try:
        return EndpointSettings(url=url)
    except ValidationError as error:
        raise UsageError(f"--route {url!r}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
