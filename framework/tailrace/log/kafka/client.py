"""Clients of a Kafka cluster, made from one set of settings; says what a client last complained about.

Clients connect when they are first used. What they would print goes through `Complaints` instead.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from tailrace.errors import TailraceError
from tailrace.log.kafka.fault import code_of, told
from tailrace.log.kafka.settings import KafkaLogConfig, SecuritySettings

log = structlog.get_logger()

PATIENCE = 30.0
"""Seconds to wait for an answer before the cluster counts as away."""

COMMON: dict[str, Any] = {
    "client.id": "tailrace",
    # A broker that vanished without a word is noticed by the network, too.
    "socket.keepalive.enable": True,
    # Brokers come back within seconds: do not wait much longer than they take.
    "reconnect.backoff.max.ms": 2000,
    # A topic that appears by itself has the wrong settings.
    "allow.auto.create.topics": False,
    "topic.metadata.refresh.interval.ms": 60_000,
    # It would write to stderr in a form of its own; errors reach us by `error_cb`.
    "log_level": 0,
}

PRODUCER: dict[str, Any] = {
    # A batch that is sent again after a lost answer is stored once, and in its place.
    "enable.idempotence": True,
    # A record counts once every in-sync replica has it: with min.insync.replicas 2, no one broker can lose it.
    "acks": "all",
    # The most that idempotence keeps in order.
    "max.in.flight.requests.per.connection": 5,
    # Batches fill up while there is much to send; a commit sends at once what is there.
    "linger.ms": 20,
    # One request carries a batch of this size at most, the brokers' own default limit.
    "batch.size": 1_000_000,
    "batch.num.messages": 100_000,
    # What is too large is the topic's to say (max.message.bytes), after compression.
    "message.max.bytes": 1_000_000_000,
    # Memory of a task: what is on its way, at most. `write` waits for room.
    "queue.buffering.max.kbytes": 32 * 1024,
    "queue.buffering.max.messages": 200_000,
    # Longer than a broker takes to be missed and replaced; after it the task starts again from its last commit.
    "message.timeout.ms": 120_000,
    # Success is told by the commit; a report of each record would cost more than sending it.
    "delivery.report.only.error": True,
}

CONSUMER: dict[str, Any] = {
    # What a transaction has not committed does not exist.
    "isolation.level": "read_committed",
    # The position is ours: committed by the sink, or beside it.
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # Offsets that are gone are a fault to tell, not a place to jump from.
    "auto.offset.reset": "error",
    # Tells where a partition ends, past the markers of transactions.
    "enable.partition.eof": True,
    # Memory of a task: what was fetched ahead, at most.
    "queued.max.messages.kbytes": 16 * 1024,
    "fetch.message.max.bytes": 2 * 1024 * 1024,
    # A quiet partition answers at once when something comes; idle ones ask again twice a second.
    "fetch.wait.max.ms": 500,
    "fetch.error.backoff.ms": 100,
}

NOTHING: Mapping[str, Any] = {}

_COMPLAINT_COUNTS = 30.0
"""Seconds for which a complaint explains a time-out."""
_LOG_EVERY = 10.0


class Complaints:
    """What clients complained about in the background, which their calls only show as a time-out."""

    def __init__(self) -> None:
        self._clients: list[AdminClient] = []
        self._last: KafkaError | None = None
        self._at = self._logged_at = float("-inf")

    def __call__(self, error: KafkaError) -> None:
        """Take a complaint; called by the client from within its own calls."""
        now = time.monotonic()
        telling = error.code() not in {KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT}
        if telling or now - self._at >= _COMPLAINT_COUNTS:
            self._last, self._at = error, now
        if now - self._logged_at >= _LOG_EVERY:
            self._logged_at = now
            log.warning("kafka client", error=error.str(), code=error.name())

    def hear(self, client: AdminClient) -> None:
        """Ask a client for its complaints, which nobody else polls, before they are needed."""
        self._clients.append(client)

    def explain(self, error: KafkaException | KafkaError, operation: str, *, name: str = "") -> TailraceError:
        """Return what to raise: where a call timed out, for the reason that was heard meanwhile."""
        for client in self._clients:
            client.poll(0)  # that is when it complains
        vague = code_of(error).code() in {KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN}
        if vague and self._last is not None and time.monotonic() - self._at < _COMPLAINT_COUNTS:
            return told(self._last, operation, name=name)
        return told(error, operation, name=name)


class Clients:
    """Makes clients for one cluster; building one does no I/O."""

    def __init__(self, config: KafkaLogConfig) -> None:
        self.config = config
        self.complaints = Complaints()
        self._admin: AdminClient | None = None

    def producer(self, transactional_id: str | None, settings: Mapping[str, Any] = NOTHING) -> Producer:
        """Return a producer, idempotent, and with an id transactional."""
        own: dict[str, Any] = {"compression.type": self.config.compression}
        if transactional_id is not None:
            milliseconds = int(self.config.transaction_timeout * 1000)
            own |= {"transactional.id": transactional_id, "transaction.timeout.ms": milliseconds}
            own["message.timeout.ms"] = min(milliseconds, PRODUCER["message.timeout.ms"])
        return Producer({**self._common(), **PRODUCER, **own, **self.config.client, **settings})

    def consumer(self, group: str = "", settings: Mapping[str, Any] = NOTHING) -> Consumer:
        """Return a consumer of committed records; with a group, it can commit offsets for others to see."""
        own = {"group.id": group or self.config.of_group("reader")}
        return Consumer({**self._common(), **CONSUMER, **own, **self.config.client, **settings})

    @property
    def batch_bytes(self) -> int:
        """The most that a producer sends in one batch of several records, in octets."""
        return int(self.config.client.get("batch.size", PRODUCER["batch.size"]))

    @property
    def admin(self) -> AdminClient:
        """The admin client, made when it is first asked for."""
        if self._admin is None:
            self._admin = AdminClient({**self._common(), **self.config.client})
            self.complaints.hear(self._admin)
        return self._admin

    def _common(self) -> dict[str, Any]:
        return {
            **COMMON,
            **security_settings(self.config.security),
            "bootstrap.servers": self.config.servers,
            "error_cb": self.complaints,
        }


def security_settings(security: SecuritySettings) -> dict[str, Any]:
    """Return the client's settings for TLS and login."""
    settings: dict[str, Any] = {}
    mechanism = security.sasl
    settings["security.protocol"] = ("SASL_" if mechanism else "") + ("SSL" if security.encrypted else "PLAINTEXT")
    if security.encrypted:
        files = {"ssl.ca.location": security.ca, "ssl.certificate.location": security.certificate,
                 "ssl.key.location": security.key}  # fmt: skip
        settings |= {name: str(path) for name, path in files.items() if path is not None}
        if secret := security.key_password.get_secret_value():
            settings["ssl.key.password"] = secret
        settings["ssl.endpoint.identification.algorithm"] = "https" if security.verify_hostname else "none"
    if mechanism:
        settings["sasl.mechanism"] = mechanism
    if security.username:
        settings |= {"sasl.username": security.username, "sasl.password": security.password.get_secret_value()}
    if (oauth := security.oauth) is not None and mechanism == "OAUTHBEARER":
        settings |= {
            "sasl.oauthbearer.method": "oidc",
            "sasl.oauthbearer.token.endpoint.url": oauth.token_endpoint,
            "sasl.oauthbearer.client.id": oauth.client_id,
            "sasl.oauthbearer.client.secret": oauth.client_secret.get_secret_value(),
        }
        if oauth.scope:
            settings["sasl.oauthbearer.scope"] = oauth.scope
        if oauth.extensions:
            pairs = ",".join(f"{name}={value}" for name, value in oauth.extensions.items())
            settings["sasl.oauthbearer.extensions"] = pairs
    return settings
