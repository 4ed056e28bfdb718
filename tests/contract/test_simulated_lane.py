"""Simulated lanes in real time, driven over the same wires that nodes use: Modbus and ttys, or pins and ttys."""

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import serial
from pymodbus.client import AsyncModbusTcpClient

from einlass_core.events import ENTRY, EXIT
from einlass_sim.devices import io_board
from einlass_sim.devices.lane import PinEnds, SimulatedLane, esp32_lane, pi_lane, wiring
from einlass_sim.people import Behaviour
from einlass_sim.plant import BodyWentIn, BodyWentOut, GaveUp, TurnedBack

DEADLINE_S = 20.0
CODE = "E1:ABC"
PINS = {
    "bolt_entry": 25,
    "bolt_exit": 26,
    "barrier_a": 32,
    "barrier_b": 33,
    "lamp_green": 18,
    "lamp_red": 19,
    "lamp_yellow": 21,
    "buzzer": 22,
    "emergency": 27,
    "bolt_entry_sensed": 34,
}


async def until(true: Callable[[], bool]) -> None:
    end_s = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < end_s, "it never happened"
        await asyncio.sleep(0.005)


def on_a_pi_lane(
    directory: Path, talk: Callable[[SimulatedLane, AsyncModbusTcpClient], Awaitable[None]], **options: Any
) -> None:
    async def run() -> None:
        async with pi_lane("west", directory, rng=random.Random(5), **options) as lane:
            assert lane.board
            client = AsyncModbusTcpClient(lane.board.host, port=lane.board.port, timeout=DEADLINE_S)
            assert await client.connect()
            try:
                await talk(lane, client)
            finally:
                client.close()

    asyncio.run(asyncio.wait_for(run(), 40))


async def inputs(client: AsyncModbusTcpClient) -> list[bool]:
    answer = await client.read_discrete_inputs(0, count=4, device_id=1)
    return list(answer.bits[:4])


def test_a_scan_a_release_and_a_passage(tmp_path: Path) -> None:
    async def talk(lane: SimulatedLane, client: AsyncModbusTcpClient) -> None:
        with serial.Serial(str(tmp_path / "west-entry"), 9600, timeout=DEADLINE_S) as line:
            holding = asyncio.create_task(lane.hold(ENTRY, CODE))
            assert await asyncio.to_thread(line.read_until, b"\r") == CODE.encode() + b"\r"
            scan = await holding
        assert not await scan.released(0.01)
        await client.write_coils(0, [True, False, True, False, False, True], device_id=1)
        assert await scan.released(DEADLINE_S)
        assert scan.latency_ms is not None
        assert 0 <= scan.latency_ms < DEADLINE_S * 1000
        assert (lane.lamp, lane.view()["buzzer"]) == ("green", True)
        await until(lambda: bool(lane.view()["bolts"][ENTRY]))
        assert await inputs(client) == [False, False, False, True], "the bolt's contact"

        seen: list[tuple[bool, bool]] = []
        going = asyncio.create_task(lane.person_goes(ENTRY, person="anna"))
        while not going.done():
            levels = await inputs(client)
            if not seen or seen[-1] != (levels[0], levels[1]):
                seen.append((levels[0], levels[1]))
            await asyncio.sleep(0.002)
        fate = await going
        assert isinstance(fate, BodyWentIn)
        assert (fate.person, fate.forced) == ("anna", False)
        assert seen == [(False, False), (True, False), (True, True), (False, True), (False, False)]
        assert isinstance(await lane.person_goes(EXIT, person="anna"), BodyWentOut)
        json.dumps(lane.view())

    on_a_pi_lane(tmp_path, talk)


def test_a_locked_arm_and_an_impatient_person(tmp_path: Path) -> None:
    async def talk(lane: SimulatedLane, client: AsyncModbusTcpClient) -> None:
        assert isinstance(await lane.person_goes(ENTRY, patience_ms=50), GaveUp)
        fate = await lane.person_goes(ENTRY, Behaviour.FORCE)
        assert isinstance(fate, BodyWentIn)
        assert fate.forced
        await client.write_coil(0, True, device_id=1)
        assert isinstance(await lane.person_goes(ENTRY, Behaviour.STEP_BACK), TurnedBack)
        await client.write_coil(1, True, device_id=1)
        waiting = asyncio.create_task(lane.person_goes(EXIT, person="ben"))
        await until(lambda: lane.view()["queues"][EXIT] == ["ben"])
        with pytest.raises(ValueError, match="already"):
            await lane.person_goes(EXIT, person="ben")
        await client.write_coil(1, False, device_id=1)
        assert isinstance(await waiting, BodyWentOut)

    on_a_pi_lane(tmp_path, talk)


