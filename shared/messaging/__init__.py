"""Envelope and codecs, the outbox and its relay, the dispatcher with inbox and parking."""
