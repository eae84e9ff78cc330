// Builds the page into the package: one script, one stylesheet. `node build.js FOLDER` builds elsewhere, to compare.
import { build } from "esbuild";

const folder = process.argv[2] || "../genesis_otel/_ui/static";
await build({
  entryPoints: { page: "src/main.js" },
  outdir: folder,
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2020",
  charset: "utf8",
  legalComments: "eof",
});
