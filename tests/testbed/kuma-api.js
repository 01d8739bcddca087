// Drives an Uptime Kuma server over socket.io, as its web page does.
//
//     node kuma-api.js URL
//
// Reads one JSON request per line, {"call": NAME, "args": [...]}, and answers each with one line:
// {"answer": VALUE} or {"error": TEXT}. A NAME in `calls` below is one of ours; any other is
// emitted to the server as an event with these arguments, and what the server acknowledges is the
// answer. An acknowledgement with "ok": false is an error. Ends with standard input; ends with
// status 1 and a message when the server cannot be reached or goes away.
//
// socket.io-client is found through NODE_PATH: the server brings it along.
"use strict";

const { io } = require("socket.io-client");
const readline = require("node:readline");

const ANSWER_MS = 120_000;
const PUSHED = [
    "monitorList", "notificationList", "statusPageList", "maintenanceList", "proxyList",
    "dockerHostList", "apiKeyList",
];

// What the page sends for a new monitor, in 1.23 and in 2.x alike.
const NEW_MONITOR = {
    type: "http", name: "", parent: null, url: "https://", method: "GET", interval: 60,
    retryInterval: 60, resendInterval: 0, maxretries: 0, timeout: 48, notificationIDList: {},
    ignoreTls: false, upsideDown: false, packetSize: 56, expiryNotification: false,
    maxredirects: 10, accepted_statuscodes: ["200-299"],
    dns_resolve_type: "A", dns_resolve_server: "1.1.1.1", docker_container: "",
    docker_host: null, proxyId: null, mqttUsername: "", mqttPassword: "",
    mqttTopic: "", mqttSuccessMessage: "", authMethod: null, httpBodyEncoding: "json",
    kafkaProducerBrokers: [], kafkaProducerSaslOptions: { mechanism: "None" },
    gamedigGivenPortOnly: true,
};

const NEW_MAINTENANCE = {
    title: "", description: "", strategy: "manual", active: true, cron: "30 3 * * *",
    durationMinutes: 60, intervalDay: 1, dateRange: [], weekdays: [], daysOfMonth: [],
    timeRange: [{ hours: 2, minutes: 0 }, { hours: 3, minutes: 0 }], timezoneOption: "UTC",
};

const url = process.argv[2] ?? fail("usage: node kuma-api.js URL");
const socket = io(url, { reconnection: false, timeout: ANSWER_MS, transports: ["websocket"] });
const pushed = {};
const beats = {};
const said = {};
let token;
let listens = false;

// A server of 2.x drops what comes before it has said this.
socket.once("info", () => {
    listens = true;
});
socket.on("connect_error", (error) => fail(`cannot connect to ${url}: ${error.message}`));
socket.on("disconnect", (reason) => fail(`${url} is gone: ${reason}`));
for (const name of PUSHED) {
    socket.on(name, (list) => {
        pushed[name] = list;
    });
}
socket.on("heartbeat", (beat) => {
    said[beat.monitorID] = beat.msg;
});
socket.on("heartbeatList", (monitor, list) => {
    beats[monitor] = list.length;
});

const calls = {
    /** login(name, password): an event of the server too, with an object. Keeps the token. */
    async login(username, password) {
        const answer = await emit("login", { username, password, token: "" });
        if (answer.tokenRequired) {
            throw new Error("login: a second factor is asked for");
        }
        token = answer.token;
        return answer;
    },

    /** All the server tells after a login, asked for anew: some of it comes at no other time. */
    async lists() {
        for (const list of [pushed, beats]) {
            Object.keys(list).forEach((key) => delete list[key]);
        }
        await emit("loginByToken", token ?? fail("lists: log in first"));
        await until("the lists", () => PUSHED.every((name) => name in pushed)
            && Object.keys(pushed.monitorList).every((id) => id in beats));
        return { ...pushed, tags: (await emit("getTags")).tags, heartbeats: { ...beats } };
    },

    /** hears(id, text, seconds): waits until the last check of a monitor says something with this text. */
    hears: (id, text, seconds) =>
        until(`a check with "${text}"`, () => said[id]?.includes(text), seconds * 1000),

    addMonitor: (fields) => emit("add", { ...NEW_MONITOR, ...fields }),

    async changeMonitor(id, fields) {
        const { monitor } = await emit("getMonitor", id);
        return emit("editMonitor", { ...monitor, ...fields });
    },

    newMaintenance: (fields) => emit("addMaintenance", { ...NEW_MAINTENANCE, ...fields }),

    async changeMaintenance(id, fields) {
        const { maintenance } = await emit("getMaintenance", id);
        return emit("editMaintenance", { ...NEW_MAINTENANCE, ...maintenance, ...fields });
    },

    /** changeStatusPage(slug, fields, groups): groups as [{id?, name, monitorList: [{id}]}]. */
    async changeStatusPage(slug, fields, groups) {
        const { config } = await emit("getStatusPage", slug);
        const image = fields.icon ?? config.icon;
        return emit("saveStatusPage", slug, { ...config, ...fields }, image, groups);
    },
};

function fail(message) {
    console.error(`kuma-api: ${message}`);
    process.exit(1);
}

/** Emits an event and waits for its acknowledgement. */
function emit(event, ...args) {
    return new Promise((resolve, reject) => {
        socket.timeout(ANSWER_MS).emit(event, ...args, (late, answer) => {
            if (late) {
                reject(new Error(`${event}: no answer in ${ANSWER_MS / 1000} s`));
            } else if (answer?.ok === false) {
                reject(new Error(`${event}: ${answer.msg}`));
            } else {
                resolve(answer);
            }
        });
    });
}

async function until(what, isDone, limit = ANSWER_MS) {
    const deadline = Date.now() + limit;
    while (!isDone()) {
        if (Date.now() > deadline) {
            throw new Error(`${what}: not there after ${limit / 1000} s`);
        }
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
}

async function answer(line) {
    try {
        const { call, args = [] } = JSON.parse(line);
        const run = Object.hasOwn(calls, call) ? calls[call] : (...rest) => emit(call, ...rest);
        return { answer: (await run(...args)) ?? null };
    } catch (error) {
        return { error: error.message };
    }
}

async function main() {
    await until(`a connection to ${url}`, () => socket.connected && listens);
    for await (const line of readline.createInterface({ input: process.stdin })) {
        process.stdout.write(`${JSON.stringify(await answer(line))}\n`);
    }
    socket.off("disconnect");
    socket.close();
}

main().catch((error) => fail(error.message));
