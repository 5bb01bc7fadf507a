"""From what a release says about its model to an open route, and what a release may say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from replay.errors import UsageError
from replay.exact_json import Json
from replay.limiter import RouteLimiter
from replay.models import Endpoint, Model, RouteSpec, Transport


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of JSON value, and its name in a message."""

    types: tuple[type, ...]
    words: str

    def holds(self, value: Json) -> bool:
        # In Python a boolean is a number; in JSON it is not.
        return isinstance(value, self.types) and (not isinstance(value, bool) or bool in self.types)


_NUMBER = Kind((int, float), "a number")
_WHOLE = Kind((int,), "a whole number")
_YES_NO = Kind((bool,), "true or false")
_TEXT = Kind((str,), "text")
_OBJECT = Kind((dict,), "an object")
_TEXT_OR_OBJECT = Kind((str, dict), "text or an object")
_TEXT_OR_LIST = Kind((str, list), "text or a list of texts")

#: The parameters a release may set. They go to the provider as they are; whether it takes them is for it to say.
PARAMETERS: Mapping[str, Kind] = {
    "temperature": _NUMBER,
    "top_p": _NUMBER,
    "max_tokens": _WHOLE,
    "max_completion_tokens": _WHOLE,
    "seed": _WHOLE,
    "stop": _TEXT_OR_LIST,
    "presence_penalty": _NUMBER,
    "frequency_penalty": _NUMBER,
    "logit_bias": _OBJECT,
    "logprobs": _YES_NO,
    "top_logprobs": _WHOLE,
    "response_format": _OBJECT,
    "tool_choice": _TEXT_OR_OBJECT,
    "parallel_tool_calls": _YES_NO,
    "reasoning_effort": _TEXT,
    "verbosity": _TEXT,
    "prediction": _OBJECT,
    "service_tier": _TEXT,
    "prompt_cache_key": _TEXT,
    "safety_identifier": _TEXT,
    "user": _TEXT,
    "metadata": _OBJECT,
}

#: Not in the protocol, yet common on servers of open models.
OPEN_MODEL_PARAMETERS: Mapping[str, Kind] = {
    "top_k": _WHOLE,
    "min_p": _NUMBER,
    "repetition_penalty": _NUMBER,
    "chat_template_kwargs": _OBJECT,
}

_ENDPOINT = "is a setting of the endpoint, outside the release"
_ONE_CALL = "would make litellm do more than one plain call, and hide it"

#: Names that are refused for a reason worth saying.
RESERVED: Mapping[str, str] = {
    "messages": "is written by the replay",
    "tools": "comes from the release's tool contracts",
    "functions": "is the old form of tools, which come from the release's tool contracts",
    "function_call": "is the old form of tool_choice",
    "model": "is a field of the route itself",
    "stream": "is a field of the route itself",
    "stream_options": "is set by the route, which asks for usage",
    "n": "must stay 1: each answer is a call of its own, so that it can be timed and counted",
    "store": "would leave a replay's content with the provider",
    "web_search_options": "would let the provider act outside the stubs",
    "modalities": "is not supported: answers are text and tool calls",
    "audio": "is not supported: answers are text and tool calls",
    "api_key": _ENDPOINT,
    "api_base": _ENDPOINT,
    "api_version": _ENDPOINT,
    "base_url": _ENDPOINT,
    "headers": _ENDPOINT,
    "extra_headers": _ENDPOINT,
    "timeout": "is set per call, from the time budget of the replay",
    "num_retries": _ONE_CALL,
    "max_retries": _ONE_CALL,
    "fallbacks": _ONE_CALL,
    "caching": _ONE_CALL,
    "cache": _ONE_CALL,
    "drop_params": "would hide that the provider does not take a parameter",
    "mock_response": "would put an invented answer in the place of the model's",
    "extra_body": "would pass parameters by this check; name them one by one",
}


def check_params(spec: RouteSpec) -> tuple[str, ...]:
    """Say in words every parameter that the route will not pass; empty when all is well."""
    known = PARAMETERS if spec.transport == "litellm" else {**PARAMETERS, **OPEN_MODEL_PARAMETERS}
    problems = (_problem(name, value, known, spec.transport) for name, value in spec.params.items())
    return tuple(problem for problem in problems if problem is not None)


def open_model(spec: RouteSpec, endpoint: Endpoint, *, limiter: RouteLimiter | None = None) -> Model:
    """Make a route; it connects on the first call. Lanes that press one endpoint share one `limiter`.

    Raises `UsageError` when the spec or the endpoint cannot be used.
    """
    problems = (*check_params(spec), *check_endpoint(endpoint))
    if problems:
        raise UsageError("the model route cannot be opened: " + "; ".join(problems))
    if spec.transport == "litellm":
        from replay.litellm_route import LiteLLMRoute  # noqa: PLC0415 - the check of a release needs no transport

        return LiteLLMRoute(spec, endpoint, limiter=limiter)
    from replay.openai_route import OpenAIRoute  # noqa: PLC0415 - as above

    return OpenAIRoute(spec, endpoint, limiter=limiter)


def check_endpoint(endpoint: Endpoint) -> tuple[str, ...]:
    """Say in words what is wrong with the settings of an endpoint, without showing a secret."""
    rate = endpoint.requests_per_minute
    checks = (
        (endpoint.concurrency >= 1, f"concurrency is {endpoint.concurrency}; expected at least 1"),
        (endpoint.max_attempts >= 1, f"max_attempts is {endpoint.max_attempts}; expected at least 1"),
        (rate is None or 0 < rate < math.inf, f"requests_per_minute is {rate}; expected a number above 0, or none"),
        (_fits_header(endpoint.api_key or ""), "the api_key is not printable ASCII, or has a space at an end"),
        *(
            (_fits_header(value), f"header {name!r} is not printable ASCII, or has a space at an end")
            for name, value in endpoint.headers.items()
        ),
    )
    return tuple(problem for fine, problem in checks if not fine)


def _fits_header(value: str) -> bool:
    return value.isascii() and (not value or value.isprintable()) and value == value.strip()


def _problem(name: str, value: Json, known: Mapping[str, Kind], transport: Transport) -> str | None:
    if name in RESERVED:
        return f"parameter {name!r} {RESERVED[name]}"
    kind = known.get(name)
    if kind is None:
        return f"parameter {name!r} is not one the {transport} transport passes; it passes {', '.join(known)}"
    if not kind.holds(value):
        return f"parameter {name!r} is {type(value).__name__}; expected {kind.words}"
    return None
