"""The config file: reading, placeholders, validation, and keeping secrets out of sight."""
