"""State dict: which dictionary of a checkpoint has a backbone's tensors, and under which prefix of their names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backends.backbones import BACKBONES, Backbone, Shape
from bench.errors import UserError
from bench.weights.checkpoint_folder import CLASSIFIER, check_finite, find_problem
from bench.weights.inert_pickle import Placeholder
from bench.weights.model_file import Format, make_damaged_error, read_content
from bench.weights.package_names import rename_to_timm
from bench.weights.stored_tensor import FLOATS, StoredTensor

REMEDY = "save one with torch.save(model.state_dict(), FILE)"
#: The entries in which training scripts keep the weights; of several, the first one in this order is taken.
ENTRIES = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "weights", "params")
#: Words in the names of averaged weights, which are taken where there are no others.
AVERAGES = frozenset({"ema", "swa"})
#: How far below the content a state dict may be: Lightning, DINO and others need one or two.
DEPTH = 3
#: What wrappers of a part of a network add to names, anywhere in them: torch.compile, FSDP, activation checkpointing.
WRAPPERS = re.compile(r"(?:(?<=\.)|^)(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")


@dataclass(frozen=True)
class StateDict:
    """The tensors of a backbone that a checkpoint has, in the backbone's order, with a published classifier's last.

    Attributes:
        tensors: by the names of `Backbone.tensors`.
        taken: from which entry of the checkpoint, and under which prefix, as text for people; may be empty.
    """

    tensors: Mapping[str, StoredTensor]
    taken: str


@dataclass(frozen=True)
class _Dictionary:
    """One dictionary of a checkpoint: its tensors, and what else has a name in it."""

    entry: str
    tensors: Mapping[str, StoredTensor]
    others: Mapping[str, Any]


@dataclass(frozen=True)
class _Candidate:
    """Tensors of a dictionary whose names begin with `prefix`, without it."""

    entry: str
    prefix: str
    tensors: Mapping[str, StoredTensor]

    @property
    def shapes(self) -> dict[str, Shape]:
        return {name: tensor.shape for name, tensor in self.tensors.items()}

    @property
    def taken(self) -> str:
        parts = (f"entry {self.entry}" if self.entry else "", f"prefix {self.prefix}" if self.prefix else "")
        return ", ".join(filter(None, parts))

    @property
    def rank(self) -> tuple[bool, int]:
        """The lowest is taken."""
        average = not AVERAGES.isdisjoint(re.split(r"[^a-z]+", f"{self.entry}.{self.prefix}".lower()))
        last = self.entry.rpartition(".")[2]
        return average, ENTRIES.index(last) if last in ENTRIES else len(ENTRIES) if last else -1


def read_state_dict(file: Path, format_: Format, backbone: Backbone) -> tuple[dict[str, np.ndarray], str]:
    """Read the tensors of `backbone` in a file, float32 and finite, with those of a published classifier.

    Returns:
        The tensors, and `StateDict.taken`.

    Raises:
        UserError: they are not there, are truncated, or are no floating-point numbers.
    """
    selected = select_state_dict(file, read_content(file, format_), backbone)
    for name, tensor in selected.tensors.items():
        if tensor.dtype not in FLOATS:
            raise UserError(f"{file} has {name} as {tensor.dtype}: save it as float32")
    try:
        tensors = {name: tensor.read() for name, tensor in selected.tensors.items()}
    except (ValueError, OSError):
        raise make_damaged_error(file, "a PyTorch file") from None
    return {name: check_finite(file, name, tensor) for name, tensor in tensors.items()}, selected.taken


def select_state_dict(file: Path, content: Any, backbone: Backbone) -> StateDict:
    """Select the tensors of `backbone` from what `model_file.read_content` has read.

    The names may have a prefix, as `module.` or `model.resnet.`; parts that the backbone does not have, as a head, are
    left out.

    Raises:
        UserError: they are not there, or several times; the line says what is there.
    """
    dictionaries = list(_list_dictionaries(content))
    fitting = sorted(_list_fitting(dictionaries, backbone), key=lambda one: one.rank)
    if not fitting:
        raise UserError(f"{file} {_describe_misfit(content, dictionaries, backbone)}")
    if len(fitting) > 1 and fitting[0].rank == fitting[1].rank:
        raise UserError(
            f"{file} has {backbone.name} several times, under {fitting[0].taken} and {fitting[1].taken}: "
            "save the one that is wanted with torch.save"
        )
    chosen = fitting[0]
    names = [*backbone.tensors(), *_list_classifier(chosen.tensors, backbone)]
    return StateDict({name: chosen.tensors[name] for name in names}, chosen.taken)


def _list_dictionaries(content: Any, entry: str = "", depth: int = 0) -> Iterator[_Dictionary]:
    """The dictionaries in a checkpoint that have names, from the top."""
    if not isinstance(content, dict):
        return
    named = {_clean_name(name): value for name, value in content.items() if isinstance(name, str)}
    tensors = {name: value for name, value in named.items() if isinstance(value, StoredTensor)}
    yield _Dictionary(entry, tensors, {name: value for name, value in named.items() if name not in tensors})
    if depth < DEPTH:
        for name, value in named.items():
            yield from _list_dictionaries(value, f"{entry}.{name}" if entry else name, depth + 1)


def _clean_name(name: str) -> str:
    return rename_to_timm(WRAPPERS.sub("", name))


def _list_fitting(dictionaries: list[_Dictionary], backbone: Backbone) -> Iterator[_Candidate]:
    """The candidates that are the backbone. A dictionary that the checkpoint refers to twice is one candidate."""
    expected = backbone.tensors()
    seen = set()
    for one in dictionaries:
        first = next(iter(one.tensors.values()), None)
        if id(first) in seen:
            continue
        seen.add(id(first))
        for prefix, count in _count_names(one.tensors, expected).items():
            candidate = _strip_prefix(one, prefix)
            if count == len(expected) and find_problem(candidate.shapes, backbone) is None:
                yield candidate


def _count_names(tensors: Mapping[str, StoredTensor], expected: Mapping[str, object]) -> Counter[str]:
    """The number of expected names that there are, by their prefix."""
    found: Counter[str] = Counter()
    for name in tensors:
        for start in (0, *(dot.end() for dot in re.finditer(r"\.", name))):
            if name[start:] in expected:
                found[name[:start]] += 1
    return found


def _strip_prefix(one: _Dictionary, prefix: str) -> _Candidate:
    tensors = {name.removeprefix(prefix): value for name, value in one.tensors.items() if name.startswith(prefix)}
    return _Candidate(one.entry, prefix, tensors)


def _list_classifier(tensors: Mapping[str, StoredTensor], backbone: Backbone) -> list[str]:
    """The names of the classifier, if it is one layer, as published networks have; other heads are left out."""
    weight, bias = (f"{CLASSIFIER[backbone.family]}.{part}" for part in ("weight", "bias"))
    shapes = {name: tensors[name].shape for name in (weight, bias) if name in tensors and tensors[name].dtype in FLOATS}
    if weight not in shapes or len(shapes[weight]) != 2 or shapes[weight][1] != backbone.features:
        return []
    return [weight, bias] if shapes.get(bias) == shapes[weight][:1] else [weight]


def _describe_misfit(content: Any, dictionaries: list[_Dictionary], backbone: Backbone) -> str:
    """What a checkpoint without the backbone is, and what to do."""
    if isinstance(content, Placeholder) and not dictionaries[0].tensors:
        return f"{_describe_placeholder('is', content)}: {REMEDY}"
    modules = {name: value for one in dictionaries for name, value in one.others.items() if _is_module(value)}
    for name, value in modules.items():
        return f"{_describe_placeholder(f'has, as its entry {name},', value)}: {REMEDY}"
    tensors = [(name, tensor) for one in dictionaries for name, tensor in one.tensors.items()]
    if not tensors:
        return f"{_describe_others(content)}: {REMEDY}"
    if not any(tensor.dtype in FLOATS for _, tensor in tensors):
        return f"has no weights, only whole numbers: {REMEDY}"
    if all(len(tensor.shape) < 4 for _, tensor in tensors):
        shown = ", ".join(f"{name} {tensor.shape}" for name, tensor in tensors[:3])
        return f"has only a head, no convolutions ({shown}): give a checkpoint of {backbone.architecture}"
    return _describe_nearest(dictionaries, backbone)


def _describe_nearest(dictionaries: list[_Dictionary], backbone: Backbone) -> str:
    """The first difference between the backbone and the tensors that have most of its names."""
    expected = backbone.tensors()
    counts = {
        (number, prefix): count
        for number, one in enumerate(dictionaries)
        for prefix, count in _count_names(one.tensors, expected).items()
    }
    number, prefix = max(counts, key=lambda key: counts[key], default=(0, ""))
    more = ""
    if counts.get((number, prefix), 0) < len(expected) / 2:
        number, prefix = max(range(len(dictionaries)), key=lambda at: len(dictionaries[at].tensors)), ""
        more = f", its tensors are called {', '.join(list(dictionaries[number].tensors)[:3])}, …"
    candidate = _strip_prefix(dictionaries[number], prefix)
    problem = str(find_problem(candidate.shapes, backbone))
    missing = prefix + problem.removeprefix("it has no ").partition(" ")[0]
    if isinstance(value := dictionaries[number].others.get(missing), Placeholder):
        problem = f"{missing} is {value.name}, no plain tensor"
    where = f" ({candidate.taken})" if candidate.taken else ""
    others = [
        other.name for other in BACKBONES.values() if other is not backbone and any(_list_fitting(dictionaries, other))
    ]
    remedy = f"give a checkpoint of {backbone.architecture}" + (f", or use --backbone {others[0]}" if others else "")
    return f"is not {backbone.name}{where}: {problem}{more}; {remedy}"


def _is_module(value: object) -> bool:
    return isinstance(value, Placeholder) and value.is_module


def _describe_placeholder(verb: str, value: Placeholder) -> str:
    if value.is_module:
        return f"{verb} a whole pickled model ({value.name}), not a state dict"
    return f"contains code ({value.name}), not a state dict"


def _describe_others(content: Any) -> str:
    """What a checkpoint without tensors that have names has."""
    if isinstance(content, StoredTensor):
        return "contains a single tensor, not a state dict"
    if not content or not isinstance(content, dict):
        empty = "an empty " if content in ({}, []) else ""
        return f"contains {empty}{type(content).__name__}, not a state dict"
    for value in content.values():
        if isinstance(value, Placeholder):
            return _describe_placeholder("is", value)
    name, value = next(iter(content.items()))
    return f"is not a state dict, {name!r} is {type(value).__name__}"
