"""Which errors of Kafka pass by themselves, and which only an operator can mend."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from tailrace.errors import BadRecord, Fatal, Retriable
from tailrace.log.kafka.fault import Fenced, told


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.FENCED_LEADER_EPOCH, KafkaError.UNKNOWN_LEADER_EPOCH, KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError._ALL_BROKERS_DOWN, KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError._NOENT, KafkaError._DESTROY_BROKER,
    ],
)  # fmt: skip
def test_brokers_that_are_away_or_change_places_are_waited_for(code: int) -> None:
    raised = told(KafkaError(code), "write to kafka")
    assert isinstance(raised, Retriable)
    assert raised.patient


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError._FENCED, Fenced),
        (KafkaError._FATAL, Fenced),
        (KafkaError.MSG_SIZE_TOO_LARGE, BadRecord),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, Fatal),
        (KafkaError.INVALID_TRANSACTION_TIMEOUT, Fatal),
        (KafkaError.INVALID_CONFIG, Fatal),
    ],
)
def test_others_are_not(code: int, kind: type[Exception]) -> None:
    raised = told(KafkaError(code), "write to kafka", name="orders")
    assert isinstance(raised, kind)
    assert not getattr(raised, "patient", False)
