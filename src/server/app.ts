import { Hono } from "hono"
import { anthropicRoutes } from "./anthropic/routes.js"
import type { ServerContext } from "./context.js"
import { shapedError } from "./error_shapes.js"
import { asRequestError } from "./faults.js"
import { logFault, type ServerLog, SILENT } from "./log.js"
import { unrouted } from "./methods.js"
import { ServerMetrics } from "./metrics.js"
import { access } from "./middleware/access.js"
import { admission } from "./middleware/admission.js"
import { hostCheck } from "./middleware/hosts.js"
import { apiKeys } from "./middleware/node_api_keys.js"
import { corsList, originCheck } from "./middleware/origins.js"
import { lowPriority } from "./batches/low_priority.js"
import { currentRequest } from "./node_current_request.js"
import { llamaRoutes } from "./llama/routes.js"
import { ollamaRoutes } from "./ollama/routes.js"
import { openaiRoutes } from "./openai/routes.js"
import { OpenRequests, type RequestLimits } from "./open_requests.js"
import { insightRoutes, probeRoutes } from "./operation.js"
import { BackgroundResponses } from "./responses/background.js"
import { responsesRoutes } from "./responses/routes.js"
import { watchModels } from "./watched_models.js"

/** A protocol. */
export type Routes = (context: ServerContext) => Hono

/** All protocols, in the order in which their routes are looked up. */
const PROTOCOLS: readonly Routes[] = [
  // Before OpenAI's: it leaves `/v1/models` to them unless it was meant.
  anthropicRoutes,
  ollamaRoutes,
  openaiRoutes,
  responsesRoutes,
  llamaRoutes,
]

export interface AppOptions extends RequestLimits {
  /** Those that may ask; empty: everybody. */
  readonly api_keys: readonly string[]
  readonly cors_origins: readonly string[]
  /** Names of this server beside localhost. */
  readonly allowed_hosts: readonly string[]
  readonly log_prompts: boolean
  readonly log: ServerLog
  /** Whether the models that were asked for are there. */
  readonly isLoaded: () => boolean
  readonly protocols: readonly Routes[]
}

const DEFAULTS: AppOptions = {
  max_requests: 512,
  request_timeout: 1800,
  api_keys: [],
  cors_origins: [],
  allowed_hosts: [],
  log_prompts: false,
  log: SILENT,
  isLoaded: () => true,
  protocols: PROTOCOLS,
}

export interface ServerApp {
  readonly app: Hono
  readonly open: OpenRequests
  /** Answers a request of a batch: it was let in with its batch, and waits for whoever waits for an answer. */
  readonly dispatch: (request: Request) => Promise<Response>
}

/** All routes. */
export function createApp(context: ServerContext, options?: Partial<AppOptions>): Hono {
  return createServerApp(context, options).app
}

/** All routes, and the requests that they are answering. */
export function createServerApp(context: ServerContext, options: Partial<AppOptions> = {}): ServerApp {
  const { api_keys, cors_origins, allowed_hosts, log, log_prompts, isLoaded, protocols, ...limits } = {
    ...DEFAULTS,
    ...options,
  }
  const app = new Hono()
  const open = new OpenRequests(limits)
  const metrics = new ServerMetrics(context.models, () => open.size)
  const models = watchModels(context.models, { metrics, log, log_prompts })
  const readiness = () => (open.isDraining ? "draining" : isLoaded() ? "ready" : "loading")

  // What comes first is outermost: each of these is for the routes that follow it.
  app.use(access(metrics, log))
  app.use(hostCheck(allowed_hosts))
  if (cors_origins.length > 0) app.use(corsList(cors_origins))
  app.route("/", probeRoutes(readiness))
  app.use(originCheck(cors_origins))
  app.use(apiKeys(api_keys))
  app.route("/", insightRoutes(app, metrics, context.version))
  app.use(admission(open))
  const shared = { ...context, responses: context.responses ?? new BackgroundResponses() }
  for (const routes of protocols) app.route("/", routes({ ...shared, models }))

  const patient = new Hono()
  for (const routes of protocols) patient.route("/", routes({ ...shared, models: lowPriority(models) }))
  for (const each of [app, patient]) answerFaults(each, open, log)
  return { app, open, dispatch: async (request) => patient.fetch(request) }
}

/** Errors, and what no route takes, in the shape of the protocol that was asked. */
function answerFaults(app: Hono, open: OpenRequests, log: ServerLog): void {
  app.notFound(unrouted(app))
  app.onError((error, c) => {
    const fault = asRequestError(error)
    const { status, body } = shapedError(c.req.path, fault)
    const request = currentRequest.getStore()
    logFault(log, fault, request?.id)
    if (request) request.error = fault.kind
    if (open.isDraining) c.header("connection", "close")
    if (fault.retry_after !== null) c.header("retry-after", String(Math.ceil(fault.retry_after)))
    if (fault.kind === "authentication") c.header("www-authenticate", "Bearer")
    return c.json(body, status as 500)
  })
}
