import { appendFileSync } from "node:fs"
import { setTimeout } from "node:timers/promises"
import type { Dispatch } from "../../../src/server/batches/answer.js"
import { Batches } from "../../../src/server/batches/batches.js"
import { FILE_LIMITS } from "../../../src/server/batches/files.js"
import { DataFolder } from "../../../src/server/node_data_folder.js"
import { openBatches } from "../../../src/server/batches/open.js"
import { openShared } from "../../../src/server/batches/shared.js"
import { batchesApp, chatCompletions, listen } from "./serving.js"

/** What this process is told as its argument. */
export interface ProcessSettings {
  readonly data_dir: string | null
  readonly queue: string | null
  /** A file to which a line goes for each request that was answered. */
  readonly log: string
}

const { data_dir, queue, log } = JSON.parse(process.argv[2]) as ProcessSettings

const answer = chatCompletions()
const dispatch: Dispatch = async (request) => {
  const body = await request.clone().text()
  await setTimeout(10)
  const response = await answer(request)
  appendFileSync(log, `${process.pid} ${JSON.parse(body).messages[0].content}\n`)
  return response
}

const options = { ...FILE_LIMITS, max_body: 1 << 20, onError: (error: unknown) => console.error(error) }

/** As `openBatches`, with less patience for processes that are gone. */
async function openShort(url: string): Promise<Batches> {
  const { store, queue } = await openShared(url, {
    concurrency: 8,
    lock: 1000,
    retry_after: 50,
    onError: options.onError,
  })
  return await Batches.start(store, queue, dispatch, options)
}

try {
  const folder = queue ? null : await DataFolder.open(data_dir)
  const batches = folder
    ? await openBatches(dispatch, folder.database, { ...options, queue: null, concurrency: 8 })
    : await openShort(queue!)
  const { url } = await listen(batchesApp(batches))
  process.on("SIGTERM", async () => {
    await batches.close()
    await folder?.close()
    process.exit(0)
  })
  console.log(url)
} catch (error) {
  console.error((error as Error).message)
  process.exit(1)
}
