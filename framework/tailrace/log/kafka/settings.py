"""The settings of Kafka as the log: what the `log:` block of a config file may say."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, Self, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    model_validator,
)

from tailrace.codec.registry_settings import SchemaRegistryConfig

Cleanup: TypeAlias = Literal["delete", "compact", "compact,delete"]
Mechanism: TypeAlias = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]

INTERNAL = "__tailrace-"
"""How the names of topics begin that sources keep for themselves."""

RESERVED = frozenset({
    "acks", "bootstrap.servers", "enable.auto.commit", "enable.auto.offset.store", "enable.gapless.guarantee",
    "enable.idempotence", "enable.partition.eof", "group.id", "isolation.level", "max.in.flight",
    "max.in.flight.requests.per.connection", "metadata.broker.list", "partitioner", "transactional.id",
    "transaction.timeout.ms",
})  # fmt: skip
"""Settings of librdkafka that the guarantees rest on, or that have a name of ours."""

_MILLISECONDS = 3_600_000


class OAuthSettings(BaseModel):
    """Where tokens for OAUTHBEARER come from (OpenID Connect, client credentials: KIP-768)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    token_endpoint: str = Field(description="URL that gives tokens, from the provider's OpenID configuration")
    client_id: str = Field(description="who asks for a token")
    client_secret: SecretStr = Field(description="its secret")
    scope: str = Field("", description="what the token is asked for; the provider's default if not set")
    extensions: dict[str, str] = Field({}, description="SASL extensions that the broker wants with the token")


class SecuritySettings(BaseModel):
    """How connections are secured, and who logs in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tls: bool | None = Field(default=None, description="whether to encrypt; if not set, where ca or certificate is")
    ca: Path | None = Field(None, description="certificates (PEM) that the brokers' come from; the system's if not set")
    certificate: Path | None = Field(None, description="our certificate (PEM), where brokers ask for one")
    key: Path | None = Field(None, description="its key (PEM)")
    key_password: SecretStr = Field(SecretStr(""), description="password of the key")
    verify_hostname: bool = Field(default=True, description="whether a broker's certificate must name its host")
    mechanism: Mechanism | None = Field(None, description="SASL mechanism; SCRAM-SHA-512 where a `username` is set")
    username: str = Field("", description="user for PLAIN and SCRAM")
    password: SecretStr = Field(SecretStr(""), description="its password")
    oauth: OAuthSettings | None = Field(None, description="where tokens come from, for OAUTHBEARER")

    @property
    def encrypted(self) -> bool:
        """Whether connections use TLS."""
        return bool(self.ca or self.certificate) if self.tls is None else self.tls

    @property
    def sasl(self) -> Mechanism | None:
        """The mechanism to log in by; None: nobody logs in."""
        return self.mechanism or ("SCRAM-SHA-512" if self.username else "OAUTHBEARER" if self.oauth else None)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if bool(self.certificate) != bool(self.key):
            raise ValueError("certificate and key go together")
        if self.sasl == "OAUTHBEARER" and self.oauth is None:
            raise ValueError("mechanism OAUTHBEARER needs oauth")
        if self.sasl in {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} and not self.username:
            raise ValueError(f"mechanism {self.sasl} needs username and password")
        return self


class KafkaTopicSettings(BaseModel):
    """What can be set for the topics that Tailrace creates; topics that are there already stay as they are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    partitions: PositiveInt = Field(1, description="partitions of a new topic")
    replication_factor: PositiveInt | None = Field(
        None, description="copies of a new topic; not set: the brokers' default.replication.factor"
    )
    cleanup: Cleanup = Field("delete", description="delete old segments, keep the last record of each key, or both")
    retention_hours: PositiveFloat | None = Field(
        None, description="age at which segments are deleted; not set: never, whatever the brokers' default is"
    )
    retention_bytes: PositiveInt | None = Field(
        None, description="size of a partition at which its oldest segments are deleted; not set: never"
    )
    config: dict[str, str] = Field(
        {}, description="other settings of a new topic, by Kafka's names, such as min.insync.replicas"
    )

    def topic_config(self) -> dict[str, str]:
        """Return the settings as Kafka has them."""
        hours, size = self.retention_hours, self.retention_bytes
        return {
            "cleanup.policy": self.cleanup,
            "retention.ms": "-1" if hours is None else str(int(hours * _MILLISECONDS)),
            "retention.bytes": "-1" if size is None else str(size),
            **self.config,
        }


