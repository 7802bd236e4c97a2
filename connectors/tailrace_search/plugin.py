"""The plug-ins `opensearch` and `elasticsearch`: what they need is looked for when a sink is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tailrace.errors import ConfigError
from tailrace_search.settings import ClusterConfig

if TYPE_CHECKING:
    from tailrace_search.opensearch import ClusterSink


class ClusterPlugin:
    """Makes sinks; a `SinkPlugin`."""

    Config = ClusterConfig

    def __call__(self, name: str, config: ClusterConfig) -> ClusterSink:
        """Return the sink; raises `ConfigError` where the extra is not installed."""
        try:
            from tailrace_search.opensearch import ClusterSink
        except ImportError as error:
            if error.name not in {"orjson", "urllib3"}:
                raise
            raise ConfigError(
                f"sink {name} needs {error.name}, which is not installed", hint="pip install 'tailrace[search]'"
            ) from error
        return ClusterSink(name, config)


CLUSTER = ClusterPlugin()
