import { readdirSync, readFileSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"

/** docs/architecture.md, top floor first. Folders on one line may not import each other. */
const FLOORS = [
  ["cli"],
  ["server"],
  ["bench"],
  ["engine"],
  ["text"],
  ["models"],
  ["cache"],
  ["nn"],
  ["array"],
  ["graph"],
  ["backends"],
  ["ir"],
  ["hub"],
  ["checkpoint"],
  ["tensor"],
]

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../../src")
// Tests may reach up for what they run their subject with.
const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter(
  (file) => file.endsWith(".ts") && !file.includes(".test."),
)

const floorOf = (path: string) => FLOORS.findIndex((folders) => folders.includes(path.split("/")[0]))

function importsOf(file: string): string[] {
  const source = readFileSync(join(root, file), "utf8")
  return [...source.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)].map((match) => match[1])
}

describe("the house", () => {
  it.each(files.filter((file) => file.includes("/")))("%s imports only from its own floor or below", (file) => {
    expect(floorOf(file), "a folder that docs/architecture.md does not know").toBeGreaterThanOrEqual(0)
    for (const name of importsOf(file).filter((name) => name.startsWith("."))) {
      const target = relative(root, resolve(root, dirname(file), name))
      const sameFolder = target.split("/")[0] === file.split("/")[0]
      expect(sameFolder || floorOf(target) > floorOf(file), `${file} imports ${target}`).toBe(true)
    }
  })

  it("has its tests beside what they test, and what they are made of in test/", () => {
    const offenders = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((file) =>
      /helper|fixtures|\.test\.(?!ts$)/.test(file),
    )
    expect(offenders).toEqual([])
  })

  it("keeps Node-only code below engine/ in files that say so", () => {
    const offenders = files.filter(
      (file) =>
        floorOf(file) >= 1 &&
        !/(^|\/)node_[^/]*\.ts$/.test(file) &&
        importsOf(file).some((name) => name.startsWith("node:")),
    )
    expect(offenders).toEqual([])
  })
})
