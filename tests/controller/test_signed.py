import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from einlass_controller.signing import Signer, check, public_of
from einlass_core import codes, signed
from einlass_core.codes import ALPHABET
from einlass_core.signed import Claim, PublicKey, SignedError

GOLDEN = json.loads(Path(__file__).with_name("golden_codes.json").read_text())
NOW_MS = 1_790_000_000_000
CLAIM = Claim(1, "0123456789AB", "single", "bath", 2, NOW_MS, NOW_MS + 3_600_000)


def sign(claim: Claim, seed: bytes = b"\x01" * 32) -> str:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    message = signed.message_of(claim)
    return signed.code_of(message, Ed25519PrivateKey.from_private_bytes(seed).sign(message))


def ring(seed: bytes = b"\x01" * 32, **changes: Any) -> dict[int, PublicKey]:
    return {1: PublicKey(1, public_of(seed), **changes)}


@pytest.mark.parametrize("vector", GOLDEN)
def test_golden_vectors(vector: dict[str, Any]) -> None:
    """Codes that are on paper somewhere: what made them may change, they may not."""
    claim = Claim(**vector["claim"])
    seed = bytes.fromhex(vector["seed"])
    assert sign(claim, seed) == vector["code"]
    read = signed.parse(vector["code"])
    keys = {claim.key: PublicKey(claim.key, bytes.fromhex(vector["public"]))}
    assert signed.verify(read, keys, NOW_MS, check) == claim


names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", max_size=19)
instants = st.one_of(st.none(), st.integers(1, signed.INSTANT_S_MAX).map(lambda s: s * 1000))
claims = st.builds(
    Claim,
    key=st.integers(1, signed.KEY_ID_MAX),
    ticket=st.text(ALPHABET, min_size=12, max_size=12),
    product=names.filter(bool),
    zone=names.map(lambda name: name[:18]),
    persons=st.integers(1, 50),
    valid_from_ms=instants,
    valid_until_ms=instants,
)


@settings(max_examples=200, deadline=None)
@given(claim=claims)
def test_every_claim_comes_back_and_fits_into_a_code(claim: Claim) -> None:
    code = sign(claim)
    assert len(code) <= codes.CODE_LENGTH_MAX
    assert re.fullmatch(r"E2:[0-9A-HJKMNP-TV-Z]+", code)
    assert codes.read(code.lower().encode()) == code
    assert signed.parse(code).claim == claim


@settings(max_examples=200, deadline=None)
@given(place=st.integers(3, 10_000), character=st.sampled_from(ALPHABET))
def test_one_changed_character_is_no_ticket(place: int, character: str) -> None:
    code = sign(CLAIM)
    place = 3 + place % (len(code) - 3)
    forged = code[:place] + character + code[place + 1 :]
    if forged == code:
        return
    with pytest.raises(SignedError):
        signed.verify(signed.parse(forged), ring(), NOW_MS, check)


@settings(max_examples=300, deadline=None)
@given(text=st.text(st.characters(max_codepoint=127), max_size=210))
def test_garbage_is_malformed_and_nothing_else(text: str) -> None:
    with pytest.raises(SignedError):
        signed.parse("E2:" + text)


def test_a_content_has_one_spelling() -> None:
    code = sign(CLAIM)
    assert len(code[3:]) * 5 % 8 == 2, "two spare bits in the last character"
    spellings = [code[:-1] + ALPHABET[ALPHABET.index(code[-1]) | spare] for spare in range(1, 4)]
    for other in (*spellings, code + "0", code + "00", "E2:0" + code[3:]):
        with pytest.raises(SignedError):
            signed.verify(signed.parse(other), ring(), NOW_MS, check)


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({}, "unknown_key"),
        (ring(seed=b"\x02" * 32), "signature"),
        (ring(revoked_ms=NOW_MS - 1), "key_revoked"),
        (ring(verify_until_ms=NOW_MS - 1), "key_past"),
    ],
)
def test_who_vouches_is_asked_of_the_ring(keys: dict[int, PublicKey], reason: str) -> None:
    with pytest.raises(SignedError, match=reason):
        signed.verify(signed.parse(sign(CLAIM)), keys, NOW_MS, check)
    assert signed.verify(signed.parse(sign(CLAIM)), ring(verify_until_ms=NOW_MS), NOW_MS, check) == CLAIM


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"product": "x" * 20, "zone": "y" * 20}, "together"),
        ({"product": "Schüler"}, "ASCII"),
        ({"persons": 0}, "persons"),
        ({"persons": 51}, "persons"),
        ({"key": 0}, "key id"),
        ({"ticket": "I"}, "an id is"),
        ({"valid_from_ms": 1}, "whole second"),
    ],
)
def test_what_no_code_can_carry_is_explained(change: dict[str, Any], hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        signed.message_of(Claim(**{name: getattr(CLAIM, name) for name in CLAIM.__slots__} | change))


def test_a_window_is_never_narrowed() -> None:
    assert signed.whole_seconds(1_999, 1_001) == (1_000, 2_000)
    assert signed.whole_seconds(None, None) == (None, None)


def test_private_keys_are_in_a_file_of_their_owner(tmp_path: Any) -> None:
    signer = Signer(tmp_path)
    first, second = signer.make(), signer.make()
    assert signer.has(first)
    assert (tmp_path / "signing-keys.json").stat().st_mode & 0o077 == 0
    assert check(second, Signer(tmp_path).sign(second, b"text"), b"text")
    assert not check(first, signer.sign(second, b"text"), b"text")
    assert not Signer(None).can_keep


def test_more_keys_than_are_remembered_and_bytes_that_are_no_key() -> None:
    message = signed.message_of(CLAIM)
    seeds = [number.to_bytes(32, "big") for number in range(1, signed.KEYS_REMEMBERED + 3)]
    shown = [signed.parse(sign(CLAIM, seed)).signature for seed in seeds]
    for _ in range(2):
        for seed, signature in zip(seeds, shown, strict=True):
            assert check(public_of(seed), signature, message)
            assert not check(public_of(seeds[0]), signature, message) or seed == seeds[0]
    assert not check(b"", shown[0], message)
    assert not check(b"\xff" * signed.PUBLIC_KEY_BYTES, shown[0], message)
    assert not check(public_of(seeds[0]), b"", message)
