// Lets a server start with modules that an earlier start found, read and compiled. That saves half of the processor time.
//
//     node --require code-cache.js server.js
//
// With CODE_CACHE_RECORD set, the modules are written there when the server ends. Otherwise those beside this file are
// used, if there are any for a program of this name: server.js.cache. The code that runs is the same. The files are not
// read again, so none of them may change in between: the hosts have them on a read-only mount.
"use strict";

const fs = require("node:fs");
const Module = require("node:module");
const path = require("node:path");
const vm = require("node:vm");

const record = process.env.CODE_CACHE_RECORD;
const stored = path.join(__dirname, `${path.basename(process.argv[1] ?? "")}.cache`);

/** Runs a compiled module, as Node.js does it. */
function run(script, module, filename) {
    const require = (name) => module.require(name);
    require.resolve = (name, options) => Module._resolveFilename(name, module, false, options);
    require.resolve.paths = (name) => Module._resolveLookupPaths(name, module);
    require.main = process.mainModule;
    require.extensions = Module._extensions;
    require.cache = Module._cache;
    const own = [module.exports, require, module, filename, path.dirname(filename)];
    return script.runInThisContext().apply(module.exports, own);
}

function recordModules() {
    const compile = Module.prototype._compile;
    const resolve = Module._resolveFilename;
    const found = {};
    const scripts = new Map();

    Module._resolveFilename = function resolveAndRecord(request, parent, ...rest) {
        const filename = resolve.call(this, request, parent, ...rest);
        if (parent?.path && path.isAbsolute(filename) && rest[1] === undefined) {
            (found[parent.path] ??= {})[request] = filename;
        }
        return filename;
    };
    Module.prototype._compile = function compileAndRecord(content, filename, format) {
        // Scripts cannot import modules, so those that might are left to Node.js.
        if (format === "module" || /\bimport\s*\(/.test(content)) {
            return compile.call(this, content, filename, format);
        }
        const source = Module.wrap(content.replace(/^#!.*/, ""));
        const script = new vm.Script(source, { filename });
        scripts.set(filename, { script, source });
        return run(script, this, filename);
    };
    process.once("exit", () => {
        const parts = [];
        const modules = {};
        let end = 0;
        const add = (part) => {
            parts.push(part);
            return [end, (end += part.length)];
        };
        for (const [filename, { script, source }] of scripts) {
            const encoding = Buffer.from(source, "latin1").toString("latin1") === source ? "latin1" : "utf16le";
            modules[filename] = [encoding, add(Buffer.from(source, encoding)), add(script.createCachedData())];
        }
        fs.writeFileSync(record, Buffer.concat(parts));
        fs.writeFileSync(`${record}.json`, JSON.stringify({ found, modules }));
    });
}

function useModules() {
    const { found, modules } = JSON.parse(fs.readFileSync(`${stored}.json`));
    const buffer = fs.readFileSync(stored);
    const resolve = Module._resolveFilename;
    const load = Module._extensions[".js"];

    Module._resolveFilename = function resolveKnown(request, parent, ...rest) {
        const known = rest[1] === undefined ? found[parent?.path] : undefined;
        return known && Object.hasOwn(known, request) ? known[request] : resolve.call(this, request, parent, ...rest);
    };
    Module._extensions[".js"] = function loadKnown(module, filename) {
        if (!Object.hasOwn(modules, filename)) {
            return load.call(this, module, filename);
        }
        const [encoding, source, code] = modules[filename];
        // V8 checks that compiled code belongs to its version and to the source, and compiles it again if not.
        const cachedData = buffer.subarray(...code);
        const script = new vm.Script(buffer.toString(encoding, ...source), { filename, cachedData });
        return run(script, module, filename);
    };
}

if (record) {
    recordModules();
} else if (fs.existsSync(stored)) {
    useModules();
}
