"""`tailrace demo`: an embedded Postgres, a shop that trades, a worker, and a view of it all."""
