// Bundles the command with the libraries that it runs: 300 modules would take longer to find and compile than a small model to load.
//
//   node tools/bundle-cli.mjs
import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { build } from "esbuild"

const root = fileURLToPath(new URL("..", import.meta.url))
/** As deep as src/cli is in dist: what names a file of the package by its path there finds it from here, too. */
const target = join(root, "dist/bundle/cli")

/** Packages with files or state of their own, and one that only some install. They stay packages. */
const PACKAGES = [
  ...["webgpu", "node-sqlite3-wasm", "@mlc-ai/web-xgrammar", "node-llama-cpp"],
  ...["pino", "bullmq", "ioredis", "@opentelemetry/api"],
]

/** What the sources open beside themselves: threads, processes and kernels. */
const opened = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
  .flatMap((file) => {
    const source = readFileSync(join(root, "src", file), "utf8")
    const names = [...source.matchAll(/new URL\("\.\/(\w+\.(?:js|wasm))", import\.meta\.url\)/g)]
    return names.map(([, name]) => join(dirname(file), name))
  })
const entries = opened
  .filter((file) => file.endsWith(".js"))
  .map((file) => join(root, "src", file.replace(/js$/, "ts")))
const kernels = opened.filter((file) => file.endsWith(".wasm")).map((file) => join(root, "dist/src", file))

rmSync(target, { recursive: true, force: true })
const { metafile } = await build({
  entryPoints: [join(root, "src/cli/main.ts"), ...entries],
  entryNames: "[name]",
  outdir: target,
  absWorkingDir: root,
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node20.19",
  external: PACKAGES,
  metafile: true,
  minifyWhitespace: true,
  sourcemap: true,
  sourcesContent: false,
  // For the libraries that are CommonJS.
  banner: {
    js: 'import{createRequire as minervaRequire}from"node:module";const require=minervaRequire(import.meta.url);',
  },
})

for (const file of kernels) copyFileSync(file, join(target, basename(file)))

/** The folders of the packages whose code is in the bundle. */
const bundled = new Set(
  Object.keys(metafile.inputs).flatMap((file) => /^.*node_modules\/(@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? []),
)
const licences = [...bundled].sort().map((folder) => {
  const { name, version, license } = JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8"))
  const file = readdirSync(join(root, folder)).find((file) => /^licen[cs]e/i.test(file))
  return `${name} ${version} (${license})\n\n${file ? readFileSync(join(root, folder, file), "utf8").trim() : ""}\n`
})
writeFileSync(join(target, "LICENSES.txt"), licences.join(`\n${"-".repeat(80)}\n\n`))
