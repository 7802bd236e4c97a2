"""Settings of how to reach a cluster: hosts, credentials, certificates."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Self

from pydantic import ConfigDict, Field, PositiveFloat, SecretStr, field_validator, model_validator

from tailrace.sink import SinkConfig


class AccessConfig(SinkConfig):
    """What opens a connection to OpenSearch or Elasticsearch."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    urls: list[str] = Field(min_length=1, description="hosts of the cluster: https://search-1:9200; the next is tried")
    username: str = Field("", description="for basic authentication")
    password: SecretStr | None = Field(None, description="for basic authentication")
    api_key: SecretStr | None = Field(None, description="Elasticsearch's API key, encoded, in place of a user")
    ca: Path | None = Field(None, description="PEM file of the authority that signed the cluster's certificate")
    timeout: PositiveFloat = Field(60.0, description="seconds to wait for an answer")

    @field_validator("urls")
    @classmethod
    def _of_a_known_kind(cls, urls: list[str]) -> list[str]:
        for url in urls:
            if not url.startswith(("http://", "https://")):
                raise ValueError("must start with http:// or https://")
            if "@" in url:
                raise ValueError("must not hold a password: there is username and password for it")
        return urls

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if self.username and self.api_key:
            raise ValueError("give a username or an api_key, not both")
        return self

    def authorization(self) -> str:
        """Return the value of the `Authorization` header; empty where there is none."""
        if self.api_key:
            return f"ApiKey {self.api_key.get_secret_value()}"
        if not self.username:
            return ""
        password = self.password.get_secret_value() if self.password else ""
        pair = f"{self.username}:{password}"
        return f"Basic {b64encode(pair.encode()).decode('ascii')}"
