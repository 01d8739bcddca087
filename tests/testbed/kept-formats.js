// Lets a server keep the formats that it writes times with. It makes a new one for each line that it logs otherwise, which
// takes a tenth of the processor time of a start.
//
//     node --require kept-formats.js server.js
"use strict";

const kept = new Map();
const make = Date.prototype.toLocaleString;
const FULL = { year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric" };

// What a time is written as does not change: only the case in which nothing but a zone is asked for is known here.
Date.prototype.toLocaleString = function toLocaleString(locale, options) {
    const { timeZone, ...others } = options ?? {};
    const known = typeof locale === "string" && typeof timeZone === "string" && Object.keys(others).length === 0;
    if (!known || Number.isNaN(this.getTime())) {
        return make.call(this, locale, options);
    }
    const key = `${locale} ${timeZone}`;
    if (!kept.has(key)) {
        kept.set(key, new Intl.DateTimeFormat(locale, { ...FULL, timeZone }));
    }
    return kept.get(key).format(this);
};
