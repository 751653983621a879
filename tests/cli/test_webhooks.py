"""`watchword webhooks`: made, shown, changed, tried again; and its secret told once."""

from __future__ import annotations

from tests.cli.terminal import Terminal
from watchword.bootstrap import Watchword
from watchword.core.session import as_text

URL = "http://127.0.0.1:9/in?key=1"


async def something_happens(watchword: Watchword) -> None:
    """An event, and a turn of a sender that finds nothing there."""
    await watchword.clients.disable("app")
    await watchword.webhook_sender.send_due()
    await watchword.webhook_sender.close()


def test_a_webhook_from_its_making_to_its_end(terminal: Terminal) -> None:
    terminal.run("webhooks", "list", code=2)
    terminal.add("alice")
    terminal.run("clients", "add", "app")
    assert "no webhooks" in terminal.run("webhooks", "list").stdout
    for words in (("add", URL), ("add", URL, "--allow-private", "--topic", "x")):
        assert "watchword: " in terminal.run("webhooks", *words, code=1).stderr
    topics = ("--topic", "session.*", "--topic", "client.updated")
    made = terminal.json("webhooks", "add", URL, *topics, "--allow-private")
    assert list(made) == ["id", "secret", "publicKey"]
    assert made["secret"].startswith("whsec_")
    one = made["id"]
    told = terminal.run("webhooks", "rotate-secret", one).stdout
    assert "whsec_" in told
    assert made["secret"] not in told
    terminal.engine(something_happens)
    (row,) = terminal.json("webhooks", "list")
    assert row.pop("createdAt") <= row.pop("failingSince")
    assert row.pop("oldestAt")
    assert row.pop("publicKey") in told
    assert row == {
        "id": one,
        "url": URL,
        "topics": ["client.updated", "session.*"],
        "state": "failing",
        "waiting": 1,
        "allowPrivate": True,
        "version": 1,
    }
    (delivery,) = terminal.json("webhooks", "deliveries", one, "--limit", "5")
    assert delivery["topic"] == "client.updated"
    assert delivery["state"] == "waiting"
    assert (delivery["status"], delivery["attempts"]) == (None, 1)
    assert delivery["answer"] == "nothing listens there"
    assert terminal.json("webhooks", "retry", one) == {"id": one, "due": 1}
    terminal.run("webhooks", "disable", one)
    assert terminal.json("webhooks", "show", one)["state"] == "disabled"
    terminal.run("webhooks", "enable", one)
    assert "state: enabled" in terminal.run("webhooks", "show", one).stdout
    terminal.run("webhooks", "remove", one)
    assert terminal.json("webhooks", "list") == []
    for words in (("show", one), ("remove", "x"), ("deliveries", as_text(bytes(16)))):
        refused = terminal.run("webhooks", *words, code=1)
        assert "There is no webhook of that id." in refused.stderr
    written = terminal.run("audit").stdout
    assert written.count("webhook_") == 7
    assert URL not in written
