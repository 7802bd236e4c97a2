"""Settings of a sink into OpenSearch or Elasticsearch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from tailrace_search.access import AccessConfig
from tailrace_search.document import JsonChoice, PointChoice
from tailrace_search.effect import WithoutKey
from tailrace_search.mapping import Choices, DecimalChoice, StringChoice


class ClusterConfig(AccessConfig):
    """Settings of a sink into OpenSearch or Elasticsearch."""

    index_prefix: str = Field(
        "", pattern=r"^[a-z0-9][a-z0-9._-]*$|^$", description="goes before each topic's name, which is its alias"
    )
    index_settings: dict[str, JsonValue] = Field(
        {}, description="settings of new indexes: `{number_of_replicas: 1, refresh_interval: 5s}`"
    )
    fields: dict[str, dict[str, JsonValue]] = Field(
        {}, description="mappings of single fields: `{shop.public.orders.note: {type: text, analyzer: english}}`"
    )
    strings_as: StringChoice = Field("both", description="text: text, keyword, or both, as `note` and `note.keyword`")
    decimals_as: DecimalChoice = Field(
        "both",
        description="decimals: keyword, double, or both, as `price` and `price.number`; documents hold them exactly",
    )
    json_as: JsonChoice = Field(
        "flat", description="JSON: one flattened field, an object whose members are mapped as they come, or text"
    )
    points_as: PointChoice = Field("object", description="Postgres' points: x and y, or longitude and latitude")
    without_key: WithoutKey = Field(
        "refuse", description="tables without a key: `append` makes a document of every change"
    )
    truncate: Literal["delete", "ignore", "refuse"] = Field(
        "delete", description="what a TRUNCATE of the table does to its documents"
    )
    bulk_documents: int = Field(2_000, gt=0, description="most documents of one request")
    bulk_bytes: int = Field(4 * 1024 * 1024, gt=0, description="about how many bytes one request may have")
    requests: int = Field(2, gt=0, le=16, description="bulk requests on their way at the same time")

    def choices(self, flat: str) -> Choices:
        """Return what mappings depend on; `flat` is the cluster's name for a flattened field."""
        return Choices(flat, self.strings_as, self.decimals_as, self.json_as, self.points_as)
