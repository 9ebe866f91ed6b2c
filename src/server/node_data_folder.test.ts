import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs"
import { hostname, tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { DataFileError, DataFolder, FolderInUseError } from "./node_data_folder.js"

let folder: string
beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), "minerva-data-")), "inner")
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function lockedBy(holder: unknown, path = folder): void {
  mkdirSync(path, { recursive: true })
  writeFileSync(join(path, "minerva.lock"), typeof holder === "string" ? holder : JSON.stringify(holder))
}

/** A number that no process has. */
const gone = () => spawnSync(process.execPath, ["-e", ""]).pid

async function opensAndCloses(): Promise<void> {
  const data = await DataFolder.open(folder)
  data.database.exec("CREATE TABLE IF NOT EXISTS t (a); INSERT INTO t VALUES (1)")
  await data.close()
}

describe("a data folder", () => {
  it("is for its owner's eyes, and is there again", async () => {
    await opensAndCloses()
    expect(statSync(folder).mode & 0o77).toBe(0)
    expect(readdirSync(folder)).toEqual(["minerva.sqlite"])
    const again = await DataFolder.open(folder)
    expect(again.database.get("SELECT count(*) AS n FROM t")).toEqual({ n: 1 })
    await again.close()
  })

  it("says which file is no database, and lets go of the folder", async () => {
    mkdirSync(folder, { recursive: true })
    const file = join(folder, "minerva.sqlite")
    writeFileSync(file, "no database, but long enough to have a header".repeat(9))
    for (let i = 0; i < 2; i++) {
      await expect(DataFolder.open(folder)).rejects.toThrow(DataFileError)
      await expect(DataFolder.open(folder)).rejects.toThrow(`${file} cannot be used`)
    }
    rmSync(file)
    await opensAndCloses()
  })

  it("is held by one at a time, in one process too", async () => {
    const first = await DataFolder.open(folder)
    await expect(DataFolder.open(folder)).rejects.toThrow(FolderInUseError)
    await first.close()
    await opensAndCloses()
  })

  it("is taken over from whoever does not live any more", async () => {
    const dead: unknown[] = [
      { pid: gone(), host: hostname(), id: "a" },
      // As the next process of a container has it, or one that got the number of the dead.
      { pid: process.pid, host: hostname(), id: "a" },
      { pid: process.ppid, host: hostname(), id: "a" },
      { pid: 1, host: "elsewhere", id: "a" },
      // The writing was cut short.
      '{"pid": 1',
    ]
    const outer = folder
    const takenOver = dead.map(async (holder, n) => {
      const path = join(outer, String(n))
      lockedBy(holder, path)
      mkdirSync(join(path, "minerva.sqlite.lock"))
      const data = await DataFolder.open(path)
      data.database.exec("CREATE TABLE t (a)")
      await data.close()
      expect(readdirSync(path)).toEqual(["minerva.sqlite"])
    })
    await Promise.all(takenOver)
  })

  it("is left to another machine that shows itself", async () => {
    lockedBy({ pid: 1, host: "elsewhere", id: "a" })
    const beat = setInterval(() => utimesSync(join(folder, "minerva.lock"), new Date(), new Date()), 300)
    await expect(DataFolder.open(folder)).rejects.toThrow(/in use by process 1 on elsewhere/)
    clearInterval(beat)
    expect(readdirSync(folder)).toEqual(["minerva.lock"])
  })

  it("is not touched any more by who lost it", async () => {
    const { database } = await DataFolder.open(folder)
    lockedBy({ pid: 1, host: "elsewhere", id: "a" })
    await new Promise((resolve) => setTimeout(resolve, 1200))
    expect(database.isOpen).toBe(false)
    expect(readdirSync(folder)).toContain("minerva.lock")
  })

  it("has nothing of a change in whose middle its process was killed, and all of those before", async () => {
    const module = fileURLToPath(new URL("./node_data_folder.js", import.meta.url))
    const program = `
      const { DataFolder } = await import(${JSON.stringify(module)})
      const { database } = await DataFolder.open(${JSON.stringify(folder)})
      database.exec("PRAGMA cache_size = 5; CREATE TABLE t (a INTEGER PRIMARY KEY, b); BEGIN")
      for (let n = 0; n < 1000; n++) database.run("INSERT INTO t VALUES (?, 'before')", [n])
      database.exec("COMMIT; BEGIN; UPDATE t SET b = 'after' || b")
      process.kill(process.pid, "SIGKILL")`
    expect(spawnSync(process.execPath, ["--input-type=module", "-e", program]).signal).toBe("SIGKILL")
    const data = await DataFolder.open(folder)
    expect(data.database.all("SELECT b, count(*) AS n FROM t GROUP BY b")).toEqual([{ b: "before", n: 1000 }])
    expect(data.database.get("PRAGMA integrity_check")).toEqual({ integrity_check: "ok" })
    await data.close()
  })
})
