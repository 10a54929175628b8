"""Knob settings: the knobs of a variant that differ from the default, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

KnobSettings = Mapping[str, str]
SettingsKey = tuple[tuple[str, str], ...]

#: No knob set.
DEFAULT: KnobSettings = MappingProxyType({})


def as_key(knobs: KnobSettings) -> SettingsKey:
    """The settings in a hashable form that does not depend on their order."""
    return tuple(sorted(knobs.items()))


def remove_knob(knobs: KnobSettings, knob: str) -> dict[str, str]:
    """The settings with one knob back at its default."""
    return {name: value for name, value in knobs.items() if name != knob}


def remove_duplicates(several: Iterable[KnobSettings]) -> list[KnobSettings]:
    """Each of the settings once, without the default."""
    return list({as_key(knobs): knobs for knobs in several if knobs}.values())


def contains(several: Iterable[KnobSettings], knobs: KnobSettings) -> bool:
    """Whether the settings are among `several`."""
    return any(as_key(knobs) == as_key(one) for one in several)
