// Reads JSON Lines {reference, candidate, threshold, includeAA}; answers each with the number of
// differing pixels. Run where npm's pixelmatch and pngjs are installed.
import fs from "node:fs";
import { createRequire } from "node:module";
import readline from "node:readline";
import { pathToFileURL } from "node:url";

const require = createRequire(pathToFileURL(`${process.cwd()}/`));
const { PNG } = require("pngjs");
const { default: pixelmatch } = await import(
  pathToFileURL(require.resolve("pixelmatch"))
);

const read = (file) => PNG.sync.read(fs.readFileSync(file));
for await (const line of readline.createInterface({ input: process.stdin })) {
  const { reference, candidate, ...options } = JSON.parse(line);
  const [one, other] = [read(reference), read(candidate)];
  console.log(pixelmatch(one.data, other.data, null, one.width, one.height, options));
}
