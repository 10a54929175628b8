"""The items of a conformance check in their order, each with what it says when it passes and what to fix if not."""

from __future__ import annotations

from typing import Literal, NamedTuple

Status = Literal["passed", "failed", "left out", "not checked"]


class Item(NamedTuple):
    """One item: what is true if it passes, and what to fix if it does not."""

    what: str
    fix: str


class Result(NamedTuple):
    """What came of an item.

    Attributes:
        name: a key of `ITEMS`.
        status: `left out` if it has no meaning for this backend, `not checked` if something before it failed.
        detail: what is right, what is wrong, or why it is left out.
        fix: what to do; empty unless it failed.
        seconds: that it took.
    """

    name: str
    status: Status
    detail: str
    fix: str = ""
    seconds: float = 0.0


class LeftOut(Exception):
    """The item has no meaning for this backend or on this machine; the message says why."""


class NotChecked(Exception):
    """What the item needs has failed; the message says what."""


#: The tasks of the proof, by the item.
PROOFS = {
    "proof: frozen": "frozen",
    "proof: batch statistics": "batch statistics",
    "proof: last stage": "last stage",
    "proof: all": "all",
}
_SAME = "compare the named figure with the PyTorch backend's, step by step: docs/sameness.md says how each is made"
_BLIND = "the figure does not depend on what the harness gives: use its images, labels, order, weights and recipe"

ITEMS: dict[str, Item] = {
    "entry": Item(
        "importing the entry imports no framework and prints nothing",
        "keep the entry in a module of its own that imports only backends.registry",
    ),
    "import": Item(
        "importing the backend configures nothing",
        "set threads, device and flags in `build`; what the process needs before belongs in the entry's `environment`",
    ),
    "frameworks": Item(
        "no framework is imported but its own",
        "do not import it, or name it in the entry's packages; what the framework itself imports goes in `hides`",
    ),
    "build": Item("a trainer is built", "make `build` work with this task and variant"),
    "types": Item(
        "types, shapes and dtypes are those of the contract",
        "return what the docstrings of backends.base say",
    ),
    "reset": Item(
        "a step trains, a gradient does not, and reset goes back to the start exactly",
        "`reset` restores the checkpoint and the initial head, and clears the momentum",
    ),
    "batches": Item(
        "partial batches are kept or dropped as the order says, and mean losses count images",
        "train on the batches of `order.batches()`, and weight each batch's loss by its number of images",
    ),
    "training": Item(
        "training pauses between calls, and ends where the order ends",
        "`advance` trains on that many batches, no more, and raises StopIteration when too few are left",
    ),
    "errors": Item(
        "an error in training is raised, and what it cannot do is refused",
        "raise errors in `advance`, and call backends.knobs.check_variant first in `build`",
    ),
    "batches on the device": Item(
        "batches on the device train the same head",
        "`start_on_device` trains as `start` does, on the order's batches again and again",
    ),
    "features": Item(
        "the forms of extraction agree, and the head trains on features as on images",
        "`make_extractor`, `start_on_features` and `head_logits` compute what `features`, `start` and `logits` do",
    ),
    "kernels": Item(
        "kernels run, and the profiler returns events",
        "`kernel` returns a function that runs it so many times; `profile` returns a list of `Event`",
    ),
    "inputs": Item("the harness' arrays are not altered", "copy an array before you write into it"),
    "determinism": Item(
        "the same steps twice give the same figures, bit by bit",
        "use the framework's deterministic operations with one thread, and let `reset` restore everything",
    ),
    "randomness": Item(
        "nothing is drawn at random: other seeds change no figure",
        "draw nothing: the order of images and the head's initial values come from the harness",
    ),
    **{name: Item("the same fine-tune as the reference", _SAME) for name in PROOFS},
    "proof: cached features": Item("the same fine-tune as the reference, on cached features", _SAME),
    "fault: another order of images": Item("the proof finds it", _BLIND),
    "fault: mirrored images": Item("the proof finds it", _BLIND),
    "fault: swapped channels": Item("the proof finds it", _BLIND),
    "fault: shifted labels": Item("the proof finds it", _BLIND),
    "fault: another epsilon": Item("the proof finds it", _BLIND),
    "fault: no momentum": Item("the proof finds it", _BLIND),
    "fault: another learning rate": Item("the proof finds it", _BLIND),
    "fault: loss of the last step": Item("the proof finds it", _BLIND),
    "memory": Item(
        "memory does not grow with the steps",
        "keep nothing of a step: losses as numbers, no arrays, no graph",
    ),
    "close": Item(
        "closing leaves no thread, process or memory behind",
        "end the input pipeline in `close`, also when it is called early or twice",
    ),
    "rest": Item(
        "it rests without CPU between calls",
        "let threads and processes wait without polling; a pipeline fills its queue and then blocks",
    ),
    "clock": Item("it reads no clock", "remove it: the harness measures from outside"),
    "files": Item(
        "it opens no file and no connection",
        "remove it: the checkpoint and the images come as arrays",
    ),
    "output": Item("it prints nothing", "remove it: what people read is the harness' part"),
    "end": Item("the process ends without an error", "correct what the backend leaves to the end of the process"),
}
#: What to fix if an item raises an error, where that is something else than if it fails.
RAISED = {"import": "correct the entry's `module` and `packages`, or what the module does when it is imported"}
