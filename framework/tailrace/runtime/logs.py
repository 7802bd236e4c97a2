"""Structured logs to stderr, for people or as JSON lines; whatever looks like a secret is masked on its way out."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Literal, TypeAlias

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from tailrace.config.masking import Masker
from tailrace.errors import ConfigError

LogFormat: TypeAlias = Literal["console", "json"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]


class LogSettings(BaseModel):
    """How to log."""

    model_config = ConfigDict(frozen=True)

    format: LogFormat = "console"
    level: LogLevel = "info"


def log_settings(fmt: str, level: str) -> LogSettings:
    """Return the settings that a user asked for; raises `ConfigError` for words that mean nothing."""
    try:
        return LogSettings.model_validate({"format": fmt, "level": level})
    except ValidationError:
        raise ConfigError(
            f'unknown log format "{fmt}" or level "{level}"',
            hint="formats: console, json; levels: debug, info, warning, error",
        ) from None


def configure_logs(settings: LogSettings, secrets: Iterable[str] = ()) -> None:
    """Send structlog's events to stderr."""
    masker = Masker(secrets)

    def mask(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {key: masker.tree(value, key) for key, value in event.items()}

    rendering: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, mask, structlog.processors.JSONRenderer(ensure_ascii=False)]
        if settings.format == "json"
        else [
            structlog.processors.format_exc_info,
            mask,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), sort_keys=False),
        ]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *rendering,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(settings.level),
        # The stream is looked up at each event: whoever replaces sys.stderr gets what follows.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
