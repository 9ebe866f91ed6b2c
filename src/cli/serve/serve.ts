import { destination } from "pino"
import { createServerApp } from "../../server/app.js"
import type { Batches } from "../../server/batches/batches.js"
import { FILE_LIMITS } from "../../server/batches/files.js"
import { openBatches } from "../../server/batches/open.js"
import { batchesRoutes } from "../../server/batches/routes.js"
import { createLog, type ServerLog } from "../../server/log.js"
import { ModelPool } from "../../server/models/model_pool.js"
import { offerModel } from "../../server/models/node_model_offer.js"
import { DataFolder } from "../../server/node_data_folder.js"
import { NodeServer } from "../../server/node_serve.js"
import { BackgroundResponses } from "../../server/responses/background.js"
import { SqliteResponseStore } from "../../server/responses/node_response_store.js"
import type { Settings } from "../../server/settings.js"
import { formatDuration } from "../ui/format.js"
import { printNote } from "../ui/output.js"
import { VERSION } from "../version.js"

/** Serves until a signal: SIGINT or SIGTERM lets requests come to their end, a second one does not. */
export async function serve(settings: Settings): Promise<void> {
  const { host, port, drain_timeout, max_body, api_keys } = settings
  // A reader of the log that stands still must not hold up the server.
  const log = createLog(settings.log_level, destination({ dest: 1, sync: false }))
  // Of one request, at worst: the others go on.
  process.on("unhandledRejection", (err) => log.error({ err }, "fault"))
  const start = performance.now()
  const models = await openPool(settings, log)
  // Its process starts while this one opens the rest.
  const loading = loadFirst(models)
  loading.catch(() => {})
  let isLoaded = false
  let folder: DataFolder | undefined
  let server: NodeServer | undefined
  let batches: Batches | undefined
  try {
    folder = await DataFolder.open(settings.data_dir ?? null)
    const names = [...settings.allowed_hosts, host]
    const options = { ...settings, allowed_hosts: names, isLoaded: () => isLoaded, log }
    const responses = settings.data_dir ? new BackgroundResponses(new SqliteResponseStore(folder.database)) : undefined
    const context = { models, max_body, responses, version: VERSION }
    const served = createServerApp(context, options)
    batches = await openBatches(served.dispatch, folder.database, {
      ...FILE_LIMITS,
      max_body,
      queue: settings.queue ?? null,
      concurrency: settings.batch_concurrency,
      onError: (err) => log.error({ err }, "a batch failed"),
    })
    served.app.route("/", batchesRoutes(context, batches))
    server = await NodeServer.listen(served, { host, port })
    const stopped = stopOnSignal(server, drain_timeout * 1000)
    printNote(welcome(server.url, models.names))
    if (!isLoopback(host) && api_keys.length === 0) {
      printNote("Whoever reaches this address may ask: set MINERVA_API_KEYS to let in some alone.")
    }
    log.info({ url: server.url, models: models.names }, "listening")
    isLoaded = await Promise.race([loading.then(() => true), stopped.then(() => false)])
    if (isLoaded) printNote(`${models.names[0]} is loaded, ${formatDuration(performance.now() - start)}`)
    await stopped
  } finally {
    await batches?.close()
    await server?.stop(0)
    await models.close(0)
    await folder?.close()
    log.info("stopped")
  }
}

/** The models that the settings name, none of them loaded. */
async function openPool(settings: Settings, log: ServerLog): Promise<ModelPool> {
  const { device, threads, precision, context, kv_bits, kv_memory, kv_cache_dir, max_sequences } = settings
  const engine = { device, threads, precision, max_context: context, max_sequences }
  const options = { ...engine, kv_bits, kv_memory, kv_cache_dir }
  const offers = await Promise.all(settings.models.map((path) => offerModel(path, { options, log })))
  const { memory_limit, idle_unload } = settings
  return new ModelPool(offers, { memory_limit, idle_unload: idle_unload || undefined, log })
}

async function loadFirst(models: ModelPool): Promise<void> {
  const held = await models.hold(undefined)
  held.release()
}

function welcome(url: string, names: readonly string[]): string {
  const [model] = names
  return `Minerva serves ${names.join(", ")} on ${url}
  OpenAI's clients  OPENAI_BASE_URL=${url}/v1 OPENAI_API_KEY=any
  Codex             CODEX_OSS_BASE_URL=${url}/v1 codex --oss --local-provider lmstudio -m ${model}
  Claude Code       ANTHROPIC_BASE_URL=${url} ANTHROPIC_AUTH_TOKEN=any ANTHROPIC_MODEL=${model} claude
  Ollama's clients  OLLAMA_HOST=${url}`
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.")
}

/** Resolves when the server has stopped because of a signal. */
function stopOnSignal(server: NodeServer, timeout: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let isStopping = false
    for (const [name, code] of [
      ["SIGINT", 130],
      ["SIGTERM", 143],
    ] as const) {
      process.on(name, () => {
        if (isStopping) process.exit(code)
        isStopping = true
        printNote("Stopping: requests that run come to their end; once more, and they do not.")
        server.stop(timeout).then(resolve, reject)
      })
    }
  })
}
