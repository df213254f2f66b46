"""Many sites with a certificate each, and clients that go on while the service changes."""
