"""What tests of the archive share: records to put in, and ways to read back what came out."""