def test_without_power_the_way_out_is_free_and_the_way_in_is_shut(tmp_path: Path) -> None:
    async def talk(lane: SimulatedLane, client: AsyncModbusTcpClient) -> None:
        assert lane.board
        await client.write_coils(0, [True, True], device_id=1)
        await until(lambda: lane.view()["bolts"] == {ENTRY: True, EXIT: False})
        lane.board.power(False)
        await until(lambda: lane.view()["bolts"] == {ENTRY: False, EXIT: True})
        assert isinstance(await lane.person_goes(EXIT), BodyWentOut)
        lane.board.power(True)
        await until(lambda: bool(lane.view()["powered"]))
        assert lane.view()["bolts"] == {ENTRY: False, EXIT: True}, "nobody has told it to lock"

    on_a_pi_lane(tmp_path, talk)


def test_a_fallen_watchdog_frees_the_way_out_until_somebody_takes_charge_again(tmp_path: Path) -> None:
    async def talk(lane: SimulatedLane, client: AsyncModbusTcpClient) -> None:
        await client.write_register(io_board.WATCHDOG_REGISTER, 50, device_id=1)
        await client.write_coils(0, [True, True], device_id=1)
        await until(lambda: lane.view()["bolts"] == {ENTRY: False, EXIT: True})
        await client.write_register(io_board.WATCHDOG_REGISTER, 0, device_id=1)
        assert not lane.view()["powered"]
        await client.write_coils(0, [False, True], device_id=1)
        await until(lambda: lane.view()["bolts"] == {ENTRY: False, EXIT: False})

    on_a_pi_lane(tmp_path, talk)


def test_emergency_lamps_and_faults(tmp_path: Path) -> None:
    async def talk(lane: SimulatedLane, client: AsyncModbusTcpClient) -> None:
        lane.press_emergency(True)
        assert await inputs(client) == [False, False, True, False]
        lane.press_emergency(False)
        assert await inputs(client) == [False, False, False, False]
        lit = asyncio.create_task(lane.wait_lamp(True, DEADLINE_S))
        await client.write_coil(3, True, device_id=1)
        assert await lit == "red"
        dark = asyncio.create_task(lane.wait_lamp(False, DEADLINE_S))
        await client.write_coil(3, False, device_id=1)
        assert await dark is None
        assert await lane.wait_lamp(True, 0.01) is None
        lane.stick_barrier("b", True)
        assert await inputs(client) == [False, True, False, False]
        lane.jam_bolt(ENTRY, True)
        await client.write_coil(0, True, device_id=1)
        assert isinstance(await lane.person_goes(ENTRY, patience_ms=100), GaveUp)

    on_a_pi_lane(tmp_path, talk)


class PinBoard:
    """A board's end of the pin socket, as far as wires go."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.levels: dict[int, int] = {}
        self.history: list[tuple[int, int]] = []

    def drive(self, name: str, level: int) -> None:
        self.writer.write(json.dumps({"t": "pin", "id": PINS[name], "v": level}).encode() + b"\n")

    async def listen(self) -> None:
        while line := await self.reader.readline():
            message = json.loads(line)
            if message["t"] == "pin":
                self.levels[message["id"]] = message["v"]
                self.history.append((message["id"], message["v"]))


def test_an_esp32_lane_by_its_pins(tmp_path: Path) -> None:
    async def run() -> None:
        async with esp32_lane("east", PINS, tmp_path, active_low={"bolt_exit", "barrier_b"}) as lane:
            await until(lambda: lane.view()["bolts"] == {ENTRY: False, EXIT: True})
            board = PinBoard(*await asyncio.open_unix_connection(lane.address))
            ears = asyncio.create_task(board.listen())
            await until(lambda: len(board.levels) == 4)
            assert board.levels == {32: 0, 33: 1, 27: 0, 34: 0}
            assert lane.view()["bolts"][EXIT], "a pin that nobody drives is low, which frees this exit"
            board.drive("bolt_exit", 1)
            await until(lambda: not lane.view()["bolts"][EXIT])
            with serial.Serial(str(tmp_path / "east-entry"), 9600, timeout=DEADLINE_S) as line:
                scan = await lane.hold(ENTRY, CODE)
                assert await asyncio.to_thread(line.read_until, b"\r") == CODE.encode() + b"\r"
            board.drive("bolt_entry", 1)
            board.drive("lamp_green", 1)
            assert await scan.released(DEADLINE_S)
            assert isinstance(await lane.person_goes(ENTRY), BodyWentIn)
            await until(lambda: len(board.history) >= 9)
            assert board.history[-5:] == [(34, 1), (32, 1), (33, 0), (32, 0), (33, 1)]
            lane.press_emergency(True)
            await until(lambda: board.levels[27] == 1)
            board.writer.close()
            await until(lambda: lane.view()["bolts"] == {ENTRY: False, EXIT: True})
            assert lane.lamp is None
            await asyncio.wait_for(ears, DEADLINE_S)

    asyncio.run(asyncio.wait_for(run(), 40))


def test_the_shipped_board_profile_has_every_pin_a_lane_needs() -> None:
    profile = Path("hardware/einlass_hardware/profiles/esp32-turnstile.json")
    numbers, active_low = wiring(json.loads((Path(__file__).parents[2] / profile).read_text()))
    PinEnds(numbers, active_low)
    with pytest.raises(ValueError, match="bolt_exit"):
        PinEnds({name: pin for name, pin in numbers.items() if name != "bolt_exit"})
