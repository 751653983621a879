"""Watchword."""
