"""What an error of Kafka means for a task; the one place where that is decided.

The default is to stop: only what passes by itself is tried again. Sources: Kafka's `Errors`, librdkafka's
INTRODUCTION.md, chapter "Transactional Producer", and KIP-360 and KIP-447 for fencing.
"""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException

from tailrace.errors import BadRecord, Fatal, Retriable, TailraceError

_AWAY = {
    KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._MSG_TIMED_OUT,
    KafkaError._RESOLVE, KafkaError._WAIT_COORD, KafkaError._IN_PROGRESS, KafkaError._TIMED_OUT_QUEUE,
    KafkaError.BROKER_NOT_AVAILABLE, KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.LEADER_NOT_AVAILABLE, KafkaError.NETWORK_EXCEPTION, KafkaError.NOT_COORDINATOR,
    KafkaError.NOT_ENOUGH_REPLICAS, KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND, KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.REQUEST_TIMED_OUT, KafkaError.NOT_CONTROLLER, KafkaError.CONCURRENT_TRANSACTIONS,
    KafkaError.KAFKA_STORAGE_ERROR, KafkaError.OFFSET_NOT_AVAILABLE, KafkaError.UNSTABLE_OFFSET_COMMIT,
    KafkaError.THROTTLING_QUOTA_EXCEEDED, KafkaError.REPLICA_NOT_AVAILABLE, KafkaError._DESTROY,
    KafkaError.FENCED_LEADER_EPOCH, KafkaError.UNKNOWN_LEADER_EPOCH,  # a leader has just changed
    KafkaError._NOENT,  # no partition that was asked for has a leader
    KafkaError._DESTROY_BROKER,  # the broker left the cluster before it answered
}  # fmt: skip
"""The other side is away or busy: waiting without limit is right."""

_FENCED = {
    KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.FENCED_INSTANCE_ID,
    KafkaError.INVALID_PRODUCER_ID_MAPPING,
    KafkaError._FATAL,  # said again of a producer that was fenced before
}  # fmt: skip

_LOGIN = "set security.mechanism, username and password as the brokers' listener wants them"

_ACL = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "READ, WRITE and DESCRIBE on topic {name}, CREATE where it is missing",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "READ on group {name}",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "WRITE and DESCRIBE on transactional id {name}",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "IDEMPOTENT_WRITE on the cluster, CREATE where topics are missing",
}
"""What to allow; `name` is that of the topic, group or transactional id."""

_MENDS = {
    KafkaError.SASL_AUTHENTICATION_FAILED: _LOGIN,
    KafkaError._AUTHENTICATION: _LOGIN,
    KafkaError.UNSUPPORTED_SASL_MECHANISM: _LOGIN,
    KafkaError._SSL: "set security.tls, ca, certificate and key as the brokers' listener wants them",
    KafkaError.INVALID_TRANSACTION_TIMEOUT: "lower transaction_timeout, or raise the brokers' "
    "transaction.max.timeout.ms",
    KafkaError.INVALID_REPLICATION_FACTOR: "set replication_factor to no more than there are brokers",
}
"""What only an operator can mend, and how."""

_TOO_LARGE_MEND = "raise the topic's max.message.bytes, or set errors: skip or errors: dead_letter on the connector"
_TOO_LARGE = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE}


class Fenced(Retriable):
    """The broker took the right to write from this producer: another has its place, or its transaction was too old."""


def code_of(error: KafkaException | KafkaError) -> KafkaError:
    """Return Kafka's error inside of a client's exception."""
    inner = error.args[0] if isinstance(error, KafkaException) else error
    return inner if isinstance(inner, KafkaError) else KafkaError(KafkaError._FAIL, str(inner))


def told(error: KafkaException | KafkaError, operation: str, *, name: str = "") -> TailraceError:
    """Return what to raise for an error met in `operation`; `name` is what it was done to, for the hint."""
    kafka = code_of(error)
    code, message = kafka.code(), f"{operation}: {kafka.str()} ({kafka.name()})"
    if code in _ACL:
        allowed = _ACL[code].format(name=name or "(named in the error)")
        return Fatal(message, hint=f"allow it: kafka-acls --add --allow-principal User:… with {allowed}")
    if code in _MENDS:
        return Fatal(message, hint=_MENDS[code])
    if code in _TOO_LARGE:
        return BadRecord(message, hint=_TOO_LARGE_MEND)
    if code in _FENCED:
        return Fenced(message)
    away = code in _AWAY or kafka.retriable()
    # The producer itself cannot go on, or its transaction cannot: a new one can.
    broken = kafka.fatal() or kafka.txn_requires_abort() or code == KafkaError.UNKNOWN_TOPIC_OR_PART
    return Retriable(message, patient=away) if away or broken else Fatal(message)
