"""The bundled log: segment files in Kafka's format, written by one task per partition, read by anybody."""
