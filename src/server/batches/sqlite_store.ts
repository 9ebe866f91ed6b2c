import type { Database } from "node-sqlite3-wasm"
import { type FileObject, isFinished, type StoredBatch } from "./objects.js"
import type { BatchStore, StoredResult } from "./store.js"
import { othersTurn } from "./turn.js"

const TABLES = `
  CREATE TABLE IF NOT EXISTS pieces (file TEXT, piece INTEGER, bytes BLOB, PRIMARY KEY (file, piece));
  CREATE TABLE IF NOT EXISTS files (id TEXT PRIMARY KEY, object TEXT);
  CREATE TABLE IF NOT EXISTS batches (
    id TEXT PRIMARY KEY, finished INTEGER, object TEXT, completed INTEGER DEFAULT 0, failed INTEGER DEFAULT 0
  );
  CREATE TABLE IF NOT EXISTS results (batch TEXT, request INTEGER, ok INTEGER, text TEXT, PRIMARY KEY (batch, request));
  CREATE TRIGGER IF NOT EXISTS counted AFTER INSERT ON results BEGIN
    UPDATE batches SET completed = completed + NEW.ok, failed = failed + 1 - NEW.ok WHERE id = NEW.batch;
  END;
`

/** Keeps files and batches in a database of this process. */
export class SqliteStore implements BatchStore {
  /** @param onClose closes the database, unless somebody else does */
  constructor(
    private readonly database: Database,
    private readonly onClose: () => Promise<void> = async () => {},
  ) {
    database.exec(TABLES)
    database.exec("DELETE FROM results WHERE batch IN (SELECT id FROM batches WHERE finished)")
    // Of files that were not written to their end, and that nobody will go on writing.
    const writing = this.unfinishedNow().flatMap(({ ending }) => (ending ? [ending.output, ending.error] : []))
    const kept = JSON.stringify(writing)
    database.run(
      "DELETE FROM pieces WHERE file NOT IN (SELECT id FROM files) AND file NOT IN (SELECT value FROM json_each(?))",
      [kept],
    )
  }

  async writePiece(file: string, piece: number, bytes: Uint8Array): Promise<void> {
    this.database.run("INSERT OR REPLACE INTO pieces VALUES (?, ?, ?)", [file, piece, bytes])
  }

  async readPiece(file: string, piece: number): Promise<Uint8Array | null> {
    const row = this.database.get("SELECT bytes FROM pieces WHERE file = ? AND piece = ?", [file, piece])
    return row ? (row.bytes as Uint8Array) : null
  }

  async addFile(file: FileObject): Promise<void> {
    this.database.run("INSERT OR REPLACE INTO files VALUES (?, ?)", [file.id, JSON.stringify(file)])
  }

  async file(id: string): Promise<FileObject | null> {
    return this.objects<FileObject>("SELECT object FROM files WHERE id = ?", [id])[0] ?? null
  }

  async files(): Promise<readonly FileObject[]> {
    return this.objects("SELECT object FROM files ORDER BY id")
  }

  async removeFile(id: string): Promise<boolean> {
    const { changes } = this.database.run("DELETE FROM files WHERE id = ?", [id])
    await this.removeAll("pieces", "file", id, 32)
    return changes > 0
  }

  async addBatch(batch: StoredBatch): Promise<void> {
    this.put(batch)
  }

  async batch(id: string): Promise<StoredBatch | null> {
    return this.batchNow(id)
  }

  async batches(which: "all" | "unfinished"): Promise<readonly StoredBatch[]> {
    return which === "unfinished" ? this.unfinishedNow() : this.objects("SELECT object FROM batches ORDER BY id")
  }

  async changeBatch(id: string, change: (batch: StoredBatch) => StoredBatch | null): Promise<StoredBatch | null> {
    // Nothing is awaited: nobody comes between.
    const batch = this.batchNow(id)
    const changed = batch && change(batch)
    if (changed) this.put(changed)
    return changed
  }

  async removeBatch(id: string): Promise<void> {
    await this.removeResults(id)
    this.database.run("DELETE FROM batches WHERE id = ?", [id])
  }

  async addResult(batch: string, index: number, { ok, text }: StoredResult): Promise<void> {
    const values = [batch, index, ok, text, batch]
    const isOpen = "EXISTS (SELECT 1 FROM batches WHERE id = ? AND NOT finished)"
    this.database.run(`INSERT OR IGNORE INTO results SELECT ?, ?, ?, ? WHERE ${isOpen}`, values)
  }

  async results(batch: string, from: number, to: number): Promise<readonly (StoredResult | null)[]> {
    const rows = this.database.all(
      "SELECT request, ok, text FROM results WHERE batch = ? AND request >= ? AND request < ?",
      [batch, from, to],
    )
    const results = new Array<StoredResult | null>(to - from).fill(null)
    for (const { request, ok, text } of rows) {
      results[Number(request) - from] = { ok: Boolean(ok), text: text as unknown as string }
    }
    return results
  }

  async answered(batch: string): Promise<ReadonlySet<number>> {
    const rows = this.database.all("SELECT request FROM results WHERE batch = ?", [batch])
    return new Set(rows.map(({ request }) => Number(request)))
  }

  async counts(batch: string): Promise<{ completed: number; failed: number }> {
    const row = this.database.get("SELECT completed, failed FROM batches WHERE id = ?", [batch])
    return { completed: Number(row?.completed ?? 0), failed: Number(row?.failed ?? 0) }
  }

  async removeResults(batch: string): Promise<void> {
    await this.removeAll("results", "batch", batch, 500)
  }

  close(): Promise<void> {
    return this.onClose()
  }

  /** Some at a time: the database is held up, and this thread with it, until a statement is through. */
  private async removeAll(table: string, column: string, value: string, atOnce: number): Promise<void> {
    const some = `SELECT rowid FROM ${table} WHERE ${column} = ? LIMIT ${atOnce}`
    while (this.database.run(`DELETE FROM ${table} WHERE rowid IN (${some})`, value).changes > 0) await othersTurn()
  }

  private put(batch: StoredBatch): void {
    const values = [batch.id, isFinished(batch), JSON.stringify(batch)]
    const replace = "ON CONFLICT (id) DO UPDATE SET finished = excluded.finished, object = excluded.object"
    this.database.run(`INSERT INTO batches (id, finished, object) VALUES (?, ?, ?) ${replace}`, values)
  }

  private batchNow(id: string): StoredBatch | null {
    return this.objects<StoredBatch>("SELECT object FROM batches WHERE id = ?", [id])[0] ?? null
  }

  private unfinishedNow(): readonly StoredBatch[] {
    return this.objects("SELECT object FROM batches WHERE NOT finished ORDER BY id")
  }

  private objects<T>(sql: string, values: string[] = []): T[] {
    return this.database.all(sql, values).map(({ object }) => JSON.parse(object as unknown as string) as T)
  }
}
