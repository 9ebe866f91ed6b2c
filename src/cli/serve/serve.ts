import { destination } from "pino"
import { openBackend } from "../../engine/node_backend.js"
import { createServerApp } from "../../server/app.js"
import { createLog } from "../../server/log.js"
import { LocalModels } from "../../server/node_local_models.js"
import { NodeServer } from "../../server/node_serve.js"
import type { Settings } from "../../server/settings.js"
import { UsageError } from "../ui/errors.js"
import { formatDuration } from "../ui/format.js"
import { printNote } from "../ui/output.js"
import { VERSION } from "../version.js"

/** Serves until a signal: SIGINT or SIGTERM lets requests come to their end, a second one does not. */
export async function serve(settings: Settings): Promise<void> {
  const { models: names, host, port, device, threads, drain_timeout, max_body, api_keys } = settings
  if (names.length > 1) throw new UsageError("one model can be served")
  // A reader of the log that stands still must not hold up the server.
  const output = destination({ dest: 1, sync: false })
  const log = createLog(settings.log_level, output)
  // Of one request, at worst: the others go on.
  process.on("unhandledRejection", (err) => log.error({ err }, "fault"))
  const { backend, reason } = await openBackend({ device, threads })
  const models = await LocalModels.open(names[0], {
    backend,
    max_context: settings.context,
    memory_limit: settings.memory_limit,
    kv_bits: settings.kv_bits,
    kv_memory: settings.kv_memory,
    kv_cache_dir: settings.kv_cache_dir,
    max_sequences: settings.max_sequences,
    onWarning: (text) => log.warn(text),
  })
  let server: NodeServer | undefined
  try {
    const names = [...settings.allowed_hosts, host]
    const options = { ...settings, allowed_hosts: names, isLoaded: () => models.isLoaded, log }
    server = await NodeServer.listen(createServerApp({ models, max_body, version: VERSION }, options), { host, port })
    const stopped = stopOnSignal(server, drain_timeout * 1000)
    printNote(welcome(server.url, models.name))
    if (!isLoopback(host) && api_keys.length === 0) {
      printNote("Whoever reaches this address may ask: set MINERVA_API_KEYS to let in some alone.")
    }
    log.info({ url: server.url, models: [models.name] }, "listening")
    const { info } = await models.loading
    printNote(`${info.name} is loaded, ${formatDuration(info.load_ms)} (${reason})`)
    log.info({ model: info.name, backend: info.backend, ms: Math.round(info.load_ms) }, "loaded")
    await stopped
    log.info("stopped")
  } finally {
    await server?.stop(0)
    await models.close()
    await backend.close()
    output.flushSync()
  }
}

function welcome(url: string, model: string): string {
  return `Minerva serves ${model} on ${url}
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
