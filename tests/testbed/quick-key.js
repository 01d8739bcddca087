// Replaces the key of a new restic repository with one that is cheap to derive.
//
//     restic cat masterkey | RESTIC_PASSWORD=... node quick-key.js REPOSITORY
//
// restic derives a key from the password each time it opens a repository, and makes that expensive on purpose: up to
// half a second of processor time. The key file itself says how expensive. This one has the same password, the same
// master key, the same format, and the low costs of restic's own tests.
"use strict";

const crypto = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");

const COSTS = { N: 128, r: 1, p: 1 };

/** The authenticator of restic, Poly1305-AES: one-time key `r` and the encrypted nonce. */
function authenticate(message, nonce, { k, r }) {
    const number = (bytes) => BigInt(`0x${Buffer.from(bytes).reverse().toString("hex")}`);
    const cipher = crypto.createCipheriv("aes-128-ecb", k, null).setAutoPadding(false);
    const pad = number(cipher.update(nonce));
    const multiplier = number(r) & 0x0ffffffc0ffffffc0ffffffc0fffffffn;
    const prime = (1n << 130n) - 5n;
    let sum = 0n;
    for (let at = 0; at < message.length; at += 16) {
        sum = ((sum + number([...message.subarray(at, at + 16), 1])) * multiplier) % prime;
    }
    const tag = ((sum + pad) & ((1n << 128n) - 1n)).toString(16).padStart(32, "0");
    return Buffer.from(tag, "hex").reverse();
}

const keys = path.join(process.argv[2], "keys");
const master = JSON.stringify(JSON.parse(fs.readFileSync(0)));
const salt = crypto.randomBytes(64);
const derived = crypto.scryptSync(process.env.RESTIC_PASSWORD, salt, 64, COSTS);
const nonce = crypto.randomBytes(16);
const sealed = crypto.createCipheriv("aes-256-ctr", derived.subarray(0, 32), nonce).update(master);
const tag = authenticate(sealed, nonce, { k: derived.subarray(32, 48), r: derived.subarray(48, 64) });
const [old] = fs.readdirSync(keys);
const key = JSON.stringify({
    ...JSON.parse(fs.readFileSync(path.join(keys, old))),
    ...COSTS,
    salt: salt.toString("base64"),
    data: Buffer.concat([nonce, sealed, tag]).toString("base64"),
});
const name = crypto.createHash("sha256").update(key).digest("hex");
fs.writeFileSync(path.join(keys, name), key, { mode: 0o400 });
fs.unlinkSync(path.join(keys, old));
