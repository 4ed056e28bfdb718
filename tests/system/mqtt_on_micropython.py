"""Drives the MQTT client by JSON lines: commands on standard input, events on standard output.

Run by test_mqtt_micropython.py under the MicroPython unix port; the client's arguments are in CLIENT_ARGUMENTS.
Commands: ["publish", topic, payload, qos, retain], ["subscribe", topic, qos], ["echo", topic], ["fail", true],
["stats"], ["close"].
"""

import asyncio
import gc
import io
import json
import os
import sys

from einlass_node.mqtt import Client

LOOK_MS = 50
ANSWER_LOOKS = 100


class Input(io.IOBase):
    """Standard input that asyncio can wait for."""

    def ioctl(self, request, argument):
        return 0 if request == 10 else -1

    def readline(self):
        return sys.stdin.buffer.readline()


def random01():
    return int.from_bytes(os.urandom(2), "big") / 65536


class Driver:
    def __init__(self, arguments):
        self.fail = False
        self.echo = None
        if "will" in arguments:
            arguments["will"] = tuple(arguments["will"])
        if "backoff_ms" in arguments:
            arguments["backoff_ms"] = tuple(arguments["backoff_ms"])
        ca_file = arguments.pop("ca_file", None)
        if ca_file is not None:
            from einlass_node.tls import context

            arguments["ssl"] = context(ca_file)
            arguments["server_hostname"] = arguments["host"]
        self.client = Client(on_message=self.on_message, on_link=self.on_link, random01=random01, **arguments)

    def tell(self, *event):
        print(json.dumps(event))

    def on_message(self, topic, payload):
        if self.fail:
            raise ValueError("planted fault")
        if self.echo is not None:
            self.client.publish(self.echo, payload)
            return
        self.tell("message", topic, len(payload), payload[:64].decode())

    def on_link(self, up, session_present):
        self.tell("link", up, session_present)

    async def commands(self):
        stdin = asyncio.StreamReader(Input())
        while True:
            line = await stdin.readline()
            if not line:
                return
            name, *values = json.loads(line)
            if name == "publish":
                self.tell("taken", self.client.publish(*values))
            elif name == "subscribe":
                wanted = self.client.subscribe(*values)
                for _ in range(ANSWER_LOOKS):
                    if not self.client.up or wanted.granted is not None:
                        break
                    await asyncio.sleep_ms(LOOK_MS)
                self.tell("subscribed", bool(wanted.granted))
            elif name == "echo":
                self.echo = values[0]
            elif name == "fail":
                self.fail = values[0]
            elif name == "stats":
                gc.collect()
                self.stats()
            elif name == "close":
                self.client.close()

    def stats(self):
        client = self.client
        self.tell(
            "stats",
            {
                "up": client.up,
                "pending": client.pending,
                "links": client.links,
                "resent": client.resent,
                "oversize": client.oversize,
                "callback_errors": client.callback_errors,
                "last_error": str(client.last_error),
                "heap_bytes": gc.mem_alloc(),
            },
        )

    async def run(self):
        commands = asyncio.create_task(self.commands())
        await self.client.run()
        self.tell("returned")
        commands.cancel()


asyncio.run(Driver(json.loads(os.getenv("CLIENT_ARGUMENTS"))).run())
