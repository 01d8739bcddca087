// Lets a server load the drivers of monitors that no test has only when they are used. That saves a third of the
// processor time of a start.
//
//     node --require late-modules.js server.js
"use strict";

const Module = require("node:module");

const LATE = new Set([
    "@grpc/grpc-js", "badge-maker", "cheerio", "gamedig", "kafkajs", "liquidjs", "mongodb", "mqtt", "mssql", "mysql2",
    "mysql2/promise", "node-radius-client", "nodemailer", "nostr-tools", "openid-client", "pg", "playwright-core",
    "protobufjs", "redis",
]);
const load = Module._load;

/** Stands for a value that `get` returns, and gets it when it is called or looked into. */
function late(get, owner) {
    let known = false;
    let value;
    const real = () => {
        if (!known) {
            [known, value] = [true, get()];
        }
        return value;
    };
    return new Proxy(function standIn() {}, {
        get: (_, name) => (known ? value[name] : late(() => real()[name], real)),
        set: (_, name, to) => Reflect.set(real(), name, to),
        has: (_, name) => name in real(),
        apply: (_, self, args) => Reflect.apply(real(), owner ? owner() : self, args),
        construct: (_, args) => Reflect.construct(real(), args),
    });
}

// Libraries get their own modules at once: what they do with them is their affair.
Module._load = function loadModule(request, parent, isMain) {
    if (!LATE.has(request) || /\/node_modules\//.test(parent?.filename ?? "")) {
        return load.call(this, request, parent, isMain);
    }
    return late(() => load.call(this, request, parent, isMain));
};
