"""Options of commands, taken from the functions that they call."""

import inspect
import types
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from cyclopts import Parameter

from scgim._options import OPTIONS, plain_text

F = TypeVar("F", bound=Callable[..., Any])

NOT_TEXT = ("adata", "modalities", "known_targets", "regulators", "model_kwargs", "plan_kwargs", "rng", "progress")
"""Parameters of `scgim.tl.fit` that a command line cannot hold, or has under another name (`seed`)."""

IN_TEXT = {
    "layer": "Layer with the expression to model; .X without it.",
    "graph_prior": "Key of .varp with what is known of the graph: a mask of zeros and ones, or probabilities of edges; row causes column.",
}
"""Descriptions of parameters of which a command line can hold a part."""


def whole(_: Any, tokens: Sequence[Any]) -> Any:
    """A whole number as it is typed; cyclopts would round others. Text is left to options that take it."""
    text = str(tokens[0].value)
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"expected a whole number, found {text!r}.") from None


def whole_or_text(_: Any, tokens: Sequence[Any]) -> Any:
    """A whole number, or else the text."""
    text = str(tokens[0].value)
    return int(text) if text.lstrip("-").isdecimal() else text


WHOLE = Parameter(converter=whole)
Whole = Annotated[int, WHOLE]


def on_command_line(annotation: Any) -> Any:
    """The part of a type that can be typed: text, numbers, choices; several columns as an option given several times."""
    members = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    if any(get_origin(member) is Sequence for member in members):
        kept: Any = list[str]
    elif Any in members:
        kept = str
    else:
        kept = None
        for member in members:
            if member in (str, int, float, bool) or get_origin(member) is Literal:
                kept = member if kept is None else kept | member
    kept = kept | None if type(None) in members or Any in members else kept
    alone = set(get_args(kept) or (kept,)) - {type(None)}
    if alone in ({int}, {int, str}):
        return Annotated[kept, WHOLE if str not in alone else Parameter(converter=whole_or_text)]
    return Annotated[kept, Parameter(negative="")] if get_origin(kept) is list or list[str] in get_args(kept) else kept


def options_of(source: Callable[..., Any], leave_out: Sequence[str] = NOT_TEXT) -> Callable[[F], F]:
    """Give a command the options of a function, with their defaults and descriptions, before its own.

    Parameters
    ----------
    source
        The function; its keyword-only parameters become options.
    leave_out
        Those that do not.
    """

    def decorate(command: F) -> F:
        own = list(inspect.signature(command).parameters.values())
        theirs = [
            p.replace(annotation=on_command_line(p.annotation))
            for p in inspect.signature(source).parameters.values()
            if p.kind is p.KEYWORD_ONLY and p.name not in leave_out
        ]
        first = [p for p in own if p.kind is p.POSITIONAL_ONLY]
        last = [p for p in own if p.kind is p.KEYWORD_ONLY]
        parameters = [*first, *theirs, *last]
        command.__signature__ = inspect.Signature(parameters, return_annotation=None)  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in parameters}
        described = "".join(f"{p.name}\n    {_description(p)}\n" for p in theirs)
        command.__doc__ = inspect.cleandoc(command.__doc__ or "").rstrip() + "\n" + described  # 3.13 has no indent
        return command

    return decorate


def _description(parameter: inspect.Parameter) -> str:
    several = "list[str]" in str(parameter.annotation)
    text = IN_TEXT.get(parameter.name) or plain_text(OPTIONS[parameter.name])
    return text + (" Give the option once for each column." if several else "")
