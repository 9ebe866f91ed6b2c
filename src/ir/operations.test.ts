import { spawnSync } from "node:child_process"
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeEach, describe, expect, it } from "vitest"

/** The repository. */
const root = fileURLToPath(new URL("../../..", import.meta.url))
const copy = mkdtempSync(join(tmpdir(), "minerva-types-"))
symlinkSync(join(root, "node_modules"), join(copy, "node_modules"), "junction")
for (const file of ["package.json", "tsconfig.json"]) cpSync(join(root, file), join(copy, file))
afterAll(() => rmSync(copy, { recursive: true }))

const isSource = (path: string) => !/[/\\](fixtures|wasm)$/.test(path)

/** Adds lines to the table of primitives or of fusions, and an import for them. */
function describeOperation(table: "PRIMITIVES" | "FUSIONS", entry: string, imported = ""): void {
  const path = join(copy, "src/ir/operations.ts")
  const source = readFileSync(path, "utf8")
  const changed = source.replace(`const ${table} = {\n`, (line) => `${line}  ${entry},\n`)
  expect(changed).not.toBe(source)
  writeFileSync(path, `${imported}${changed}`)
}

const TYPES = 'import { spec } from "../op_spec.js"\nimport type { Type } from "../type.js"\n'

/** A description of `hypot`, less the line that begins so. */
function hypot(name: string, without?: string): string {
  const lines = [
    'summary: "sqrt(a^2 + b^2)"',
    'operands: { a: "value", b: "value" }',
    "infer: (_, { a }) => ({ y: a })",
    'tolerance: "float"',
  ].filter((line) => !without || !line.startsWith(without))
  return `export const ${name} = spec<unknown, { a: Type; b: Type }, "y">({\n  ${lines.join(",\n  ")},\n})\n`
}

/** What the compiler has to say, by file; messages of several lines in one. */
function complaints(): Record<string, string> {
  const tsc = join(root, "node_modules/typescript/bin/tsc")
  const { stdout } = spawnSync(process.execPath, [tsc, "-p", copy, "--noEmit", "--pretty", "false"], {
    encoding: "utf8",
  })
  const found: Record<string, string> = {}
  let file = ""
  for (const line of stdout.split("\n").filter(Boolean)) {
    file = /^(?:.*[/\\])?((?:src|test)[/\\].+?)\(\d+,\d+\): error/.exec(line)?.[1].replaceAll("\\", "/") ?? file
    found[file] = `${found[file] ?? ""}${line}\n`
  }
  return found
}

describe("an operation that is not described, or not computed, everywhere", () => {
  beforeEach(() => {
    for (const folder of ["src", "test"]) {
      rmSync(join(copy, folder), { recursive: true, force: true })
      cpSync(join(root, folder), join(copy, folder), { recursive: true, filter: isSource })
    }
  })

  const specs = () => join(copy, "src/ir/specs/hypot.ts")
  const imported = 'import * as hypot from "./specs/hypot.js"\n'

  it("does not compile without every part of its description, or with operands other than its own", () => {
    const parts = ["summary", "operands", "infer", "tolerance"]
    const roles = ['b: "optional"', 'c: "value"'].map((wrong, i) => hypot(`wrong${i}`).replace('b: "value"', wrong))
    writeFileSync(
      specs(),
      [TYPES, hypot("whole"), ...parts.map((part) => hypot(`no_${part}`, part)), ...roles].join(""),
    )
    const found = complaints()
    expect(Object.keys(found)).toEqual(["src/ir/specs/hypot.ts"])
    for (const part of parts) expect(found["src/ir/specs/hypot.ts"]).toContain(`'${part}' is missing`)
    expect(found["src/ir/specs/hypot.ts"].match(/error TS/g)).toHaveLength(parts.length + roles.length)
  })

  it("does not compile when the table has something else in its place", () => {
    describeOperation("PRIMITIVES", 'hypot: { summary: "sqrt(a^2 + b^2)", operands: {}, tolerance: "float" }')
    expect(complaints()["src/ir/operations.ts"]).toContain("'infer' is missing")
  })

  it("is missed in each backend's kernels and in each table of the conformance suite", () => {
    writeFileSync(specs(), TYPES + hypot("hypot") + hypot("fused"))
    describeOperation("PRIMITIVES", "hypot: hypot.hypot", imported)
    describeOperation("FUSIONS", "norm_hypot: hypot.fused")
    const found = complaints()
    const missed = (text: string) =>
      ["hypot", "norm_hypot"].filter((name) => RegExp(`\\b${name}\\b`).test(text)).join(" ")
    const names = Object.entries(found).map(([file, text]) => [file, missed(text)])
    expect(Object.fromEntries(names)).toEqual({
      "src/backends/reference/kernels.ts": "hypot norm_hypot",
      "src/backends/cpu/kernels.ts": "hypot",
      "src/backends/webgpu/kernels/plan.ts": "hypot norm_hypot",
      "test/backends/conformance/conformance.ts": "hypot norm_hypot",
      "test/backends/conformance/told_rows.ts": "hypot",
      "test/backends/conformance/fusion_properties.ts": "norm_hypot",
    })
  })
})
