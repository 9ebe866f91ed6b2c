// Finds files of src/ that import one another in a circle, imports of types included: exits with 1 and names each circle.
//
//   node tools/import-cycles.mjs [folder]
import { readdirSync, readFileSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"
import { fileURLToPath } from "node:url"

const root = resolve(process.argv[2] ?? fileURLToPath(new URL("../src", import.meta.url)))
const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"))

/** What a file imports of its own project: `from "./x.js"`, `import "./x.js"`, `import("./x.js")`; AssemblyScript's `"./x"`. */
function importsOf(file) {
  const source = readFileSync(join(root, file), "utf8")
  return [...source.matchAll(/\b(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)]
    .map(([, name]) => relative(root, resolve(root, dirname(file), `${name.replace(/\.js$/, "")}.ts`)))
    .filter((name) => imports.has(name))
}

const imports = new Map(files.map((file) => [file, []]))
for (const file of files) imports.set(file, importsOf(file))

const circles = []
const done = new Set()

/** Looks at everything that can be reached from a file by a path of imports. */
function visit(file, path) {
  const start = path.indexOf(file)
  if (start !== -1) circles.push([...path.slice(start), file])
  if (start !== -1 || done.has(file)) return
  for (const name of imports.get(file)) visit(name, [...path, file])
  done.add(file)
}

for (const file of files) visit(file, [])
for (const circle of circles) console.error(`import cycle: ${circle.join(" -> ")}`)
process.exitCode = circles.length > 0 ? 1 : 0
