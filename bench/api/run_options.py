"""The keywords of `bench.run`: checked, as a request, and as the command line that asks for the same."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from bench.cache.home import expand_user
from bench.errors import UserError
from bench.plan.amounts import parse_channels, parse_seconds, parse_share, parse_size
from bench.plan.request import Request

Names = str | Iterable[str]
Numbers = int | Iterable[int]
AnyPath = str | PathLike[str]
Channels = float | Sequence[float]
#: Options of which several values may be given: the keyword, and the option of the command line.
SEVERAL = {"task": "task", "backends": "backend", "variants": "variant", "knobs": "knob"}
#: Fields of the task.
FIELDS = (
    "backbone",
    "weights",
    "trainable",
    "batch_size",
    "epochs",
    "image_size",
    "resize",
    "crop",
    "mean",
    "std",
    "learning_rate",
    "update_rule",
    "momentum",
    "nesterov",
    "beta1",
    "beta2",
    "epsilon",
    "weight_decay",
    "clip_norm",
    "accumulate",
    "label_smoothing",
    "schedule",
    "warm_up",
    "schedule_steps",
    "flip",
    "crop_scale",
    "jitter",
    "train_limit",
    "seed",
)
#: Those with a number for each channel.
CHANNELS = ("mean", "std")
#: The least value of whole numbers.
LEAST = {"threads": 1, "launches": 1, "rounds": 2, "seeds": 1}
TEXTS = ("suite", "device", "relative_to")
TEXTS_OR_NONE = ("backbone", "weights", "trainable", "update_rule", "schedule")
SWITCHES = ("isolated", "wait", "quiet")
#: What may be given beside `resume`.
BESIDE_RESUME = ("resume", "results", "wait", "quiet")


def make_request(given: Mapping[str, Any]) -> Request:
    """Make the request of the keywords of a call.

    Raises:
        UserError: a value is not one that its option takes.
    """
    for name, least in LEAST.items():
        value = given[name]
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise UserError(f"{name}={value!r}: give a whole number, {least} or more")
    given = {**given, "backbone": _read_backbone(given["backbone"], given["image_size"])}
    _check_types(given)
    channels = {name: read_channels(name, given[name]) for name in CHANNELS if given[name] is not None}
    lists = {name: list_names(name, given[name]) for name in SEVERAL}
    return Request(
        suite=given["suite"],
        tasks=lists["task"],
        backends=lists["backends"],
        overrides={name: given[name] for name in FIELDS if given[name] is not None} | channels,
        variants=lists["variants"],
        knobs=lists["knobs"],
        data_dir=_read_path("data_dir", given["data_dir"]),
        images=_read_path("images", given["images"]),
        checkpoint=_read_path("checkpoint", given["checkpoint"]),
        device=given["device"],
        devices=list_numbers("devices", given["devices"]),
        threads=given["threads"],
        launches=given["launches"],
        rounds=given["rounds"],
        until=None if given["until"] is None else parse_share(str(given["until"])),
        max_time=None if given["max_time"] is None else parse_seconds(str(given["max_time"])),
        seeds=given["seeds"],
        cache_limit=given["cache_limit"] if isinstance(given["cache_limit"], int) else parse_size(given["cache_limit"]),
        isolated=given["isolated"],
        relative_to=given["relative_to"],
        results=_read_path("results", given["results"]) or Request.results,
    )


def _read_backbone(backbone: object, image_size: object) -> object:
    """The name of a backbone that is given as a module of PyTorch; any other value as it is.

    Raises:
        UserError: the size of its images is missing, or PyTorch cannot export it.
    """
    torch = sys.modules.get("torch")  # who has a module has imported it
    if torch is None or not isinstance(backbone, torch.nn.Module):
        return backbone
    if not isinstance(image_size, int) or isinstance(image_size, bool) or image_size < 1:
        raise UserError(f"backbone={type(backbone).__name__} is exported for one size of images: give image_size, too")
    from bench.networks.saved_programs import keep_module

    return keep_module(backbone, image_size)


def _check_types(given: Mapping[str, Any]) -> None:
    """Check what a command line can only give as a text or as a switch.

    Raises:
        UserError: a value has another type.
    """
    for name in (*TEXTS, *TEXTS_OR_NONE):
        if not isinstance(given[name], str) and not (name in TEXTS_OR_NONE and given[name] is None):
            raise UserError(f"{name}={given[name]!r} is no name: give a text")
    for name in SWITCHES:
        if not isinstance(given[name], bool):
            raise UserError(f"{name}={given[name]!r}: give True or False")
    limit = given["cache_limit"]
    if isinstance(limit, bool) or not isinstance(limit, (int, str)) or (isinstance(limit, int) and limit < 0):
        raise UserError(f"cache_limit={limit!r}: give a number of bytes, or a text as 4GB")
    _read_path("resume", given["resume"])


def list_names(option: str, value: Names | Mapping[str, str]) -> tuple[str, ...]:
    """List the names of an option that takes one or several; a mapping is `name=value` of each.

    Raises:
        UserError: a name is no text.
    """
    if isinstance(value, Mapping):
        return tuple(f"{name}={chosen}" for name, chosen in value.items())
    names = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else (value,)
    for name in names:
        if not isinstance(name, str):
            raise UserError(f"{option}: {name!r} is no name: give a text, or a list of texts")
    return tuple(dict.fromkeys(names))


def list_numbers(option: str, value: Numbers) -> tuple[int, ...]:
    """List the numbers of an option that takes one or several.

    Raises:
        UserError: one is no whole number, or is less than 1.
    """
    numbers = tuple(value) if isinstance(value, Iterable) else (value,)
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise UserError(f"{option}={value!r}: give a whole number, 1 or more, or several of them")
    return tuple(dict.fromkeys(numbers))


def read_channels(option: str, value: Channels) -> tuple[float, float, float]:
    """Read a number for each channel, or one for all.

    Raises:
        UserError: it is neither.
    """
    numbers = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (value,)
    if any(isinstance(number, (bool, str)) for number in numbers):
        raise UserError(f"{option}={value!r}: give three numbers, as (0.485, 0.456, 0.406), or one")
    try:
        return parse_channels(",".join(map(str, numbers)))
    except UserError:
        raise UserError(f"{option}={value!r}: give three numbers, as (0.485, 0.456, 0.406), or one") from None


def format_arguments(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> list[str]:
    """Format the arguments of the command line that measures the same, behind `bench`.

    Args:
        given: the value of every keyword of `bench.run`.
        defaults: the default of each.
    """
    arguments = ["run"]
    for name, value in given.items():
        if name == "quiet" or value is None or value is False or value == defaults[name]:
            continue
        option = f"--{SEVERAL.get(name, name).replace('_', '-')}"
        if name in SEVERAL:
            arguments += [part for one in list_names(name, value) for part in (option, one)]
        elif name == "devices":
            arguments += [part for one in list_numbers(name, value) for part in (option, str(one))]
        elif name in CHANNELS:
            arguments += [option, ",".join(map(str, read_channels(name, value)))]
        elif value is True:
            arguments.append(option)
        else:
            arguments += [
                option,
                f"{value / 2**20:g}MB" if name == "cache_limit" and isinstance(value, int) else str(value),
            ]
    return arguments


def _read_path(option: str, value: AnyPath | None) -> Path | None:
    if value is None:
        return None
    try:
        text = fspath(value)
    except TypeError:
        text = None
    if not isinstance(text, str):
        raise UserError(f"{option}={value!r} is no path: give a text or a pathlib.Path")
    if not text:
        raise UserError(f"{option}: the path is empty: give one, or leave it out")
    return expand_user(Path(text))


def refuse_options_beside_resume(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Refuse keywords beside `resume` on which a figure depends.

    Raises:
        UserError: there are some.
    """
    others: Sequence[str] = [
        name for name, value in given.items() if name not in BESIDE_RESUME and value != defaults[name]
    ]
    if given["resume"] is not None and others:
        raise UserError(f"resume keeps the options that the run had: leave out {', '.join(others)}")
