"""Fits parsed YAML into a pydantic model; what does not fit is said in the words of the config file."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from tailrace.config.masking import Masker
from tailrace.errors import ConfigError

M = TypeVar("M", bound=BaseModel)

_LONGEST_SHOWN = 60


def validate(model: type[M], values: object, path: str, *, folder: Path, secrets: Iterable[str] = ()) -> M:
    """Return `values` as a `model`; relative paths in it are taken from `folder`, the config file's.

    A model's own validators find it as `info.context["folder"]`, for paths that are part of something else.
    Raises `ConfigError` naming every key that is unknown, missing or of a wrong type. `path` is the block's place in
    the file (`connectors.shop`).
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{path}: must be keys and values")
    try:
        config = model.model_validate(dict(values), context={"folder": folder})
    except ValidationError as error:
        masker = Masker(secrets)
        faults = [_fault(model, fault, path, masker) for fault in error.errors(include_url=False)]
        raise ConfigError("; ".join(dict.fromkeys(faults))) from None  # the cause holds values, secrets among them
    return _from_folder(config, folder)


def unknown_key(key: str, known: Iterable[str], path: str) -> str:
    """Say that `key` is not one of `known`, and which of them is nearest."""
    known = sorted(known)
    place = f"{path}.{key}" if path else key
    near = difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.6)
    if near:
        return f'{place}: unknown key, did you mean "{near[0]}"?'
    return f"{place}: unknown key, known are {', '.join(known)}"


def _fault(model: type[BaseModel], fault: Any, path: str, masker: Masker) -> str:
    location: tuple[int | str, ...] = fault["loc"]
    place = _place(path, location)
    if fault["type"] == "extra_forbidden":
        owner = _model_at(model, location[:-1])
        known = [field.alias or name for name, field in owner.model_fields.items()] if owner else []
        return unknown_key(str(location[-1]), known, _place(path, location[:-1]))
    if fault["type"] == "missing":
        return f"{place}: missing"
    reason = str(fault["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    shown = _shown(fault["input"], str(location[-1]) if location else "", masker)
    return masker.text(f"{place}: {reason[:1].lower()}{reason[1:]}{shown}")


def _place(path: str, location: Iterable[int | str]) -> str:
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    return path


def _shown(value: object, key: str, masker: Masker) -> str:
    """Return a short value that is not secret, for the end of a message."""
    if not isinstance(value, (str, int, float, bool)):
        return ""
    masked = masker.tree(value, key)
    text = f'"{masked}"' if isinstance(masked, str) else str(masked).lower()
    return f", got {text}" if len(text) <= _LONGEST_SHOWN else ""


def _model_at(model: type[BaseModel], location: Iterable[int | str]) -> type[BaseModel] | None:
    """Return the model that describes the block at `location`, as far as the annotations tell."""
    found: type[BaseModel] | None = model
    for part in location:
        if found is None:
            return None
        if isinstance(part, int) or part not in found.model_fields:
            continue  # an index, or a key of a mapping of blocks: the model is still the one that the field named
        found = _model_in(found.model_fields[part].annotation)
    return found


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if (found := _model_in(argument)) is not None:
            return found
    return None


def _from_folder(config: M, folder: Path) -> M:
    """Take relative paths from the config file's folder: a service manager starts workers in `/`."""
    moved: dict[str, object] = {}
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, Path):
            moved[name] = folder / value.expanduser()
        elif isinstance(value, BaseModel) and (inner := _from_folder(value, folder)) is not value:
            moved[name] = inner
    return config.model_copy(update=moved) if moved else config
