"""Serve models over HTTP: protocols, batching across requests, and the registry's champion."""
