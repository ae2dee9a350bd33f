"""What the tests and the quickstart share: an API client, a bootstrap policy, a lane's records."""
