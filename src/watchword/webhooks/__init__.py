"""Webhooks (Standard Webhooks): an endpoint of another program hears of events.

    verify       for receivers: is this delivery genuine?
    topics       which event has which name
    signing      signatures and secrets
    destination  where a delivery may go: public addresses over https
    registry     add, change, remove, list
    transport    what sends one delivery, and what came back
    posting      it does so by HTTP
    hand_over    from the audit log to deliveries
    sender       one delivery after the other, again if need be

A receiver needs `verify` alone, which loads nothing of the engine.
"""

from watchword.webhooks.verify import WebhookInvalid, verify

__all__ = ["WebhookInvalid", "verify"]
