// A quick server in the place of Uptime Kuma, for tests that start it hundreds of times: it keeps the database
// open with the SQLite of the real one, writes history into it, and answers as one that is ready does.
//
// Where a file of that name lies in the directory of gates, it waits: "stop" before it ends on SIGTERM, "answer"
// before it answers, "die" before it ends because of a monitor with which it does not run.
"use strict";
const fs = require("fs");
const http = require("http");
const sqlite3 = require("/opt/uptime-kuma/node_modules/@louislam/sqlite3");

const GATES = "/var/lib/gates/";
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const gate = async (name) => {
    while (fs.existsSync(GATES + name)) await pause(10);
};

const database = new sqlite3.Database(process.env.DATA_DIR + "kuma.db", sqlite3.OPEN_READWRITE);
database.configure("busyTimeout", 5000);
const ask = (sql) =>
    new Promise((resolve, reject) => database.all(sql, (error, rows) => (error ? reject(error) : resolve(rows))));

let stopping = false;
process.on("SIGTERM", async () => {
    stopping = true;
    await gate("stop");
    // The real one takes seconds.
    await pause(60);
    database.close(() => process.exit(0));
});

async function beat() {
    while (!stopping) {
        await ask("INSERT INTO heartbeat (important, monitor_id, status, msg, time, duration) " +
            "SELECT 0, id, 1, 'round ' || name, datetime('now'), 0 FROM monitor");
        await pause(300);
    }
}

async function run() {
    await ask("PRAGMA journal_mode=WAL");
    const names = (await ask("SELECT name FROM monitor ORDER BY id")).map((row) => row.name);
    if (names.includes("poison")) {
        await gate("die");
        throw new Error("it does not run with this monitor");
    }
    http.createServer(async (request, response) => {
        await gate("answer");
        const known = { "/api/entry-page": { type: "entryPage", entryPage: "dashboard" }, "/names": names };
        response.statusCode = request.url in known ? 200 : 404;
        response.end(JSON.stringify(known[request.url] ?? null));
    }).listen(3001, "127.0.0.1");
    await beat();
}

run().catch((error) => {
    // What was begun before the signal to stop may fail.
    if (stopping) return;
    console.error(error);
    process.exit(1);
});
