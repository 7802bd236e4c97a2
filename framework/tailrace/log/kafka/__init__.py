"""Kafka as the log: records and position in one Kafka transaction, read back committed only."""
