// Takes the notifications that Uptime Kuma sends on this host. Each is a line of JSON in the file: the first part of
// its path, which is the type of the notification, and its body. Over TLS it shows a certificate, and takes nothing.
//
//     node listener.js FILE KEY CERTIFICATE
"use strict";
const fs = require("fs");
const http = require("http");
const https = require("https");

const [file, key, certificate] = process.argv.slice(2);

http.createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8");
    request.on("data", (part) => (body += part));
    request.on("end", () => {
        fs.appendFileSync(file, `${JSON.stringify([request.url.split("/")[1], body])}\n`);
        response.setHeader("content-type", "application/json");
        response.end('{"id":"1"}');
    });
}).listen(9080, "127.0.0.1");

https.createServer({ key: fs.readFileSync(key), cert: fs.readFileSync(certificate) }, (request, response) => {
    response.end("ok");
}).listen(9443, "127.0.0.1");
