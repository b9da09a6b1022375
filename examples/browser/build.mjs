// Bundles the page, with the model beside it: node build.mjs MODEL.onnx [FOLDER]

import { copyFile, mkdir, readFile, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const [model, out = join(here, "dist")] = process.argv.slice(2);
if (!model) {
  console.error("which model? npm run build -- guests.onnx, written by: shortlist export movies.bundle --guests-only --out guests.onnx");
  process.exit(2);
}

const WASM = "ort-wasm-simd-threaded.wasm";
const runtime = dirname(createRequire(import.meta.url).resolve("onnxruntime-web"));

await mkdir(out, { recursive: true });
await build({
  entryPoints: [join(here, "page.js")],
  outdir: out,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  define: { WASM_BYTES: String((await stat(join(runtime, WASM))).size) },
  logLevel: "warning",
});
for (const name of ["index.html", "style.css"]) await copyFile(join(here, name), join(out, name));
await copyFile(join(runtime, WASM), join(out, WASM));
await copyFile(model, join(out, "movies.onnx"));

for (const name of ["page.js", WASM, "movies.onnx"]) {
  const bytes = await readFile(join(out, name));
  const packed = gzipSync(bytes).length;
  console.log(`${name.padEnd(30)} ${megabytes(bytes.length)}, ${megabytes(packed)} as gzip`);
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(2).padStart(6)} MB`;
}
