"""Writes the seeds of the corpus: a trust file and its document, and the signature file of the format's vector.

The signatures are those of nobody; what a reader does before it checks them is what is fuzzed. Run as `python seeds.py`;
needs only Python's own modules.
"""

import base64
import hashlib
import json
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
# The P-256 key of RFC 6979 A.2.5 as SPKI.
SPKI = bytes.fromhex(
    "3059301306072a8648ce3d020106082a8648ce3d03010703420004"
    "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
    "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"
)
# The signature of the format's vector.
SIGNATURE = "MEQCIBN2okmrupWm49GIzIR1J0YbqKFbG/YmBfDwn/zNo89/AiA2xY91S+BRhrt9quCwvUXYBE4PmGuy0lVKgiH5JWcuRg=="
DIGEST = "eeec6fa1c6eeb84d58902cb820fa1ea5f8996c5617da2aa2af49c13944872a7b"


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def write(name, content):
    path = CORPUS / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def trust_document():
    key_id = hashlib.sha256(SPKI).hexdigest()
    key = {"alg": "ecdsa-p256-sha256", "channels": [], "keyid": key_id, "models": [], "roles": ["root"]}
    key["spki"] = base64.b64encode(SPKI).decode()
    return {
        "format": 1,
        "version": 1,
        "created": "2026-11-01T00:00:00Z",
        "expires": "2027-11-01T00:00:00Z",
        "roots": {"threshold": 1, "keyids": [key_id]},
        "keys": [key],
        "policy": {"clinical": [{"role": "qa", "count": 1}, {"role": "release", "count": 1}]},
        "min_security_version": {"acme/liver-ct": 5},
        "revoked": {
            "keys": [{"keyid": "0" * 64, "reason": "compromise", "still_valid": []}],
            "manifests": [DIGEST],
        },
    }


document = canonical(trust_document())
key_id = hashlib.sha256(SPKI).hexdigest()
assert key_id.startswith("5a7a78cca4a0f420"), key_id
envelope = {
    "payload": base64.b64encode(document).decode(),
    "payloadType": "application/vnd.unnunet.trust.v1+json",
    "signatures": [{"keyid": key_id, "sig": SIGNATURE}],
}
write("trust/document.json", document)
write("trust/file.json", canonical(envelope) + b"\n")
write("trust/chain.json", (canonical(envelope) + b"\n") * 2)
signature_file = {
    "dsseEnvelope": {
        "payload": base64.b64encode(b"{}").decode(),
        "payloadType": "application/vnd.in-toto+json",
        "signatures": [{"keyid": key_id, "sig": SIGNATURE}],
    },
    "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
    "verificationMaterial": {"publicKey": {"hint": DIGEST}},
}
write("signature/vector.json", canonical(signature_file))
