"""From changes to bytes and back: Avro and JSON, and the registry of the schemas."""
