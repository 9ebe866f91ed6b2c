import type { Database } from "node-sqlite3-wasm"
import type { ResponseStore, StoredResponse, StoreLimits } from "./store.js"

const TABLES = `
  CREATE TABLE IF NOT EXISTS responses (id TEXT PRIMARY KEY, json TEXT NOT NULL, size INTEGER NOT NULL, used INTEGER NOT NULL);
  CREATE INDEX IF NOT EXISTS responses_used ON responses (used);
`

/** Keeps responses in a database of this process: they survive it. */
export class SqliteResponseStore implements ResponseStore {
  private size: number
  private count: number
  /** Of the next use: a clock that does not stand still, nor go back. */
  private time: number

  constructor(
    private readonly database: Database,
    private readonly limits: StoreLimits = { responses: 65_536, bytes: 1 << 30 },
  ) {
    database.exec(TABLES)
    const row = database.get("SELECT count(*) AS count, total(size) AS size, max(used) AS used FROM responses")!
    this.count = Number(row.count)
    this.size = Number(row.size)
    this.time = Number(row.used ?? 0) + 1
  }

  async get(id: string): Promise<StoredResponse | undefined> {
    const row = this.database.get("SELECT json FROM responses WHERE id = ?", id)
    if (!row) return undefined
    this.database.run("UPDATE responses SET used = ? WHERE id = ?", [this.time++, id])
    return JSON.parse(row.json as string)
  }

  async put(stored: StoredResponse): Promise<void> {
    const { id } = stored.response
    this.remove(id)
    const json = JSON.stringify(stored)
    this.database.run("INSERT INTO responses VALUES (?, ?, ?, ?)", [id, json, json.length, this.time++])
    this.count++
    this.size += json.length
    while (this.count > this.limits.responses || this.size > this.limits.bytes) {
      this.remove(this.database.get("SELECT id FROM responses ORDER BY used LIMIT 1")!.id as string)
    }
  }

  async delete(id: string): Promise<boolean> {
    return this.remove(id)
  }

  private remove(id: string): boolean {
    const row = this.database.get("DELETE FROM responses WHERE id = ? RETURNING size", id)
    if (!row) return false
    this.count--
    this.size -= Number(row.size)
    return true
  }
}
