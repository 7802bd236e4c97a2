"""The crash harness: a real worker on a real Postgres, killed and cut off at random, judged against the database."""