class KafkaTopicOverrides(BaseModel):
    """Settings of the topics that match a glob; what is not set is as for the whole log."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    partitions: PositiveInt | None = None
    replication_factor: PositiveInt | None = None
    cleanup: Cleanup | None = None
    retention_hours: PositiveFloat | None = None
    retention_bytes: PositiveInt | None = None
    config: dict[str, str] | None = None


class KafkaLogConfig(KafkaTopicSettings):
    """The `log:` block with `type: kafka`."""

    type: Literal["kafka"] = "kafka"
    bootstrap_servers: str | list[str] = Field(description="brokers to begin with, host:port, separated by commas")
    group: str = Field(
        "tailrace",
        pattern=r"^[A-Za-z0-9._-]{1,100}$",
        description="begins the transactional ids of tasks and the consumer groups of sinks, `<group>-<task>`; all "
        "workers of one installation have the same, others another",
    )
    security: SecuritySettings = Field(SecuritySettings(), description="TLS, and how to log in")
    exactly_once: bool = Field(
        default=True,
        description="write records and position in one transaction; `false`: what a crash leaves without its position "
        "is written again",
    )
    transaction_timeout: PositiveFloat = Field(
        900.0,
        description="seconds that a transaction may stay open, at most the brokers' transaction.max.timeout.ms; one "
        "that a dead worker left, and nobody takes over, holds up readers for so long",
    )
    commit_rest: NonNegativeFloat = Field(
        0.01,
        description="seconds between two transactions of a task that keeps up with its source: what comes meanwhile "
        "goes with the next one, since each costs the brokers as much as thousands of rows",
    )
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field("lz4", description="of record batches")
    create_topics: bool = Field(
        default=True, description="create topics that are missing; `false`: a missing topic stops the task"
    )
    offsets_topic: str = Field("tailrace-offsets", description="topic of the sources' positions, compacted")
    offsets_partitions: PositiveInt = Field(25, description="its partitions, when it is created")
    schema_registry: SchemaRegistryConfig | None = Field(
        None, description="a registry with Confluent's API; not set: the bundled one, in `schemas_topic`"
    )
    schemas_topic: str = Field("tailrace-schemas", description="topic of the bundled registry, compacted")
    registry_path: Path | None = Field(
        None, description="folder for the bundled registry, instead of a topic; for workers of one machine only"
    )
    topics: dict[str, KafkaTopicOverrides] = Field(
        {}, description="settings for topics by glob; the first that matches"
    )
    client: dict[str, str] = Field(
        {}, description="other settings of the client, by librdkafka's names, such as linger.ms or client.rack"
    )

    @property
    def servers(self) -> str:
        """The brokers to begin with, separated by commas."""
        listed = self.bootstrap_servers
        return listed if isinstance(listed, str) else ",".join(listed)

    def of_group(self, name: str) -> str:
        """Return the transactional id, or consumer group, of a task."""
        return f"{self.group}-{name}"

    def for_topic(self, topic: str) -> KafkaTopicSettings:
        """Return the settings of `topic`."""
        own = {name: getattr(self, name) for name in KafkaTopicSettings.model_fields}
        if topic.startswith(INTERNAL):
            kept_whole = {"partitions": 1, "cleanup": "delete", "retention_hours": None, "retention_bytes": None}
            return KafkaTopicSettings(**(own | kept_whole))
        for glob, overrides in self.topics.items():
            if fnmatchcase(topic, glob):
                return KafkaTopicSettings(**_merged(own, overrides.model_dump(exclude_none=True)))
        return KafkaTopicSettings(**own)

    @model_validator(mode="after")
    def _leaves_guarantees_alone(self) -> Self:
        if taken := RESERVED & set(self.client):
            raise ValueError(f"client: {', '.join(sorted(taken))} cannot be set here: guarantees rest on it")
        return self


def _merged(own: Mapping[str, object], overrides: Mapping[str, object]) -> dict[str, object]:
    merged = {**own, **overrides}
    if isinstance(own["config"], dict) and isinstance(overrides.get("config"), dict):
        merged["config"] = {**own["config"], **overrides["config"]}  # type: ignore[dict-item]  # checked above
    return merged
