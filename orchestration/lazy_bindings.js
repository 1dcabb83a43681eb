// lazy_bindings.py loads this into jsii's Node.js process. The AWS provider's package has two entry points that export
// the same names: lib/index.js loads all of its 2,215 modules at once, lib/lazy-index.js loads each one at its first
// use. jsii always asks for the first; this answers with the second.
"use strict";

const Module = require("module");

const EAGER = /[\\/]provider-aws[\\/](?:[^\\/]+[\\/]){0,2}lib[\\/]index\.js$/;
const resolveFilename = Module._resolveFilename;

Module._resolveFilename = function (...request) {
  const file = resolveFilename.apply(this, request);
  return EAGER.test(file) ? file.replace(/index\.js$/, "lazy-index.js") : file;
};
