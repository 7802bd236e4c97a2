"""The settings of a Confluent schema registry: what `log.schema_registry` of a config file may say."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, SecretStr, model_validator

from tailrace.codec.registry import Compatibility, SubjectStrategy

_SCHEMES = ("http://", "https://")


class SchemaRegistryConfig(BaseModel):
    """Where the registry is, how it is logged on to, and what may be registered there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str | list[str] = Field(
        description="address of the registry, `http(s)://host:port`, with the path where it has one (Apicurio: "
        "`/apis/ccompat/v7`); of several, the next one is asked when one is away"
    )
    username: str = Field("", description="user for basic authentication")
    password: SecretStr = Field(SecretStr(""), description="password for basic authentication")
    token: SecretStr = Field(SecretStr(""), description="bearer token, instead of user and password")
    ca: Path | None = Field(
        None, description="certificates (PEM) that the registry's must come from; not set: the system's"
    )
    certificate: Path | None = Field(None, description="client certificate (PEM), its key included unless `key` is set")
    key: Path | None = Field(None, description="key (PEM) of the client certificate")
    key_password: SecretStr = Field(SecretStr(""), description="password of the key")
    subject_strategy: SubjectStrategy = Field(
        "topic",
        description="name of a subject: `<topic>-key` and `<topic>-value`, `<record>`, or `<topic>-<record>`",
    )
    auto_register: bool = Field(
        default=True, description="register new schemas; `false`: a schema that is not there stops the task"
    )
    compatibility: Compatibility | None = Field(
        None, description="level given to subjects that Tailrace makes; not set: the registry's own level holds"
    )
    timeout: PositiveFloat = Field(10.0, description="seconds to wait for an answer")

    @property
    def urls(self) -> tuple[str, ...]:
        """All addresses, without a slash at the end."""
        listed = self.url.split(",") if isinstance(self.url, str) else self.url
        return tuple(url.strip().rstrip("/") for url in listed)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.urls or not all(url.startswith(_SCHEMES) for url in self.urls):
            raise ValueError("url must begin with http:// or https://")
        if any("@" in url for url in self.urls):
            raise ValueError("url must not hold a password: set username and password")
        if bool(self.username) != bool(self.password.get_secret_value()):
            raise ValueError("username and password go together")
        if self.username and self.token.get_secret_value():
            raise ValueError("set either username and password, or token")
        if self.key is not None and self.certificate is None:
            raise ValueError("key needs certificate")
        return self
